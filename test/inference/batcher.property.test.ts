/** Any sequence of events against a plain record of who was promised what. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Batcher, NONE } from '../../src/inference/batcher.js';

const REQUEST_ROWS_MAX = 4;
const CANDIDATE_ROWS_MAX = 16;
const CONCURRENCY_MAX = 2;
const MODELS = 3;
const SLABS = 4;
const WORKERS_MAX = 3;

type Promise_ = {
  ticket: number;
  deadlineUs: number;
  row: number;
  rows: number;
  requestRow: number;
  requestRows: number;
};

class World {
  readonly batcher = new Batcher(
    Array.from({ length: MODELS }, () => ({
      requestRowsMax: REQUEST_ROWS_MAX,
      candidateRowsMax: CANDIDATE_ROWS_MAX,
      concurrencyMax: CONCURRENCY_MAX,
    })),
    SLABS,
  );
  nowUs = 0;
  tickets = 0;
  /** By slab id, from reserve to settle. */
  readonly promised = new Map<number, Promise_[]>();
  readonly running: number[] = [];
  readonly lost: number[] = [];
  readonly answered = new Map<number, number>();
  /** By model: the last ticket that left. */
  readonly left = Array(MODELS).fill(-1);

  constructor() {
    this.batcher.workers = WORKERS_MAX;
    for (const cost of this.batcher.costs) for (const rows of [1, 8, 16]) cost.seed(rows, 20 + 5 * rows);
  }

  reserve(model: number, requestRows: number, rows: number, dueInUs: number): void {
    const deadlineUs = this.nowUs + dueInUs;
    const freeBefore = this.batcher.freeCountOf(model);
    const slab = this.batcher.reserve(model, requestRows, rows, this.tickets, deadlineUs, this.nowUs);
    if (slab === NONE) {
      // Refused only for a reason.
      expect(freeBefore === 0 || rows > CANDIDATE_ROWS_MAX || requestRows > REQUEST_ROWS_MAX).toBe(true);
      return;
    }
    const { requestRow, candidateRow: row } = this.batcher;
    const promises = this.promised.get(slab) ?? [];
    this.promised.set(slab, promises);
    const before = promises.at(-1) ?? { row: 0, rows: 0, requestRow: 0, requestRows: 0 };
    // Directly behind the one before: no overlap, no gap; and within the slab.
    expect(row).toBe(before.row + before.rows);
    expect(requestRow).toBe(before.requestRow + before.requestRows);
    expect(row + rows).toBeLessThanOrEqual(CANDIDATE_ROWS_MAX);
    expect(requestRow + requestRows).toBeLessThanOrEqual(REQUEST_ROWS_MAX);
    expect(Math.floor(slab / SLABS)).toBe(model);
    expect(this.running).not.toContain(slab);
    expect(this.lost).not.toContain(slab);
    promises.push({ ticket: this.tickets++, deadlineUs, row, rows, requestRow, requestRows });
  }

  /** What a flush does. */
  dispatch(): void {
    for (;;) {
      this.expire();
      const waiting = this.waiting();
      const slab = this.batcher.next(this.nowUs);
      const runningOf = (model: number) => this.running.filter((id) => Math.floor(id / SLABS) === model).length;
      const eligible = waiting.filter((id) => runningOf(Math.floor(id / SLABS)) < CONCURRENCY_MAX);
      if (slab === NONE) {
        // Late binding: nothing that could run is held back.
        expect(this.running.length >= this.batcher.workers || eligible.length === 0).toBe(true);
        return;
      }
      expect(this.running.length).toBeLessThan(this.batcher.workers);
      const model = Math.floor(slab / SLABS);
      expect(runningOf(model)).toBeLessThan(CONCURRENCY_MAX);
      // No eligible batch is more urgent than the most urgent of the model that was chosen.
      const urgency = (ids: number[]) =>
        Math.min(...ids.flatMap((id) => this.promised.get(id)!.map((p) => p.deadlineUs)));
      expect(urgency(eligible.filter((id) => Math.floor(id / SLABS) === model))).toBe(urgency(eligible));
      this.leave(slab);
      this.running.push(slab);
    }
  }

  expire(): void {
    for (let slab = this.batcher.nextExpired(this.nowUs); slab !== NONE; slab = this.batcher.nextExpired(this.nowUs)) {
      for (const { deadlineUs } of this.promised.get(slab)!) expect(deadlineUs).toBeLessThanOrEqual(this.nowUs);
      this.leave(slab);
      this.answer(slab);
      this.batcher.settle(slab);
    }
  }

  /** A batch comes back, or is lost with its worker. */
  end(which: number, lost: boolean): void {
    if (this.running.length === 0) return;
    const [slab] = this.running.splice(which % this.running.length, 1);
    this.batcher.stop(slab);
    const { candidateRows, startedUs } = this.batcher.batches[slab];
    if (!lost) this.batcher.costs[Math.floor(slab / SLABS)].observe(candidateRows, this.nowUs - startedUs);
    this.answer(slab);
    this.batcher.settle(slab, lost);
    if (!lost) return;
    this.lost.push(slab);
    this.batcher.workers--;
  }

  recover(): void {
    if (this.batcher.workers < WORKERS_MAX) this.batcher.workers++;
    const slab = this.lost.shift();
    if (slab !== undefined) this.batcher.recover(slab);
  }

  check(): void {
    for (let model = 0; model < MODELS; model++) {
      const of = (ids: number[]) => ids.filter((id) => Math.floor(id / SLABS) === model).length;
      expect(this.batcher.runningCountOf(model)).toBe(of(this.running));
      expect(this.batcher.waitingCount(model)).toBe(of(this.waiting()));
      expect(this.batcher.freeCountOf(model)).toBe(SLABS - of([...this.promised.keys()]) - of(this.lost));
      const estimateUs = this.batcher.estimateUs(model, 4, this.nowUs);
      expect(estimateUs).toBeGreaterThanOrEqual(this.batcher.costs[model].predictUs(4));
      expect(Number.isFinite(estimateUs)).toBe(this.batcher.workers > 0);
    }
  }

  /** Lets everything end, and counts. */
  finish(): void {
    while (this.batcher.workers < WORKERS_MAX || this.lost.length > 0) this.recover();
    for (let rounds = 0; !this.batcher.idle; rounds++) {
      expect(rounds).toBeLessThan(1000);
      this.dispatch();
      this.end(0, false);
    }
    // Nothing is left over in the sums either.
    for (let model = 0; model < MODELS; model++) {
      const ownUs = this.batcher.costs[model].predictUs(4);
      expect(this.batcher.estimateUs(model, 4, this.nowUs)).toBeCloseTo(ownUs, 6);
    }
    expect([...this.answered.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: this.tickets }, (_, i) => i));
    expect([...this.answered.values()].every((times) => times === 1)).toBe(true);
  }

  private waiting(): number[] {
    return [...this.promised.keys()].filter((slab) => !this.running.includes(slab));
  }

  /** The batcher's record of the batch is what was promised, and batches of a model leave in order. */
  private leave(slab: number): void {
    const batch = this.batcher.batches[slab];
    const promises = this.promised.get(slab)!;
    expect([...batch.tickets.slice(0, batch.ticketCount)]).toEqual(promises.map((p) => p.ticket));
    expect([...batch.offsets.slice(0, batch.ticketCount + 1)]).toEqual([0, ...promises.map((p) => p.row + p.rows)]);
    expect(batch.requestRows).toBe(promises.reduce((sum, p) => sum + p.requestRows, 0));
    const model = Math.floor(slab / SLABS);
    expect(promises[0].ticket).toBeGreaterThan(this.left[model]);
    this.left[model] = promises.at(-1)!.ticket;
  }

  private answer(slab: number): void {
    for (const { ticket } of this.promised.get(slab)!) this.answered.set(ticket, (this.answered.get(ticket) ?? 0) + 1);
    this.promised.delete(slab);
  }
}

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        model: fc.nat(MODELS - 1),
        requestRows: fc.nat(REQUEST_ROWS_MAX + 1),
        rows: fc.integer({ min: 1, max: CANDIDATE_ROWS_MAX + 1 }),
        dueInUs: fc.oneof(fc.integer({ min: -5, max: 400 }), fc.constant(Number.POSITIVE_INFINITY)),
      })
      .map(
        ({ model, requestRows, rows, dueInUs }) =>
          (w: World) =>
            w.reserve(model, requestRows, rows, dueInUs),
      ),
  },
  { weight: 3, arbitrary: fc.constant((w: World) => w.dispatch()) },
  { weight: 3, arbitrary: fc.nat(9).map((which) => (w: World) => w.end(which, false)) },
  { weight: 1, arbitrary: fc.nat(9).map((which) => (w: World) => w.end(which, true)) },
  { weight: 1, arbitrary: fc.constant((w: World) => w.recover()) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 200 }).map((us) => (w: World) => {
      w.nowUs += us;
    }),
  },
);

it('answers every ticket once, keeps rows apart, bounds, order and urgency, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const world = new World();
      for (const happen of events) {
        happen(world);
        world.check();
      }
      world.finish();
    }),
    { numRuns: 400 },
  );
});
