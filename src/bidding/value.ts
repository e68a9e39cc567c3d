import { GOAL } from '../contract/index.js';

/**
 * Expected value of one impression in micros per mille (eCPM): the bid for CPM, 1000·bid·pCTR for CPC and
 * 1000·bid·pCTR·pCVR for CPA, rounded down so that no rounding ever bids above the value.
 *
 * @param goal one of GOAL
 * @param bidMicros per mille, per click or per action
 * @param valueMicrosMax ceiling for any single bid: what a broken model can cost at most
 * @returns integer micros, 0 where a probability is not a number
 */
export function impressionValueMicros(
  goal: number,
  bidMicros: number,
  pctr: number,
  pcvr: number,
  valueMicrosMax: number,
): number {
  let value = bidMicros;
  if (goal === GOAL.cpc) value = 1000 * bidMicros * pctr;
  else if (goal === GOAL.cpa) value = 1000 * bidMicros * pctr * pcvr;
  if (!(value > 0)) return 0;
  return value >= valueMicrosMax ? valueMicrosMax : Math.floor(value);
}
