import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuctionResult, runAuction } from '../../src/auction/index.js';

/** `bidders` names whose each candidate is; everybody somebody else's when absent. */
function auction(values: number[], reserveMicros = 0, seed = 7, ads = values.map((_, i) => i), bidders?: number[]) {
  const result = new AuctionResult();
  const ofAd = new Uint32Array(Math.max(0, ...ads) + 1);
  ads.forEach((ad, i) => {
    ofAd[ad] = bidders?.[i] ?? ad;
  });
  runAuction(Float64Array.from(values), Int32Array.from(ads), ofAd, 0, values.length, reserveMicros, seed, result);
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

  it.each([
    { name: 'a bidder never sets its own price', values: [5, 5, 5], bidders: [1, 1, 1], reserve: 1, clearing: 1 },
    {
      name: 'the runner-up is the best of somebody else',
      values: [9, 8, 7, 3],
      bidders: [1, 1, 2, 2],
      reserve: 0,
      clearing: 7,
    },
    { name: 'whatever the order', values: [3, 7, 8, 9], bidders: [2, 2, 1, 1], reserve: 0, clearing: 7 },
    {
      name: 'a bidder that is overtaken becomes the runner-up',
      values: [4, 6, 9],
      bidders: [1, 2, 1],
      reserve: 0,
      clearing: 6,
    },
  ])('$name', ({ values, bidders, reserve, clearing }) => {
    expect(auction(values, reserve, 7, undefined, bidders).clearingMicros).toBe(clearing);
  });

  it('two imps of one request break ties independently', () => {
    let same = 0;
    const ads = Array.from({ length: 8 }, (_, i) => i);
    for (let seed = 0; seed < 4_000; seed += 2) {
      const [first, second] = [seed, seed + 1].map((s) => auction(new Array(8).fill(5), 0, s, ads).winner);
      if (first === second) same++;
    }
    expect(same / 2_000).toBeLessThan(0.16);
    expect(same / 2_000).toBeGreaterThan(0.09);
  });

  const money = fc.integer({ min: 0, max: 1_000 });

  it('reserve ≤ clearing ≤ value of the winner, who is the highest; the clearing price is somebody else’s or the reserve', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(money, fc.nat(5)), { maxLength: 40 }),
        money,
        fc.nat(),
        (candidates, reserve, seed) => {
          const values = candidates.map(([value]) => value);
          const bidders = candidates.map(([, bidder]) => bidder);
          const result = auction(values, reserve, seed, undefined, bidders);
          const eligible = values.filter((v) => v > 0 && v >= reserve).sort((a, b) => b - a);
          if (eligible.length === 0) {
            expect(result.winner).toBe(-1);
            return;
          }
          expect(values[result.winner]).toBe(eligible[0]);
          expect(result.valueMicros).toBe(eligible[0]);
          const others = values.filter((_, i) => bidders[i] !== bidders[result.winner]);
          expect(result.clearingMicros).toBe(Math.max(reserve, ...others.filter((v) => v >= reserve)));
        },
      ),
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
