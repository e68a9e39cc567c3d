import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { impressionValueMicros } from '../../src/bidding/index.js';
import { GOAL } from '../../src/contract/index.js';

const CEILING = 100_000_000;

describe('value of an impression, micros per mille', () => {
  it.each([
    { name: 'CPM: the bid', goal: GOAL.cpm, bid: 1_250_000, pctr: 0.5, pcvr: 0.5, value: 1_250_000 },
    { name: 'CPC: 1000 · bid · pCTR', goal: GOAL.cpc, bid: 2_000_000, pctr: 0.0125, pcvr: 0, value: 25_000_000 },
    {
      name: 'CPA: 1000 · bid · pCTR · pCVR',
      goal: GOAL.cpa,
      bid: 10_000_000,
      pctr: 0.01,
      pcvr: 0.05,
      value: 5_000_000,
    },
    { name: 'rounded down', goal: GOAL.cpc, bid: 1, pctr: 0.0019, pcvr: 0, value: 1 },
    { name: 'NaN is worth nothing', goal: GOAL.cpc, bid: 1_000_000, pctr: Number.NaN, pcvr: 0, value: 0 },
    { name: 'the ceiling holds', goal: GOAL.cpc, bid: 1_000_000_000, pctr: 1, pcvr: 0, value: CEILING },
  ])('$name', ({ goal, bid, pctr, pcvr, value }) => {
    expect(impressionValueMicros(goal, bid, pctr, pcvr, CEILING)).toBe(value);
  });

  it('is a whole number of micros between 0 and the ceiling, never above the expected value', () => {
    const p = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(GOAL)),
        fc.integer({ min: 1, max: 1e9 }),
        p,
        p,
        (goal, bid, pctr, pcvr) => {
          const value = impressionValueMicros(goal, bid, pctr, pcvr, CEILING);
          expect(Number.isInteger(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(CEILING);
          const expected = goal === GOAL.cpm ? bid : 1000 * bid * pctr * (goal === GOAL.cpa ? pcvr : 1);
          expect(value).toBeLessThanOrEqual(expected);
        },
      ),
    );
  });
});
