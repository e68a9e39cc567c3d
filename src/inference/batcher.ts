/**
 * Who shares a batch with whom, and which batch leaves next. Pure: no clock, no timer, no socket, no thread; time is
 * handed in, so a seed replays any schedule. Hot: everything is allocated by the constructor.
 *
 *     reserve ──▶ [open] ──full, or growing would make it late──▶ [queued] ─┐
 *                    └───────────────a worker is free──────────────────────┴─▶ [running] ──▶ [settling] ──▶ [free]
 *
 * Late binding: an open batch keeps growing while every worker is busy and leaves the moment one is free. A request's
 * rows are never split, batches of one model leave in the order in which they were opened, and over the models the
 * most urgent deadline goes first; a model inherits the urgency of what waits behind its head.
 */
import { BATCH, Batch } from './batch.js';
import { CostModel } from './cost-model.js';

/** `reserve` found no room; `next` and `nextExpired` found nothing to do. */
export const NONE = -1;

export interface BatcherModel {
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** At most this many batches of the model run at once (Triton's instance count). */
  readonly concurrencyMax: number;
}

class Lane {
  open = NONE;
  running = 0;
  /** Ring of queued slab ids, oldest first. */
  readonly queue: Int32Array;
  queueHead = 0;
  queueLength = 0;
  /** Candidate rows in `queue`. */
  queuedRows = 0;
  /** Stack of free slab ids. */
  readonly free: Int32Array;
  freeCount = 0;

  constructor(
    readonly limits: BatcherModel,
    firstSlab: number,
    slabs: number,
  ) {
    this.queue = new Int32Array(slabs);
    this.free = new Int32Array(slabs);
    for (let i = 0; i < slabs; i++) this.free[this.freeCount++] = firstSlab + slabs - 1 - i;
  }

  head(): number {
    return this.queueLength > 0 ? this.queue[this.queueHead] : this.open;
  }
}

export class Batcher {
  /** By slab id: model × slabsPerModel + i. */
  readonly batches: readonly Batch[];
  /** By model. */
  readonly costs: readonly CostModel[];
  /** Workers that can take batches at all, busy or not; set by the owner as they come and go. */
  workers = 0;
  /** Where the last reserved rows begin. */
  requestRow = 0;
  candidateRow = 0;

  private readonly lanes: readonly Lane[];
  /** Slab ids of running batches, in no order; the first `runningCount` count. */
  private readonly running: Int32Array;
  private runningCount = 0;
  private opened = 0;

  constructor(models: readonly BatcherModel[], slabsPerModel: number, workersMax: number) {
    this.lanes = models.map((model, index) => new Lane(model, index * slabsPerModel, slabsPerModel));
    this.costs = models.map(() => new CostModel());
    this.batches = models.flatMap((model, index) =>
      Array.from({ length: slabsPerModel }, () => new Batch(index, model.candidateRowsMax)),
    );
    this.running = new Int32Array(workersMax);
  }

  /**
   * Gives a request rows in the model's open batch.
   *
   * @returns the slab id, with `requestRow` and `candidateRow` set; NONE when no slab is free or the request is larger
   *   than the model's bounds. On NONE the batcher has not taken the ticket.
   */
  reserve(
    model: number,
    requestRows: number,
    candidateRows: number,
    ticket: number,
    deadlineUs: number,
    nowUs: number,
  ): number {
    const lane = this.lanes[model];
    const { limits } = lane;
    if (requestRows < 0 || candidateRows < 1) throw new Error(`reserve: ${requestRows} and ${candidateRows} rows`);
    if (requestRows > limits.requestRowsMax || candidateRows > limits.candidateRowsMax) return NONE;
    let slab = lane.open;
    if (slab !== NONE) {
      const open = this.batches[slab];
      const fits =
        open.requestRows + requestRows <= limits.requestRowsMax &&
        open.candidateRows + candidateRows <= limits.candidateRowsMax;
      if (!fits || this.growthMakesLate(model, open, candidateRows, nowUs)) {
        if (lane.freeCount === 0) return NONE;
        this.enqueue(lane, slab);
        slab = NONE;
      }
    }
    if (slab === NONE) {
      if (lane.freeCount === 0) return NONE;
      slab = lane.free[--lane.freeCount];
      lane.open = slab;
      this.batches[slab].state = BATCH.open;
      this.batches[slab].sequence = this.opened++;
    }
    const batch = this.batches[slab];
    this.requestRow = batch.requestRows;
    this.candidateRow = batch.candidateRows;
    batch.append(requestRows, candidateRows, ticket, deadlineUs);
    return slab;
  }

  /** Takes the batch that a free worker should run now and marks it running; NONE when there is no worker or no batch. */
  next(nowUs: number): number {
    if (this.runningCount >= this.workers) return NONE;
    let best: Lane | null = null;
    let bestDeadlineUs = Number.POSITIVE_INFINITY;
    let bestSequence = 0;
    for (let i = 0; i < this.lanes.length; i++) {
      const lane = this.lanes[i];
      const head = lane.head();
      if (head === NONE || lane.running >= lane.limits.concurrencyMax) continue;
      const deadlineUs = this.urgency(lane);
      const { sequence } = this.batches[head];
      if (best === null || deadlineUs < bestDeadlineUs || (deadlineUs === bestDeadlineUs && sequence < bestSequence)) {
        best = lane;
        bestDeadlineUs = deadlineUs;
        bestSequence = sequence;
      }
    }
    if (best === null) return NONE;
    const slab = this.takeHead(best);
    const batch = this.batches[slab];
    batch.state = BATCH.running;
    batch.startedUs = nowUs;
    batch.predictedUs = this.costs[batch.model].predictUs(batch.candidateRows);
    best.running++;
    this.running[this.runningCount++] = slab;
    return slab;
  }

  /** Takes a waiting batch of which every deadline has passed and marks it settling, not to be run; else NONE. */
  nextExpired(nowUs: number): number {
    for (let i = 0; i < this.lanes.length; i++) {
      const head = this.lanes[i].head();
      if (head === NONE || this.batches[head].latestDeadlineUs > nowUs) continue;
      return this.takeWaiting(this.lanes[i]);
    }
    return NONE;
  }

  /** Takes any waiting batch and marks it settling: at shutdown nothing will run any more. NONE when none waits. */
  nextWaiting(): number {
    for (let i = 0; i < this.lanes.length; i++) {
      if (this.lanes[i].head() !== NONE) return this.takeWaiting(this.lanes[i]);
    }
    return NONE;
  }

  /** A batch that runs, left running; NONE when none does. */
  anyRunning(): number {
    return this.runningCount > 0 ? this.running[0] : NONE;
  }

  /** A running batch came back or was lost with its worker; its tickets are the caller's to answer. */
  stop(slab: number): void {
    const batch = this.batches[slab];
    if (batch.state !== BATCH.running) throw new Error(`stop: batch ${slab} is in state ${batch.state}`);
    batch.state = BATCH.settling;
    this.lanes[batch.model].running--;
    for (let i = 0; i < this.runningCount; i++) {
      if (this.running[i] !== slab) continue;
      this.running[i] = this.running[--this.runningCount];
      return;
    }
  }

  /** Every ticket is answered. With `lost` the slab stays out of use until `recover`. */
  settle(slab: number, lost = false): void {
    const batch = this.batches[slab];
    if (batch.state !== BATCH.settling) throw new Error(`settle: batch ${slab} is in state ${batch.state}`);
    batch.clear();
    if (lost) batch.state = BATCH.lost;
    else this.release(slab);
  }

  /** The thread that could still touch a lost slab is gone. */
  recover(slab: number): void {
    const batch = this.batches[slab];
    if (batch.state !== BATCH.lost) throw new Error(`recover: batch ${slab} is in state ${batch.state}`);
    batch.state = BATCH.free;
    this.release(slab);
  }

  /**
   * Microseconds until the scores of `candidateRows` rows reserved now would be back: what runs, what waits (of every
   * model, since any may go first) and the own batch. Infinity while no worker is up. O(models + workers).
   */
  estimateUs(model: number, candidateRows: number, nowUs: number): number {
    const lane = this.lanes[model];
    const cost = this.costs[model];
    let workUs = this.waitingUs();
    let ownRows = candidateRows;
    if (lane.open !== NONE) {
      const openRows = this.batches[lane.open].candidateRows;
      if (openRows + candidateRows <= lane.limits.candidateRowsMax) {
        ownRows += openRows;
        workUs -= cost.predictUs(openRows);
      }
    }
    return this.startDelayUs(workUs, nowUs) + cost.predictUs(ownRows);
  }

  /** Batches of the model that wait for a worker, the open one included. */
  waitingCount(model: number): number {
    const lane = this.lanes[model];
    return lane.queueLength + (lane.open === NONE ? 0 : 1);
  }

  runningCountOf(model: number): number {
    return this.lanes[model].running;
  }

  freeCountOf(model: number): number {
    return this.lanes[model].freeCount;
  }

  /** Nothing waits and nothing runs. */
  get idle(): boolean {
    if (this.runningCount > 0) return false;
    for (const lane of this.lanes) if (lane.head() !== NONE) return false;
    return true;
  }

  /** True when the batch would be in time as it is, and would not be with these rows. */
  private growthMakesLate(model: number, open: Batch, candidateRows: number, nowUs: number): boolean {
    const cost = this.costs[model];
    const slackUs = open.earliestDeadlineUs - nowUs - cost.predictUs(open.candidateRows);
    // The common case is a slack of many batches; then nothing has to be summed up.
    if (slackUs === Number.POSITIVE_INFINITY || slackUs <= 0) return false;
    const startUs = this.startDelayUs(this.waitingUs() - cost.predictUs(open.candidateRows), nowUs);
    return startUs <= slackUs && startUs + cost.b * candidateRows > slackUs;
  }

  /** Predicted work of everything that waits, in microseconds of one worker. */
  private waitingUs(): number {
    let us = 0;
    for (let i = 0; i < this.lanes.length; i++) {
      const lane = this.lanes[i];
      const cost = this.costs[i];
      us += cost.a * lane.queueLength + cost.b * lane.queuedRows;
      if (lane.open !== NONE) us += cost.predictUs(this.batches[lane.open].candidateRows);
    }
    return us;
  }

  /**
   * When a worker would be free for new work after `workUs` of waiting work: the level to which that work fills up the
   * workers, over what each still has in flight. Workers busy for longer than the level take none of it and drop out.
   */
  private startDelayUs(workUs: number, nowUs: number): number {
    if (this.workers <= 0) return Number.POSITIVE_INFINITY;
    const idleWorkers = Math.max(0, this.workers - this.runningCount);
    let levelUs = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= this.runningCount; round++) {
      let sumUs = Math.max(0, workUs);
      let count = idleWorkers;
      for (let i = 0; i < this.runningCount; i++) {
        const remainingUs = this.remainingUs(this.batches[this.running[i]], nowUs);
        if (remainingUs > levelUs) continue;
        sumUs += remainingUs;
        count++;
      }
      if (count === 0) break;
      const nextUs = sumUs / count;
      if (nextUs >= levelUs) break;
      levelUs = nextUs;
    }
    return levelUs;
  }

  /** A batch that is overdue by x is expected to need x more: a hung worker looks worse the longer it hangs. */
  private remainingUs(batch: Batch, nowUs: number): number {
    return Math.abs(batch.startedUs + batch.predictedUs - nowUs);
  }

  private urgency(lane: Lane): number {
    let deadlineUs = lane.open === NONE ? Number.POSITIVE_INFINITY : this.batches[lane.open].earliestDeadlineUs;
    for (let i = 0; i < lane.queueLength; i++) {
      const queued = this.batches[lane.queue[(lane.queueHead + i) % lane.queue.length]];
      if (queued.earliestDeadlineUs < deadlineUs) deadlineUs = queued.earliestDeadlineUs;
    }
    return deadlineUs;
  }

  private enqueue(lane: Lane, slab: number): void {
    const batch = this.batches[slab];
    batch.state = BATCH.queued;
    lane.open = NONE;
    lane.queue[(lane.queueHead + lane.queueLength) % lane.queue.length] = slab;
    lane.queueLength++;
    lane.queuedRows += batch.candidateRows;
  }

  private takeHead(lane: Lane): number {
    if (lane.queueLength === 0) {
      const open = lane.open;
      lane.open = NONE;
      return open;
    }
    const slab = lane.queue[lane.queueHead];
    lane.queueHead = (lane.queueHead + 1) % lane.queue.length;
    lane.queueLength--;
    lane.queuedRows -= this.batches[slab].candidateRows;
    return slab;
  }

  private takeWaiting(lane: Lane): number {
    const slab = this.takeHead(lane);
    this.batches[slab].state = BATCH.settling;
    return slab;
  }

  private release(slab: number): void {
    const lane = this.lanes[this.batches[slab].model];
    lane.free[lane.freeCount++] = slab;
  }
}
