import { describe, expect, it } from 'vitest';
import { mix32 } from '../../../src/base/index.js';
import { CostRouter, type Side } from '../../../src/inference/backends/router.js';

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    return mix32(state) / 2 ** 32;
  };
}

type Costs = Record<Side, (rows: number) => number>;
const SIZES = [1, 4, 16, 64, 256, 1024];
/** They cross at 104 rows. */
const COSTS: Costs = { local: (rows) => 50 + 20 * rows, remote: (rows) => 2000 + 1.25 * rows };

/** Batches one after another. @returns how many went where, by size */
function drive(router: CostRouter, costs: Costs, batches: number, random: () => number, leftUs = Infinity) {
  const sent = new Map(SIZES.map((rows) => [rows, { local: 0, remote: 0 }]));
  for (let i = 0; i < batches; i++) {
    const rows = SIZES[Math.floor(random() * SIZES.length)];
    const side = router.choose(rows, leftUs);
    sent.get(rows)![side]++;
    router.ended(side, rows, router.began(side, rows), costs[side](rows));
  }
  return sent;
}

const share = ({ local, remote }: Record<Side, number>) => remote / (local + remote);

describe('cost router', () => {
  it.each([1, 2, 3])('sends small batches to the local model and large ones to the remote (seed %i)', (seed) => {
    const random = seeded(seed);
    const router = new CostRouter(random);
    drive(router, COSTS, 300, random);
    const sent = drive(router, COSTS, 2000, random);
    for (const rows of [1, 4, 16]) expect(share(sent.get(rows)!)).toBeLessThan(0.1);
    for (const rows of [256, 1024]) expect(share(sent.get(rows)!)).toBeGreaterThan(0.9);
  });

  it('keeps trying the dearer side, seldom', () => {
    const random = seeded(4);
    const router = new CostRouter(random);
    const sent = drive(router, { local: () => 10, remote: () => 5000 }, 3000, random);
    const remote = [...sent.values()].reduce((sum, count) => sum + count.remote, 0);
    expect(remote).toBeGreaterThan(3000 / 64);
    expect(remote).toBeLessThan(3000 / 16);
  });

  it('explores with no batch that would be late for it', () => {
    const random = seeded(5);
    const router = new CostRouter(random);
    const costs: Costs = { local: () => 10, remote: () => 5000 };
    drive(router, costs, 100, random);
    const sent = drive(router, costs, 1000, random, 4000);
    for (const { remote } of sent.values()) expect(remote).toBe(0);
  });

  it('follows a remote that has become slow, and one that has become fast again', () => {
    const random = seeded(6);
    const router = new CostRouter(random);
    drive(router, COSTS, 500, random);
    drive(router, { ...COSTS, remote: () => 1e6 }, 1000, random);
    const slow = drive(router, { ...COSTS, remote: () => 1e6 }, 1000, random);
    expect(share(slow.get(1024)!)).toBeLessThan(0.1);
    drive(router, COSTS, 6000, random);
    const fast = drive(router, COSTS, 1000, random);
    expect(share(fast.get(1024)!)).toBeGreaterThan(0.9);
  });

  it('counts the rows that are already there as load', () => {
    const router = new CostRouter(() => 0.999);
    const random = seeded(7);
    drive(router, COSTS, 300, random);
    expect(router.choose(16, Infinity)).toBe('local');
    for (let i = 0; i < 20; i++) router.began('local', 16);
    expect(router.choose(16, Infinity)).toBe('remote');
  });

  it('learns nothing from a batch that says nothing about the cost', () => {
    const router = new CostRouter(() => 0.999);
    const random = seeded(8);
    drive(router, COSTS, 300, random);
    for (let i = 0; i < 100; i++) router.ended('remote', 1, router.began('remote', 1), Number.NaN);
    expect(router.choose(1, Infinity)).toBe('local');
    expect(router.choose(1024, Infinity)).toBe('remote');
  });
});
