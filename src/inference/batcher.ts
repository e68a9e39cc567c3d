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
 *
 * A model may also have a queue of requests that carry their own tensors (the v2 protocol). Their batch is formed only
 * when it leaves, by the queue's rules, and competes with the batches of rows for the same instances and workers.
 */
import { BATCH, Batch } from './batch.js';
import { CostModel } from './cost-model.js';
import type { InferEntry } from './infer-entry.js';
import type { RequestQueue } from './request-queue.js';

/** `reserve` found no room; `next` and `nextExpired` found nothing to do. */
export const NONE = -1;

export interface BatcherModel {
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** At most this many batches of the model run at once (Triton's instance count). */
  readonly concurrencyMax: number;
  /** Requests that bring their tensors along; null where only rows are reserved. */
  readonly queue?: RequestQueue<InferEntry> | null;
  /** Its batches run elsewhere and take no worker. */
  readonly isElsewhere?: boolean;
}

/**
 * A queued request has no deadline of the auction's kind; to compare it with those that have, it counts as due this long
 * after its arrival: about an exchange's tmax, so that neither kind starves the other.
 */
const QUEUED_DUE_US = 100_000;

class Lane {
  open = NONE;
  running = 0;
  /** Instances that can take batches; set by the owner as they come and go. */
  instancesUp: number;
  isClosed = false;
  /** What the queue asks when it has to say what would be late. */
  predictUs: (rows: number) => number = () => 0;
  /** Stack of free slab ids for batches of queued requests. */
  readonly queuedFree: number[] = [];
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
    this.instancesUp = limits.concurrencyMax;
    this.queue = new Int32Array(slabs);
    this.free = new Int32Array(slabs);
    for (let i = 0; i < slabs; i++) this.free[this.freeCount++] = firstSlab + slabs - 1 - i;
  }

  head(): number {
    return this.queueLength > 0 ? this.queue[this.queueHead] : this.open;
  }
}

export class Batcher {
  /** By slab id. */
  readonly batches: Batch[] = [];
  /** By model. */
  readonly costs: CostModel[] = [];
  /** Batches that may run at once on this machine; set by the owner. */
  workers = 0;
  /** Where the last reserved rows begin. */
  requestRow = 0;
  candidateRow = 0;

  /** By model; null where one was removed, until its number is given to the next. */
  private readonly lanes: (Lane | null)[] = [];
  /** Slab ids of running batches, in no order: those that hold a worker, and those that run elsewhere. */
  private readonly running: number[] = [];
  private readonly runningElsewhere: number[] = [];
  private opened = 0;
  private readonly expired: InferEntry[] = [];
  private readonly stride: number;

  /**
   * @param slabsPerModel batches of reserved rows that can exist at once
   * @param queuedSlabsPerModel batches of queued requests that can run or be answered at once
   */
  constructor(
    models: readonly BatcherModel[],
    private readonly slabsPerModel: number,
    queuedSlabsPerModel = 0,
  ) {
    this.stride = slabsPerModel + queuedSlabsPerModel;
    for (const model of models) this.addModel(model);
  }

  /** @returns the model's number: the lowest that is free */
  addModel(limits: BatcherModel): number {
    const free = this.lanes.indexOf(null);
    const model = free === -1 ? this.lanes.length : free;
    const first = model * this.stride;
    const lane = new Lane(limits, first, this.slabsPerModel);
    for (let i = 0; i < this.stride; i++) {
      const isQueued = i >= this.slabsPerModel;
      this.batches[first + i] = new Batch(model, isQueued ? 0 : limits.candidateRowsMax, isQueued);
      if (isQueued) lane.queuedFree.push(first + i);
    }
    const cost = new CostModel();
    lane.predictUs = (rows) => cost.predictUs(rows);
    this.costs[model] = cost;
    this.lanes[model] = lane;
    return model;
  }

  /** The model is idle and closed; its number may be given to another. */
  removeModel(model: number): void {
    if (!this.isModelIdle(model)) throw new Error(`removeModel: model ${model} is not idle`);
    this.lanes[model] = null;
  }

  /** Takes no more; what waits and runs goes on. */
  closeModel(model: number): void {
    this.lane(model).isClosed = true;
  }

  isClosed(model: number): boolean {
    return this.lane(model).isClosed;
  }

  /** Instances of the model that can take batches. */
  setInstances(model: number, instancesUp: number): void {
    this.lane(model).instancesUp = instancesUp;
  }

  instancesOf(model: number): number {
    return this.lane(model).instancesUp;
  }

  /** Takes out of every queue what waited too long, and of which nothing can come any more. */
  expireQueued(nowUs: number, expired: (model: number, entries: InferEntry[]) => void): void {
    for (let model = 0; model < this.lanes.length; model++) {
      const lane = this.lanes[model];
      const queue = lane?.limits.queue ?? null;
      if (lane === null || queue === null || queue.length === 0) continue;
      queue.expire(nowUs, lane.predictUs, this.expired);
      if (this.expired.length > 0) expired(model, this.expired.splice(0));
    }
  }

  /** When a queue that waits for its delay alone will be due; Infinity when none does. */
  queuedDueAtUs(nowUs: number): number {
    let dueUs = Number.POSITIVE_INFINITY;
    for (const lane of this.lanes) {
      const queue = lane?.limits.queue ?? null;
      if (lane === null || queue === null || queue.length === 0) continue;
      dueUs = Math.min(dueUs, queue.dueAtUs(nowUs, lane.predictUs));
    }
    return dueUs;
  }

  queueOf(model: number): RequestQueue<InferEntry> | null {
    return this.lane(model).limits.queue ?? null;
  }

  /** The slab's place among those of its model. */
  slotOf(slab: number): number {
    return slab % this.stride;
  }

  get modelsMax(): number {
    return this.lanes.length;
  }

  hasModel(model: number): boolean {
    return this.lanes[model] != null;
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
    const lane = this.lane(model);
    const { limits } = lane;
    if (lane.isClosed) return NONE;
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

  /**
   * Takes the batch that a free instance should run now and marks it running; NONE when there is no instance, no worker
   * or no batch. A batch of queued requests is formed here, in `entries`.
   */
  next(nowUs: number): number {
    const isWorkerFree = this.running.length < this.workers;
    let best: Lane | null = null;
    let bestIsQueued = false;
    let bestDeadlineUs = Number.POSITIVE_INFINITY;
    let bestSequence = 0;
    for (let i = 0; i < this.lanes.length; i++) {
      const lane = this.lanes[i];
      if (lane === null || lane.running >= Math.min(lane.instancesUp, lane.limits.concurrencyMax)) continue;
      if (!isWorkerFree && lane.limits.isElsewhere !== true) continue;
      const head = lane.head();
      if (head !== NONE) {
        const deadlineUs = this.urgency(lane);
        const { sequence } = this.batches[head];
        if (
          best === null ||
          deadlineUs < bestDeadlineUs ||
          (deadlineUs === bestDeadlineUs && sequence < bestSequence)
        ) {
          best = lane;
          bestIsQueued = false;
          bestDeadlineUs = deadlineUs;
          bestSequence = sequence;
        }
      }
      const queue = lane.limits.queue ?? null;
      if (queue === null || queue.length === 0 || lane.queuedFree.length === 0 || !queue.due(nowUs, lane.predictUs))
        continue;
      const deadlineUs = queue.oldestArrivalUs() + QUEUED_DUE_US;
      if (best !== null && deadlineUs >= bestDeadlineUs) continue;
      best = lane;
      bestIsQueued = true;
      bestDeadlineUs = deadlineUs;
    }
    if (best === null) return NONE;
    const slab = bestIsQueued ? this.formQueued(best, nowUs) : this.takeHead(best);
    const batch = this.batches[slab];
    batch.state = BATCH.running;
    batch.startedUs = nowUs;
    batch.predictedUs = this.costs[batch.model].predictUs(batch.candidateRows);
    best.running++;
    if (best.limits.isElsewhere === true) this.runningElsewhere.push(slab);
    else this.running.push(slab);
    return slab;
  }

  private formQueued(lane: Lane, nowUs: number): number {
    const slab = lane.queuedFree.pop() as number;
    const batch = this.batches[slab];
    batch.sequence = this.opened++;
    batch.candidateRows = lane.limits.queue?.take(nowUs, lane.predictUs, batch.entries) ?? 0;
    if (batch.entries.length === 0) throw new Error('a queue that was due gave no batch');
    return slab;
  }

  /** Takes a waiting batch of which every deadline has passed and marks it settling, not to be run; else NONE. */
  nextExpired(nowUs: number): number {
    for (let i = 0; i < this.lanes.length; i++) {
      const lane = this.lanes[i];
      const head = lane === null ? NONE : lane.head();
      if (lane === null || head === NONE || this.batches[head].latestDeadlineUs > nowUs) continue;
      return this.takeWaiting(lane);
    }
    return NONE;
  }

  /** Takes any waiting batch and marks it settling: at shutdown nothing will run any more. NONE when none waits. */
  nextWaiting(): number {
    for (const lane of this.lanes) {
      if (lane !== null && lane.head() !== NONE) return this.takeWaiting(lane);
    }
    return NONE;
  }

  /** A batch that runs, left running; NONE when none does. */
  anyRunning(): number {
    return this.running[0] ?? this.runningElsewhere[0] ?? NONE;
  }

  /** A running batch came back or was lost with its worker; its tickets are the caller's to answer. */
  stop(slab: number): void {
    const batch = this.batches[slab];
    if (batch.state !== BATCH.running) throw new Error(`stop: batch ${slab} is in state ${batch.state}`);
    batch.state = BATCH.settling;
    const lane = this.lane(batch.model);
    lane.running--;
    const list = lane.limits.isElsewhere === true ? this.runningElsewhere : this.running;
    for (let i = 0; i < list.length; i++) {
      if (list[i] !== slab) continue;
      const last = list.pop() as number;
      if (i < list.length) list[i] = last;
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
    const lane = this.lane(model);
    if (lane.instancesUp === 0) return Number.POSITIVE_INFINITY;
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
    const lane = this.lane(model);
    return lane.queueLength + (lane.open === NONE ? 0 : 1);
  }

  runningCountOf(model: number): number {
    return this.lane(model).running;
  }

  freeCountOf(model: number): number {
    return this.lane(model).freeCount;
  }

  /** Every model has an instance that can take batches. */
  get isUp(): boolean {
    return this.workers > 0 && this.lanes.every((lane) => lane === null || lane.instancesUp > 0);
  }

  /** Nothing waits and nothing runs. */
  get idle(): boolean {
    if (this.running.length > 0 || this.runningElsewhere.length > 0) return false;
    for (let model = 0; model < this.lanes.length; model++) {
      if (this.lanes[model] !== null && !this.isModelIdle(model)) return false;
    }
    return true;
  }

  /** Nothing of the model waits, runs or is being answered. */
  isModelIdle(model: number): boolean {
    const lane = this.lane(model);
    if (lane.running > 0 || lane.head() !== NONE || (lane.limits.queue?.length ?? 0) > 0) return false;
    const first = model * this.stride;
    for (let i = 0; i < this.stride; i++) if (this.batches[first + i].state === BATCH.settling) return false;
    return true;
  }

  private lane(model: number): Lane {
    return this.lanes[model] as Lane;
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
      if (lane === null || lane.limits.isElsewhere === true) continue;
      const cost = this.costs[i];
      const queue = lane.limits.queue ?? null;
      if (queue !== null && queue.length > 0) us += cost.predictUs(queue.rows);
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
    const idleWorkers = Math.max(0, this.workers - this.running.length);
    let levelUs = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= this.running.length; round++) {
      let sumUs = Math.max(0, workUs);
      let count = idleWorkers;
      for (let i = 0; i < this.running.length; i++) {
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
    const batch = this.batches[slab];
    const lane = this.lanes[batch.model];
    // A lost slab may come back after its model has gone, or after its number was given to another.
    if (lane === null) return;
    if (batch.isQueued) lane.queuedFree.push(slab);
    else lane.free[lane.freeCount++] = slab;
  }
}
