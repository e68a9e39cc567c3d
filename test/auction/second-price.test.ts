import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuctionResult, runAuction } from '../../src/auction/index.js';

function auction(values: number[], reserveMicros = 0, seed = 7, ads = values.map((_, i) => i)) {
  const result = new AuctionResult();
  runAuction(Float64Array.from(values), Int32Array.from(ads), 0, values.length, reserveMicros, seed, result);
  return result;
}

describe('second-price auction', () => {
  it.each([
    { name: 'the runner-up sets the price', values: [100, 90, 40], reserve: 0, winner: 0, clearing: 90 },
    { name: 'alone: the reserve', values: [100], reserve: 30, winner: 0, clearing: 30 },
    { name: 'alone without a reserve: nothing', values: [100], reserve: 0, winner: 0, clearing: 0 },
    { name: 'the reserve above the runner-up', values: [100, 20], reserve: 50, winner: 0, clearing: 50 },
    { name: 'a value equal to the reserve wins', values: [50], reserve: 50, winner: 0, clearing: 50 },
    { name: 'nobody reaches the reserve', values: [49, 20], reserve: 50, winner: -1, clearing: 0 },
    { name: 'zero takes no part', values: [0, 0], reserve: 0, winner: -1, clearing: 0 },
    { name: 'no candidates', values: [], reserve: 0, winner: -1, clearing: 0 },
  ])('$name', ({ values, reserve, winner, clearing }) => {
    const result = auction(values, reserve);
    expect(result.winner).toBe(winner);
    expect(result.clearingMicros).toBe(clearing);
  });

  const money = fc.integer({ min: 0, max: 1_000 });

  it('reserve ≤ clearing ≤ value of the winner, who is the highest; the clearing price is somebody else’s or the reserve', () => {
    fc.assert(
      fc.property(fc.array(money, { maxLength: 40 }), money, fc.nat(), (values, reserve, seed) => {
        const result = auction(values, reserve, seed);
        const eligible = values.filter((v) => v > 0 && v >= reserve).sort((a, b) => b - a);
        if (eligible.length === 0) {
          expect(result.winner).toBe(-1);
          return;
        }
        expect(values[result.winner]).toBe(eligible[0]);
        expect(result.valueMicros).toBe(eligible[0]);
        expect(result.clearingMicros).toBe(Math.max(eligible[1] ?? 0, reserve));
      }),
    );
  });

  it('bidding the true value is never worse than any other bid (Vickrey 1961)', () => {
    fc.assert(
      fc.property(fc.array(money, { maxLength: 10 }), money, money, money, (others, value, lie, reserve) => {
        const surplus = (bid: number) => {
          const result = auction([...others, bid], reserve);
          return result.winner === others.length ? value - result.clearingMicros : 0;
        };
        expect(surplus(value)).toBeGreaterThanOrEqual(surplus(lie));
      }),
    );
  });

  it('a tie has the same winner in any order of the candidates, and every bidder wins its share of seeds', () => {
    const wins = [0, 0, 0];
    for (let seed = 0; seed < 3_000; seed++) {
      const forward = auction([5, 5, 5], 0, seed, [10, 20, 30]).winner;
      const backward = auction([5, 5, 5], 0, seed, [30, 20, 10]).winner;
      expect(backward).toBe(2 - forward);
      wins[forward]++;
    }
    for (const count of wins) expect(count).toBeGreaterThan(850);
  });
});
