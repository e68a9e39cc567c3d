import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileCalibration } from '../../src/calibration/index.js';

const logit = (p: number) => Math.log(p / (1 - p));
const compile = (table: Record<string, unknown>) =>
  compileCalibration({ version: 1, input: 'logit', ...table }, 'calibration.json');

describe('known answers', () => {
  it('corrects negative down-sampling (He et al. 2014)', () => {
    const { probability } = compile({ method: 'identity', sampling_rate: 0.1 });
    expect(probability(logit(0.2))).toBeCloseTo(0.0243902439, 10);
  });

  it('applies beta calibration (Kull et al. 2017)', () => {
    const { probability } = compile({ method: 'beta', a: 2, b: 2, c: 0 });
    expect(probability(logit(0.2))).toBeCloseTo(0.0588235, 7);
  });

  it('applies Platt scaling', () => {
    const { probability } = compile({ method: 'platt', a: 0.5, b: -1 });
    expect(probability(3)).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 12);
  });

  it('interpolates isotonic tables and clamps at their ends', () => {
    const { probability } = compile({ method: 'isotonic', x: [0.1, 0.3, 0.5], y: [0.2, 0.2, 0.6] });
    expect(probability(logit(0.01))).toBe(0.2);
    expect(probability(logit(0.2))).toBeCloseTo(0.2, 12);
    expect(probability(logit(0.4))).toBeCloseTo(0.4, 12);
    expect(probability(logit(0.9))).toBe(0.6);
  });
});

const unit = fc.double({ min: 0, max: 1, noNaN: true });
const tables = fc.oneof(
  fc.record({ method: fc.constant('identity'), sampling_rate: fc.double({ min: 0.001, max: 1, noNaN: true }) }),
  fc.record({
    method: fc.constant('platt'),
    a: fc.double({ min: 0, max: 5, noNaN: true }),
    b: fc.double({ min: -5, max: 5, noNaN: true }),
  }),
  fc.record({
    method: fc.constant('beta'),
    a: fc.double({ min: 0, max: 5, noNaN: true }),
    b: fc.double({ min: 0, max: 5, noNaN: true }),
    c: fc.double({ min: -5, max: 5, noNaN: true }),
  }),
  fc.uniqueArray(unit, { minLength: 1, maxLength: 20 }).chain((xs) =>
    fc.array(unit, { minLength: xs.length, maxLength: xs.length }).map((ys) => ({
      method: 'isotonic',
      x: xs.sort((p, q) => p - q),
      y: ys.sort((p, q) => p - q),
    })),
  ),
);

describe('every method', () => {
  it('gives a probability and keeps the order, for any logit', () => {
    fc.assert(
      fc.property(tables, fc.double({ noNaN: true }), fc.double({ noNaN: true }), (table, x, y) => {
        const { probability } = compile(table);
        const [low, high] = [probability(Math.min(x, y)), probability(Math.max(x, y))];
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeLessThanOrEqual(high + 1e-12);
      }),
    );
  });

  it('passes NaN through, so that a broken score cannot become a price', () => {
    fc.assert(fc.property(tables, (table) => Number.isNaN(compile(table).probability(Number.NaN))));
  });
});

describe('refused at load', () => {
  it.each([
    [{ method: 'spline' }, /method/],
    [{ method: 'platt', a: 1 }, /b/],
    [{ method: 'isotonic', x: [0.1, 0.2], y: [0.1] }, /y: 1 values for 2/],
    [{ method: 'isotonic', x: [0.2, 0.1], y: [0.1, 0.2] }, /x: must ascend/],
    [{ method: 'isotonic', x: [0.1, 0.2], y: [0.2, 0.1] }, /y: must not descend/],
    [{ method: 'identity', sampling_rate: 0 }, /sampling_rate/],
  ])('%j', (table, message) => expect(() => compile(table)).toThrow(message));
});
