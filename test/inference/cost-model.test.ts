import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CostModel } from '../../src/inference/cost-model.js';

describe('cost model', () => {
  it('finds a + b · rows from batches of several sizes', () => {
    const cost = new CostModel();
    for (let i = 0; i < 100; i++) cost.observe(1 + ((i * 37) % 500), 60 + 2.5 * (1 + ((i * 37) % 500)));
    expect(cost.a).toBeCloseTo(60, 6);
    expect(cost.b).toBeCloseTo(2.5, 6);
  });

  it('keeps the slope of the warm-up while all live batches have one size', () => {
    const cost = new CostModel();
    for (const rows of [1, 1024, 2048]) cost.seed(rows, 50 + 4 * rows);
    for (let i = 0; i < 1000; i++) cost.observe(64, 50 + 4 * 64);
    expect(cost.predictUs(64)).toBeCloseTo(306, 3);
    expect(cost.predictUs(1024)).toBeCloseTo(50 + 4 * 1024, 0);
  });

  it('follows a machine that has become slower', () => {
    const cost = new CostModel();
    const batches = (factor: number) => {
      for (let i = 0; i < 200; i++) cost.observe(64 * (1 + (i % 8)), factor * (100 + 64 * (1 + (i % 8))));
    };
    batches(1);
    batches(3);
    expect(cost.predictUs(256)).toBeGreaterThan(3 * 356 * 0.95);
  });

  it('is not thrown off by one pause', () => {
    const cost = new CostModel();
    for (let i = 0; i < 100; i++) cost.observe(64 + (i % 5), 100);
    cost.observe(64, 1_000_000);
    expect(cost.predictUs(64)).toBeLessThan(120);
  });

  it('never predicts a negative or a shrinking cost', () => {
    const observation = fc.tuple(fc.integer({ min: 1, max: 4096 }), fc.double({ min: 0, max: 1e6, noNaN: true }));
    fc.assert(
      fc.property(fc.array(observation, { minLength: 1, maxLength: 60 }), (observations) => {
        const cost = new CostModel();
        for (const [rows, us] of observations) cost.observe(rows, us);
        expect(cost.a).toBeGreaterThanOrEqual(0);
        expect(cost.b).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(cost.predictUs(2048))).toBe(true);
      }),
    );
  });
});
