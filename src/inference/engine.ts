/**
 * The engine: slabs, batcher and workers behind one door. Hot: `reserve`, `flush` and what a worker's message sets off
 * allocate nothing.
 *
 * Re-entrancy: every callback to the listener is made from a settled state, so a listener may reserve, flush or ask for
 * an estimate. A slab is free only after its last ticket was answered.
 */
import { builtFile, type Clock } from '../base/index.js';
import { type BatchRows, type ModelSignature, OperatingError } from '../contract/index.js';
import { Batcher, NONE } from './batcher.js';
import { type EngineStats, ModelStats, modelSnapshot } from './engine-stats.js';
import { MODELS_MAX, ROWS_MAX, SLABS_PER_MODEL_MAX, slabsPerModelDefault, WORKERS_MAX } from './limits.js';
import { HEADER, makeSlab, type Slab } from './slab.js';
import { NO_SLAB, type PoolOwner, type WorkerExit, WorkerPool } from './worker-pool.js';
import type { WorkerReady } from './worker-protocol.js';

export interface EngineListener {
  /** Scores of one ticket: scores[offset … offset + count), all finite, valid during the call only. */
  onScores(ticket: number, model: number, scores: Float32Array, offset: number, count: number): void;
  /** There will be no scores: the worker was lost, the runtime refused the batch, it expired, or a score is not finite. */
  onFailed(ticket: number, model: number): void;
  /** Every ticket of a batch has been answered: the place to send what the callbacks gathered. */
  onBatchEnd?(model: number): void;
}

export interface EngineModel {
  readonly name: string;
  readonly version: number;
  /** The .onnx file. */
  readonly file: string;
  readonly signature: ModelSignature;
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** At most this many of its batches run at once; by default as many as there are workers. */
  readonly instanceCount?: number;
}

export interface EngineOptions {
  readonly models: readonly EngineModel[];
  /** Threads, each with its own session of every model. */
  readonly workers: number;
  /** Batches of a model that may exist at once; default workers + 10, see `slabsPerModelDefault`. */
  readonly slabsPerModel?: number;
  /** A worker whose batch takes longer is given up. */
  readonly batchTimeoutUs: number;
  readonly listener: EngineListener;
  readonly clock: Clock;
  /** The runtime refused a batch, with a message unlike the one before. */
  onBatchRefused?(model: string, message: string): void;
  onWorkerExit?(exit: { worker: number; reason: string; ticketsFailed: number; restartInUs: number }): void;
}

export class Engine {
  /** Where the rows of the last `reserve` begin. */
  requestRow = 0;
  candidateRow = 0;

  private readonly slabs: readonly Slab[];
  private readonly batcher: Batcher;
  private readonly pool: WorkerPool;
  private readonly counts: readonly ModelStats[];
  private warm = false;
  private readsSharedMemory = false;
  private closing = false;
  private idleWaiters: (() => void)[] = [];

  /**
   * Resolves when every worker has loaded, checked and warmed every model.
   * @throws OperatingError VK_MODEL_LOAD, VK_MODEL_SIGNATURE (model owner), VK_WORKER, VK_ENGINE_LIMIT (operator)
   */
  static async start(options: EngineOptions): Promise<Engine> {
    checkLimits(options);
    const engine = new Engine(options);
    await engine.pool.start();
    return engine;
  }

  private constructor(private readonly options: EngineOptions) {
    const { models, workers, clock } = options;
    const slabsPerModel = options.slabsPerModel ?? slabsPerModelDefault(workers);
    this.batcher = new Batcher(
      models.map((model) => ({ ...model, concurrencyMax: Math.min(model.instanceCount ?? workers, workers) })),
      slabsPerModel,
      workers,
    );
    this.slabs = models.flatMap((model) => Array.from({ length: slabsPerModel }, () => makeSlab(model)));
    this.counts = models.map(() => new ModelStats());
    const workerModels = models.map(({ name, file, signature, requestRowsMax, candidateRowsMax }, index) => {
      const firstSlab = index * slabsPerModel;
      const slabs = this.slabs.slice(firstSlab, firstSlab + slabsPerModel).map((slab) => slab.memory);
      return { name, file, signature, requestRowsMax, candidateRowsMax, firstSlab, slabs };
    });
    const owner: PoolOwner = {
      onReady: (ready) => this.workerReady(ready),
      onDone: (slab) => this.batchDone(slab),
      onBatchFailed: (slab, message) => this.batchFailed(slab, message),
      onExit: (exit) => this.workerLost(exit),
    };
    this.pool = new WorkerPool(builtFile(import.meta.url, './worker.js'), workers, workerModels, clock, owner);
  }

  /** −1 when unknown. */
  modelIndex(name: string): number {
    return this.options.models.findIndex((model) => model.name === name);
  }

  /**
   * Reserves rows in the model's open batch. On a result the caller must, before it returns to the event loop, write
   * rows [requestRow, requestRow + requestRows) of the request tensors, [candidateRow, candidateRow + candidateRows) of
   * the candidate tensors and of `requestIndex` (with request rows counted from the batch's start); the engine then
   * answers the ticket exactly once. On null it has not taken the ticket: no slab is free, or the request is larger
   * than the model's bounds; the caller answers overloaded.
   *
   * @param ticket any integer, unique among the model's tickets in flight
   * @param deadlineUs when the scores are worth nothing any more, on the engine's clock
   */
  reserve(
    model: number,
    requestRows: number,
    candidateRows: number,
    ticket: number,
    deadlineUs: number,
  ): BatchRows | null {
    const nowUs = this.options.clock.nowUs();
    const slab = this.closing
      ? NONE
      : this.batcher.reserve(model, requestRows, candidateRows, ticket, deadlineUs, nowUs);
    if (slab === NONE) {
      this.counts[model].refused++;
      return null;
    }
    this.requestRow = this.batcher.requestRow;
    this.candidateRow = this.batcher.candidateRow;
    return this.slabs[slab];
  }

  /** The end of an event-loop turn: everything reserved is written, and what a free worker can take may leave. */
  flush(): void {
    const nowUs = this.options.clock.nowUs();
    for (;;) {
      // Before each batch, since taking one brings the next to the head of its queue.
      this.dropExpired(nowUs);
      const slab = this.batcher.next(nowUs);
      if (slab === NONE) return;
      const { header } = this.slabs[slab];
      const batch = this.batcher.batches[slab];
      header[HEADER.requestRows] = batch.requestRows;
      header[HEADER.candidateRows] = batch.candidateRows;
      this.pool.ring(slab, nowUs);
    }
  }

  /** The watchdog, to be called every few milliseconds: hung workers, restarts, batches that nobody could run in time. */
  tick(nowUs: number): void {
    this.pool.tick(nowUs, this.options.batchTimeoutUs);
    this.dropExpired(nowUs);
  }

  /** Microseconds until the scores of `candidateRows` rows reserved now would be back; Infinity while no worker is up. */
  estimateUs(model: number, candidateRows: number): number {
    return this.batcher.estimateUs(model, candidateRows, this.options.clock.nowUs());
  }

  /** Workers are up and no batch waits or runs. */
  get idle(): boolean {
    return this.batcher.workers > 0 && this.batcher.idle;
  }

  stats(): EngineStats {
    return {
      workers: this.options.workers,
      workersUp: this.batcher.workers,
      workersLost: this.pool.losses,
      workersAbandoned: this.pool.abandonedCount,
      readsSharedMemory: this.readsSharedMemory,
      slabBytes: this.slabs.reduce((sum, slab) => sum + slab.memory.byteLength, 0),
      models: this.options.models.map(({ name, version }, model) => ({
        name,
        version,
        ...modelSnapshot(this.counts[model], this.batcher, model),
      })),
    };
  }

  /** Resolves when no batch waits or runs. The caller stops reserving first and keeps calling `tick`. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.idleWaiters.push(resolve);
      this.wakeIdleWaiters();
    });
  }

  /** Fails what waits, lets what runs finish within the batch timeout, then fails it too and ends the threads. */
  async close(): Promise<void> {
    if (this.closing) return;
    this.closing = true;
    for (let slab = this.batcher.nextWaiting(); slab !== NONE; slab = this.batcher.nextWaiting()) this.fail(slab);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, this.options.batchTimeoutUs / 1000);
    });
    await Promise.race([this.drain(), timeout]);
    clearTimeout(timer);
    for (let slab = this.batcher.anyRunning(); slab !== NONE; slab = this.batcher.anyRunning()) {
      this.batcher.stop(slab);
      this.fail(slab);
    }
    await this.pool.close();
    this.batcher.workers = 0;
  }

  private workerReady(ready: WorkerReady): void {
    if (!this.warm) {
      // The first worker's figures: the cost model gives them a fixed weight, which every restart would increase.
      this.warm = true;
      this.readsSharedMemory = ready.readsSharedMemory;
      for (const { model, candidateRows, runUs } of ready.warmUps) this.batcher.costs[model].seed(candidateRows, runUs);
    }
    this.batcher.workers++;
    this.flush();
  }

  private batchDone(slab: number): void {
    const batch = this.batcher.batches[slab];
    const { runUs, header, scores } = this.slabs[slab];
    const counts = this.counts[batch.model];
    this.batcher.stop(slab);
    this.batcher.costs[batch.model].observe(batch.candidateRows, this.options.clock.nowUs() - batch.startedUs);
    counts.ran(batch.requestRows, batch.candidateRows, runUs[0]);
    // The worker is free: the next batch leaves before this one's answers are written, so that it never waits for them.
    try {
      this.flush();
    } finally {
      this.answer(slab, scores, header[HEADER.hasNonFinite] === 1);
    }
  }

  private batchFailed(slab: number, message: string): void {
    const { model } = this.batcher.batches[slab];
    this.batcher.stop(slab);
    // Said once, not once per batch: a model that refuses one batch tends to refuse them all.
    if (message !== this.counts[model].lastFailure)
      this.options.onBatchRefused?.(this.options.models[model].name, message);
    this.counts[model].batchFailed(message);
    try {
      this.flush();
    } finally {
      this.fail(slab);
    }
  }

  private workerLost(exit: WorkerExit): void {
    const { slab, gone } = exit;
    if (exit.wasReady) this.batcher.workers--;
    let ticketsFailed = 0;
    if (slab !== NO_SLAB) {
      const batch = this.batcher.batches[slab];
      ticketsFailed = batch.ticketCount;
      this.batcher.stop(slab);
      this.counts[batch.model].batchFailed(exit.reason);
      this.fail(slab, gone);
    }
    const { worker, reason, restartInUs } = exit;
    this.options.onWorkerExit?.({ worker, reason, ticketsFailed, restartInUs });
  }

  private dropExpired(nowUs: number): void {
    for (let slab = this.batcher.nextExpired(nowUs); slab !== NONE; slab = this.batcher.nextExpired(nowUs)) {
      this.counts[this.batcher.batches[slab].model].batchesExpired++;
      this.fail(slab);
    }
  }

  private answer(slab: number, scores: Float32Array, hasNonFinite: boolean): void {
    const { model, tickets, offsets, ticketCount } = this.batcher.batches[slab];
    const { listener } = this.options;
    let thrown: unknown;
    for (let i = 0; i < ticketCount; i++) {
      const offset = offsets[i];
      const count = offsets[i + 1] - offset;
      // A listener that throws is a bug, but not of the other tickets: they are answered before it surfaces.
      try {
        if (hasNonFinite && !allFinite(scores, offset, count)) {
          this.counts[model].ticketsNonFinite++;
          this.counts[model].ticketsFailed++;
          listener.onFailed(tickets[i], model);
        } else {
          listener.onScores(tickets[i], model, scores, offset, count);
        }
      } catch (error) {
        thrown ??= error;
      }
    }
    this.batcher.settle(slab);
    this.batchEnded(model, thrown);
  }

  /** @param gone see WorkerExit: until then the slab is out of use. */
  private fail(slab: number, gone: Promise<void> | null = null): void {
    const { model, tickets, ticketCount } = this.batcher.batches[slab];
    const { listener } = this.options;
    this.counts[model].ticketsFailed += ticketCount;
    let thrown: unknown;
    for (let i = 0; i < ticketCount; i++) {
      try {
        listener.onFailed(tickets[i], model);
      } catch (error) {
        thrown ??= error;
      }
    }
    this.batcher.settle(slab, gone !== null);
    gone?.then(() => this.batcher.recover(slab));
    this.batchEnded(model, thrown);
  }

  private batchEnded(model: number, thrown: unknown): void {
    this.wakeIdleWaiters();
    this.options.listener.onBatchEnd?.(model);
    if (thrown !== undefined) throw thrown;
  }

  private wakeIdleWaiters(): void {
    if (this.idleWaiters.length === 0 || !this.batcher.idle) return;
    const waiters = this.idleWaiters;
    this.idleWaiters = [];
    for (const wake of waiters) wake();
  }
}

function allFinite(scores: Float32Array, offset: number, count: number): boolean {
  for (let i = offset; i < offset + count; i++) if (!Number.isFinite(scores[i])) return false;
  return true;
}

/** @throws OperatingError VK_ENGINE_LIMIT (operator) */
function checkLimits(options: EngineOptions): void {
  const expect = (name: string, value: number, min: number, max: number): void => {
    if (Number.isInteger(value) && value >= min && value <= max) return;
    throw new OperatingError('VK_ENGINE_LIMIT', 'operator', `${name} is ${value}; it must be ${min} to ${max}.`);
  };
  expect('models', options.models.length, 0, MODELS_MAX);
  expect('workers', options.workers, 1, WORKERS_MAX);
  expect('slabsPerModel', options.slabsPerModel ?? slabsPerModelDefault(options.workers), 1, SLABS_PER_MODEL_MAX);
  for (const model of options.models) {
    expect(`${model.name}: requestRowsMax`, model.requestRowsMax, 1, ROWS_MAX);
    expect(`${model.name}: candidateRowsMax`, model.candidateRowsMax, 1, ROWS_MAX);
    expect(`${model.name}: instanceCount`, model.instanceCount ?? options.workers, 1, WORKERS_MAX);
  }
}
