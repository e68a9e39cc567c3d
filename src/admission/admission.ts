import { OUTCOME, type Outcome } from '../contract/index.js';

/** What of the exchange's tmax is ours to spend. */
export interface TimeBudget {
  /** Assumed when a request names no tmax. */
  readonly tmaxMsDefault: number;
  /** Longer tmax values are cut to this: a slot is held no longer. */
  readonly tmaxMsMax: number;
  /** Both ways over the network, as the exchange sees it. */
  readonly networkAllowanceMs: number;
  /** Kept back for calibration, auction and writing the answer. */
  readonly replyReserveUs: number;
}

/**
 * The moment by which scores must be back: arrival + tmax − network allowance − reply reserve.
 * @param tmaxMs 0 = not said
 */
export function deadlineUs(arrivalUs: number, tmaxMs: number, budget: TimeBudget): number {
  const tmax = tmaxMs > 0 ? Math.min(tmaxMs, budget.tmaxMsMax) : budget.tmaxMsDefault;
  return arrivalUs + (tmax - budget.networkAllowanceMs) * 1000 - budget.replyReserveUs;
}

/**
 * Refuses at once what would be late: exchanges throttle bidders that time out, not bidders that answer "no bid".
 * @param estimateUs time until scores would be back for a request admitted now (queue, batches in flight, own rows)
 */
export function admit(nowUs: number, deadline: number, estimateUs: number): Outcome {
  return nowUs + estimateUs > deadline ? OUTCOME.insufficient_time : OUTCOME.bid;
}
