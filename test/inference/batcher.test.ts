import { describe, expect, it } from 'vitest';
import { Batcher, NONE } from '../../src/inference/batcher.js';

const NEVER = Number.POSITIVE_INFINITY;

/** Batchers of one or two models with costs of 100 µs a batch and 1 µs a row. */
function batcher(
  options: { models?: number; slabs?: number; workers?: number; concurrencyMax?: number } = {},
): Batcher {
  const { models = 1, slabs = 4, workers = 1, concurrencyMax = 8 } = options;
  const limits = { requestRowsMax: 8, candidateRowsMax: 100, concurrencyMax };
  const made = new Batcher(Array(models).fill(limits), slabs);
  made.workers = workers;
  for (const cost of made.costs) for (const rows of [1, 50, 100]) cost.seed(rows, 100 + rows);
  return made;
}

describe('batcher', () => {
  it('lets a batch grow while the worker is busy, and leave the moment it is free', () => {
    const b = batcher();
    const first = b.reserve(0, 1, 10, 1, NEVER, 0);
    expect(b.next(0)).toBe(first);
    const second = b.reserve(0, 1, 10, 2, NEVER, 0);
    expect(b.next(0)).toBe(NONE);
    expect(b.reserve(0, 2, 30, 3, NEVER, 50)).toBe(second);
    expect([b.requestRow, b.candidateRow]).toEqual([1, 10]);
    b.stop(first);
    expect(b.next(110)).toBe(second);
    expect(b.batches[second].candidateRows).toBe(40);
  });

  it.each([
    ['candidate rows', 1, 60],
    ['request rows', 5, 10],
  ])('closes a batch that has no room for the %s, and never splits a request', (_, requestRows, candidateRows) => {
    const b = batcher({ workers: 0 });
    const first = b.reserve(0, requestRows, candidateRows, 1, NEVER, 0);
    const second = b.reserve(0, requestRows, candidateRows, 2, NEVER, 0);
    expect(second).not.toBe(first);
    expect([b.requestRow, b.candidateRow]).toEqual([0, 0]);
    b.workers = 2;
    expect([b.next(0), b.next(0)]).toEqual([first, second]);
  });

  it('refuses at once when no slab is free, and takes again when one is', () => {
    const b = batcher({ slabs: 2 });
    const slabs = [b.reserve(0, 1, 100, 1, NEVER, 0), b.reserve(0, 1, 100, 2, NEVER, 0)];
    expect(b.reserve(0, 1, 1, 3, NEVER, 0)).toBe(NONE);
    expect(b.next(0)).toBe(slabs[0]);
    b.stop(slabs[0]);
    expect(b.reserve(0, 1, 1, 3, NEVER, 0)).toBe(NONE);
    b.settle(slabs[0]);
    expect(b.reserve(0, 1, 1, 3, NEVER, 0)).toBe(slabs[0]);
  });

  it('refuses a request beyond the bounds without closing the open batch', () => {
    const b = batcher();
    const open = b.reserve(0, 1, 1, 1, NEVER, 0);
    expect(b.reserve(0, 1, 101, 2, NEVER, 0)).toBe(NONE);
    expect(b.reserve(0, 9, 1, 2, NEVER, 0)).toBe(NONE);
    expect(b.reserve(0, 1, 1, 2, NEVER, 0)).toBe(open);
  });

  it('takes the most urgent deadline first, over the models', () => {
    const b = batcher({ models: 3 });
    b.reserve(0, 1, 1, 1, 3000, 0);
    const urgent = b.reserve(1, 1, 1, 2, 1000, 0);
    b.reserve(2, 1, 1, 3, 2000, 0);
    expect(b.next(0)).toBe(urgent);
  });

  it('lets the head of a queue inherit the urgency of what waits behind it', () => {
    const b = batcher({ models: 2 });
    const head = b.reserve(0, 1, 100, 1, 9000, 0);
    const behind = b.reserve(0, 1, 100, 2, 1000, 0);
    const other = b.reserve(1, 1, 1, 3, 2000, 0);
    b.workers = 3;
    expect([b.next(0), b.next(0), b.next(0)]).toEqual([head, behind, other]);
  });

  it('gives equal deadlines to the batch that was opened first, so that no model starves', () => {
    const b = batcher({ models: 2 });
    const first = b.reserve(1, 1, 1, 1, NEVER, 0);
    b.reserve(0, 1, 1, 2, NEVER, 0);
    expect(b.next(0)).toBe(first);
  });

  it('runs no more batches of a model at once than it has instances', () => {
    const b = batcher({ models: 2, workers: 4, concurrencyMax: 1 });
    const first = b.reserve(0, 1, 100, 1, 1, 0);
    b.reserve(0, 1, 100, 2, 1, 0);
    const other = b.reserve(1, 1, 1, 3, NEVER, 0);
    expect([b.next(0), b.next(0), b.next(0)]).toEqual([first, other, NONE]);
  });

  it('stops growing a batch when more rows would make its oldest deadline late, and not before', () => {
    // 10 rows cost 110 µs; 20 more rows would end at 130.
    const grown = (deadlineUs: number) => {
      const b = batcher({ workers: 1 });
      const open = b.reserve(0, 1, 10, 1, deadlineUs, 0);
      return b.reserve(0, 1, 20, 2, NEVER, 0) === open;
    };
    expect(grown(131)).toBe(true);
    expect(grown(129)).toBe(false);
    // Too late already: closing it would help nobody.
    expect(grown(105)).toBe(true);
  });

  it('counts the batch in flight when it judges whether growing makes late', () => {
    const grown = (deadlineUs: number) => {
      const b = batcher();
      b.reserve(0, 1, 100, 0, NEVER, 0);
      b.next(0);
      const open = b.reserve(0, 1, 10, 1, deadlineUs, 0);
      return b.reserve(0, 1, 20, 2, NEVER, 0) === open;
    };
    expect(grown(200 + 131)).toBe(true);
    expect(grown(200 + 129)).toBe(false);
  });

  it('drops a batch only when every deadline in it has passed', () => {
    const b = batcher();
    const slab = b.reserve(0, 1, 1, 1, 100, 0);
    b.reserve(0, 1, 1, 2, 200, 0);
    expect(b.nextExpired(199)).toBe(NONE);
    expect(b.nextExpired(200)).toBe(slab);
    expect(b.next(200)).toBe(NONE);
  });

  it('keeps a lost slab out of use until it is recovered', () => {
    const b = batcher({ slabs: 1 });
    const slab = b.reserve(0, 1, 1, 1, NEVER, 0);
    b.next(0);
    b.stop(slab);
    b.settle(slab, true);
    expect(b.reserve(0, 1, 1, 2, NEVER, 0)).toBe(NONE);
    expect(b.idle).toBe(true);
    b.recover(slab);
    expect(b.reserve(0, 1, 1, 2, NEVER, 0)).toBe(slab);
  });

  it('throws on moves that no batch can make', () => {
    const b = batcher();
    const slab = b.reserve(0, 1, 1, 1, NEVER, 0);
    expect(() => b.stop(slab)).toThrow();
    expect(() => b.settle(slab)).toThrow();
    expect(() => b.recover(slab)).toThrow();
    expect(() => b.reserve(0, 1, 0, 2, NEVER, 0)).toThrow();
  });
});

describe('estimate', () => {
  it('is the own cost when a worker is free', () => {
    expect(batcher().estimateUs(0, 64, 0)).toBeCloseTo(164);
    expect(batcher({ workers: 3 }).estimateUs(0, 64, 0)).toBeCloseTo(164);
  });

  it('is infinite while no worker is up', () => {
    expect(batcher({ workers: 0 }).estimateUs(0, 64, 0)).toBe(NEVER);
  });

  it('adds what is left of the batch in flight, and an overdue batch is expected to need as long again', () => {
    const b = batcher();
    b.reserve(0, 1, 100, 1, NEVER, 0);
    b.next(0);
    expect(b.estimateUs(0, 64, 0)).toBeCloseTo(200 + 164);
    expect(b.estimateUs(0, 64, 150)).toBeCloseTo(50 + 164);
    expect(b.estimateUs(0, 64, 1200)).toBeCloseTo(1000 + 164);
  });

  it('joins the open batch when it fits, else waits behind it', () => {
    const b = batcher();
    b.reserve(0, 1, 30, 1, NEVER, 0);
    expect(b.estimateUs(0, 64, 0)).toBeCloseTo(194);
    expect(b.estimateUs(0, 80, 0)).toBeCloseTo(130 + 180);
  });

  it('adds what waits, of every model', () => {
    const b = batcher({ models: 2 });
    b.reserve(1, 1, 100, 1, NEVER, 0);
    b.reserve(1, 1, 50, 2, NEVER, 0);
    expect(b.estimateUs(0, 10, 0)).toBeCloseTo(200 + 150 + 110);
  });

  it('fills the workers evenly: those busy for longer than the others take none of what waits', () => {
    const b = batcher({ models: 2, workers: 2 });
    b.reserve(0, 1, 100, 1, NEVER, 0);
    b.next(0);
    expect(b.estimateUs(0, 10, 0)).toBeCloseTo(110);
    b.reserve(1, 1, 50, 2, NEVER, 0);
    expect(b.estimateUs(0, 10, 0)).toBeCloseTo(150 + 110);
    b.next(0);
    // 200 and 150 µs in flight and 200 waiting: both workers are done at 275.
    b.reserve(1, 1, 100, 3, NEVER, 0);
    expect(b.estimateUs(0, 10, 0)).toBeCloseTo(275 + 110);
  });
});
