/**
 * The engine: slabs, batcher and workers behind one door. Hot: `reserve`, `flush` and what a worker's message sets off
 * allocate nothing.
 *
 * Re-entrancy: every callback to the listener is made from a settled state, so a listener may reserve, flush or ask for
 * an estimate. A slab is free only after its last ticket was answered.
 */
import { builtFile, type Clock } from '../base/index.js';
import {
  type BatchRows,
  InferError,
  type InferHandle,
  type InferRequest,
  type InferResponse,
  type ModelStatistics,
  type OnInfer,
  OperatingError,
  type Tensor,
} from '../contract/index.js';
import { BATCH, type Batch } from './batch.js';
import { Batcher, NONE } from './batcher.js';
import type { EngineModel, EnginePort } from './engine-port.js';
import { type EngineStats, ModelStats, modelSnapshot } from './engine-stats.js';
import { InferEntry } from './infer-entry.js';
import {
  MODELS_MAX,
  QUEUE_LENGTH_MAX_DEFAULT,
  QUEUED_SLABS,
  ROWS_MAX,
  SLABS_PER_MODEL_MAX,
  slabsPerModelDefault,
  TENSOR_BYTES_MAX,
  WORKERS_MAX,
} from './limits.js';
import type { BatchDurations } from './model-statistics.js';
import { RequestQueue } from './request-queue.js';
import { rowTensors, takeScores } from './row-tensors.js';
import { ServedModel } from './served-model.js';
import { HEADER, type Slab } from './slab.js';
import { SlabMemories } from './slab-memories.js';
import { NO_SLAB, type PoolOwner, type WorkerExit, WorkerPool } from './worker-pool.js';
import type { OutputsOverflowed, WorkerReady } from './worker-protocol.js';

export interface EngineListener {
  /** Scores of one ticket: scores[offset … offset + count), all finite, valid during the call only. */
  onScores(ticket: number, model: number, scores: Float32Array, offset: number, count: number): void;
  /** There will be no scores: the worker was lost, the runtime refused the batch, it expired, or a score is not finite. */
  onFailed(ticket: number, model: number): void;
  /** Every ticket of a batch has been answered: the place to send what the callbacks gathered. */
  onBatchEnd?(model: number): void;
}

export interface EngineOptions {
  /** Loaded before `start` resolves; others come by `addModel`. */
  readonly models: readonly EngineModel[];
  /** Batches that run at once on this machine, over all models; by default also the instances of a model. */
  readonly workers: number;
  /** Batches of reserved rows of a model that may exist at once; default workers + 10, see `slabsPerModelDefault`. */
  readonly slabsPerModel?: number;
  /** Requests that may wait in a model's queue, whatever its own configuration says. */
  readonly queueLengthMax?: number;
  /** A worker whose batch takes longer is given up. */
  readonly batchTimeoutUs: number;
  readonly listener: EngineListener;
  readonly clock: Clock;
  /** Called back at the end of the event-loop turn; setImmediate by default. */
  readonly atEndOfTurn?: (callback: () => void) => void;
  /** The runtime refused a batch, with a message unlike the one before. */
  onBatchRefused?(model: string, message: string): void;
  onWorkerExit?(exit: { model: string; reason: string; ticketsFailed: number; restartInUs: number }): void;
}

export class Engine implements EnginePort {
  /** Where the rows of the last `reserve` begin. */
  requestRow = 0;
  candidateRow = 0;

  private readonly batcher: Batcher;
  private readonly pool: WorkerPool;
  private readonly slabsPerModel: number;
  /** By the model's number. */
  private readonly models: ServedModel[] = [];
  private readonly counts: ModelStats[] = [];
  private readonly memories = new SlabMemories();
  private readsSharedMemory = false;
  private closing = false;
  private isFlushPlanned = false;
  private delayTimer: NodeJS.Timeout | undefined;
  /** When the timer is set for. */
  private delayDueUs = 0;
  private idleWaiters: { isIdle: () => boolean; resolve: () => void }[] = [];

  /**
   * Resolves when every instance of every model is loaded, checked and warm.
   * @throws OperatingError VK_MODEL_LOAD, VK_MODEL_SIGNATURE (model owner), VK_WORKER, VK_ENGINE_LIMIT (operator)
   */
  static async start(options: EngineOptions): Promise<Engine> {
    checkLimits(options);
    const engine = new Engine(options);
    try {
      await Promise.all(options.models.map((model) => engine.addModel(model)));
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  private constructor(private readonly options: EngineOptions) {
    this.slabsPerModel = options.slabsPerModel ?? slabsPerModelDefault(options.workers);
    this.batcher = new Batcher([], this.slabsPerModel, QUEUED_SLABS);
    this.batcher.workers = options.workers;
    const owner: PoolOwner = {
      onReady: (model, ready) => this.workerReady(model, ready),
      onDone: (slab) => this.batchDone(slab, null),
      onOverflowed: (slab, outputs) => this.batchDone(slab, outputs),
      onBatchFailed: (slab, message) => this.batchFailed(slab, message),
      onExit: (exit) => this.workerLost(exit),
    };
    this.pool = new WorkerPool(builtFile(import.meta.url, './worker.js'), options.clock, owner);
  }

  /**
   * Loads a model beside those that run; they are not disturbed. On an error nothing is left behind.
   * @returns its number, for every other call
   * @throws OperatingError VK_MODEL_LOAD, VK_MODEL_SIGNATURE, VK_MODEL_WARM_UP (model owner), VK_WORKER, VK_ENGINE_LIMIT
   */
  async addModel(model: EngineModel): Promise<number> {
    checkModel(model, this.models.filter((_, i) => this.batcher.hasModel(i)).length);
    const { config, executor } = model;
    const { workers } = this.options;
    const instances = executor === undefined ? (model.instanceCount ?? workers) : 0;
    const concurrencyMax = Math.min(executor?.concurrencyMax ?? instances, QUEUED_SLABS + this.slabsPerModel);
    const queue = config === undefined ? null : this.makeQueue(model);
    const number = this.batcher.addModel({ ...model, concurrencyMax, queue, isElsewhere: executor !== undefined });
    const served = new ServedModel(model, this.slabsPerModel, this.memories);
    this.models[number] = served;
    this.counts[number] = new ModelStats();
    this.batcher.setInstances(number, executor?.concurrencyMax ?? 0);
    if (executor !== undefined) return number;
    try {
      await this.pool.add(number, served.workerModel(), instances);
    } catch (error) {
      this.batcher.closeModel(number);
      this.batcher.removeModel(number);
      throw error;
    }
    return number;
  }

  /** Takes no more for the model; resolves when what it has is answered and its sessions are freed. */
  async removeModel(model: number): Promise<void> {
    this.batcher.closeModel(model);
    this.planFlush();
    await this.untilIdle(() => this.closing || this.batcher.isModelIdle(model));
    await this.models[model].model.executor?.close();
    const areThreadsGone = await this.pool.remove(model);
    if (this.closing) return;
    if (areThreadsGone) this.models[model].giveMemoriesBack();
    this.batcher.removeModel(model);
  }

  /** −1 when unknown. */
  modelIndex(name: string): number {
    return this.models.findIndex(({ model }, i) => model.name === name && this.batcher.hasModel(i));
  }

  /**
   * Queues a request that brings its tensors along. It was checked against the model's configuration.
   * @param rows as the model counts them: the batch dimension, candidate rows, or 1 where it does not batch
   */
  infer(model: number, request: InferRequest, rows: number, done: OnInfer): InferHandle {
    const nowUs = this.options.clock.nowUs();
    const served = this.models[model];
    const { plan } = served;
    const queue = this.batcher.queueOf(model);
    if (plan === null || queue === null) throw new Error(`model ${model} takes no tensors`);
    const { inputs } = request;
    const entry = new InferEntry(
      request,
      rows,
      plan.requestRowsOf(inputs),
      plan.shapeKeyOf(inputs),
      nowUs,
      served.ordered(done),
    );
    if (this.closing || this.batcher.isClosed(model)) {
      this.answerLater(model, entry, new InferError('UNAVAILABLE', `model '${request.model}' is being unloaded`));
    } else if (queue.push(entry, nowUs) === 'full') {
      this.counts[model].refused++;
      this.answerLater(model, entry, new InferError('UNAVAILABLE', 'Exceeds maximum queue size'));
    } else {
      this.planFlush();
    }
    return {
      cancel: () => {
        if (queue.remove(entry))
          this.failEntries(model, [entry], new InferError('CANCELLED', 'the request was cancelled'));
      },
    };
  }

  statistics(model: number): ModelStatistics {
    const {
      statistics,
      model: { name, version },
    } = this.models[model];
    return statistics.snapshot(name, version);
  }

  /** Requests of the model that wait for an instance. */
  pendingRequests(model: number): number {
    return this.batcher.queueOf(model)?.length ?? 0;
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
    return this.models[model].rowSlabs[this.batcher.slotOf(slab)];
  }

  /** The end of an event-loop turn: everything reserved is written, and what a free worker can take may leave. */
  flush(): void {
    const nowUs = this.options.clock.nowUs();
    for (;;) {
      // Before each batch, since taking one brings the next to the head of its queue.
      this.dropExpired(nowUs);
      const slab = this.batcher.next(nowUs);
      if (slab === NONE) break;
      const batch = this.batcher.batches[slab];
      if (batch.isQueued) {
        this.dispatchQueued(slab, batch, nowUs);
        continue;
      }
      const served = this.models[batch.model];
      const slot = this.batcher.slotOf(slab);
      if (served.model.executor !== undefined) {
        this.executeRows(slab, batch, served.rowSlabs[slot]);
        continue;
      }
      const { header } = served.rowSlabs[slot];
      header[HEADER.requestRows] = batch.requestRows;
      header[HEADER.candidateRows] = batch.candidateRows;
      this.pool.ring(batch.model, slab, slot, null, nowUs);
    }
    this.planDelay(nowUs);
  }

  /** The watchdog, to be called every few milliseconds: hung workers, restarts, requests that nobody could run in time. */
  tick(nowUs: number): void {
    this.pool.tick(nowUs, this.options.batchTimeoutUs);
    this.dropExpired(nowUs);
  }

  /** Microseconds until the scores of `candidateRows` rows reserved now would be back; Infinity while no worker is up. */
  estimateUs(model: number, candidateRows: number): number {
    return this.batcher.estimateUs(model, candidateRows, this.options.clock.nowUs());
  }

  /** Every model has an instance up and no batch waits or runs. */
  get idle(): boolean {
    return this.batcher.isUp && this.batcher.idle;
  }

  stats(): EngineStats {
    const numbers = this.models.map((_, i) => i).filter((i) => this.batcher.hasModel(i));
    return {
      workers: this.options.workers,
      instancesUp: numbers.reduce((sum, i) => sum + this.batcher.instancesOf(i), 0),
      threads: this.pool.threadCount,
      workersLost: this.pool.losses,
      workersAbandoned: this.pool.abandonedCount,
      readsSharedMemory: this.readsSharedMemory,
      slabBytes: numbers.reduce((sum, i) => sum + this.models[i].slabBytes, 0),
      models: numbers.map((i) => ({
        name: this.models[i].model.name,
        version: this.models[i].model.version,
        ...modelSnapshot(this.counts[i], this.batcher, i),
      })),
    };
  }

  /** Resolves when no batch waits or runs. The caller stops reserving first and keeps calling `tick`. */
  drain(): Promise<void> {
    return this.untilIdle(() => this.batcher.idle);
  }

  /** Fails what waits, lets what runs finish within the batch timeout, then fails it too and ends the threads. */
  async close(): Promise<void> {
    if (this.closing) return;
    this.closing = true;
    clearTimeout(this.delayTimer);
    for (let slab = this.batcher.nextWaiting(); slab !== NONE; slab = this.batcher.nextWaiting()) this.fail(slab);
    this.models.forEach((_, model) => {
      const waiting: InferEntry[] = [];
      if (this.batcher.hasModel(model)) this.batcher.queueOf(model)?.drain(waiting);
      this.failEntries(model, waiting, SHUTTING_DOWN());
    });
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
    await Promise.all(this.models.map(({ model }) => model.executor?.close()));
    await this.pool.close();
    this.batcher.workers = 0;
    this.wakeIdleWaiters();
  }

  private makeQueue({ config, requestRowsMax, candidateRowsMax }: EngineModel): RequestQueue<InferEntry> | null {
    if (config === undefined) return null;
    const mergeRowsMax = config.twoScope !== undefined && config.queue.dynamicBatching ? candidateRowsMax : 0;
    const lengthMax = this.options.queueLengthMax ?? QUEUE_LENGTH_MAX_DEFAULT;
    const bounds = { lengthMax, mergeRowsMax, requestRowsMax, bytesMax: TENSOR_BYTES_MAX };
    return new RequestQueue<InferEntry>(config.queue, bounds);
  }

  /** Gathers the tensors of a batch that was just formed and hands it to its executor or its instance. */
  private dispatchQueued(slab: number, batch: Batch, nowUs: number): void {
    const served = this.models[batch.model];
    for (const entry of batch.entries) entry.startedUs = nowUs;
    const slot = this.batcher.slotOf(slab);
    if (served.model.executor === undefined) {
      let memory: SharedArrayBuffer;
      try {
        memory = served.gather(batch.entries, slot);
      } catch (cause) {
        // The machine has no memory for it: the batch fails, and the next is smaller.
        this.batcher.stop(slab);
        this.fail(slab, null, (cause as Error).message);
        return;
      }
      batch.gatherUs = this.options.clock.nowUs() - nowUs;
      this.pool.ring(batch.model, slab, slot, memory, nowUs);
      return;
    }
    const inputs = served.merge(batch.entries);
    batch.gatherUs = this.options.clock.nowUs() - nowUs;
    const deadlineUs = batch.entries.reduce(
      (least, entry) => Math.min(least, entry.deadlineUs),
      Number.POSITIVE_INFINITY,
    );
    const { sequence } = batch;
    const { outputs } = served.model.config as NonNullable<EngineModel['config']>;
    served.model.executor.execute({ inputs, outputs, rows: batch.candidateRows, deadlineUs }, (error, results) => {
      // At close a batch that still runs is failed before its executor comes back.
      if (batch.entries.length > 0 && batch.sequence === sequence) this.executed(slab, error, results);
    });
  }

  /** A batch of the bid path for a model that runs elsewhere. */
  private executeRows(slab: number, batch: Batch, rows: Slab): void {
    const { executor, config, signature, name } = this.models[batch.model].model;
    if (executor === undefined || config === undefined || signature === undefined)
      throw new Error(`no rows for ${name}`);
    const { candidateRows, earliestDeadlineUs: deadlineUs, sequence } = batch;
    const inputs = rowTensors(rows, signature, config, batch.requestRows, candidateRows);
    const { outputs } = config;
    executor.execute({ inputs, outputs, rows: candidateRows, deadlineUs }, (error, results) => {
      // At close a batch that still runs is failed before its executor comes back.
      if (batch.sequence !== sequence || batch.state !== BATCH.running) return;
      const us = this.options.clock.nowUs() - batch.startedUs;
      let failure = error;
      try {
        if (results !== null) takeScores(rows, signature, candidateRows, results);
      } catch (thrown) {
        failure = thrown as InferError;
      }
      if (failure !== null) {
        this.batchFailed(slab, failure.message);
        return;
      }
      this.batcher.stop(slab);
      this.batcher.costs[batch.model].observe(candidateRows, us);
      this.counts[batch.model].ran(batch.requestRows, candidateRows, us);
      const durations = { inputUs: 0, inferUs: us, outputUs: 0 };
      this.models[batch.model].statistics.batchRan(
        batch.ticketCount,
        candidateRows,
        durations,
        this.options.clock.epochMs(),
      );
      try {
        this.flush();
      } finally {
        this.answer(slab, rows.scores, true);
      }
    });
  }

  private executed(slab: number, error: InferError | null, outputs: readonly Tensor[] | null): void {
    const batch = this.batcher.batches[slab];
    const us = this.options.clock.nowUs() - batch.startedUs;
    this.batcher.stop(slab);
    if (error === null) {
      this.counts[batch.model].ran(0, batch.candidateRows, us);
      this.batcher.costs[batch.model].observe(batch.candidateRows, us);
    } else {
      this.counts[batch.model].batchFailed(error.message);
    }
    try {
      this.flush();
    } finally {
      const durations = { inputUs: batch.gatherUs, inferUs: Math.max(0, us - batch.gatherUs), outputUs: 0 };
      this.answerQueued(slab, error, outputs, durations);
    }
  }

  private workerReady(model: number, ready: WorkerReady): void {
    const served = this.models[model];
    if (!served.isWarm) {
      // The first worker's figures: the cost model gives them a fixed weight, which every restart would increase.
      served.isWarm = true;
      if (served.rowSlabs.length > 0) this.readsSharedMemory = ready.readsSharedMemory;
      for (const { rows, runUs } of ready.warmUps) this.batcher.costs[model].seed(rows, runUs);
    }
    this.batcher.setInstances(model, this.batcher.instancesOf(model) + 1);
    this.flush();
  }

  private batchDone(slab: number, overflowed: OutputsOverflowed['outputs'] | null): void {
    const batch = this.batcher.batches[slab];
    const served = this.models[batch.model];
    const slot = this.batcher.slotOf(slab);
    this.batcher.stop(slab);
    const us = this.options.clock.nowUs() - batch.startedUs;
    this.batcher.costs[batch.model].observe(batch.candidateRows, us);
    const counts = this.counts[batch.model];
    if (batch.isQueued) {
      const { durationsUs } = served.queuedSlab(slot);
      const [inputUs, inferUs, outputUs] = durationsUs;
      counts.ran(0, batch.candidateRows, inputUs + inferUs + outputUs);
      const outputs = served.takeOutputs(slot, overflowed);
      try {
        this.flush();
      } finally {
        this.answerQueued(slab, null, outputs, { inputUs: inputUs + batch.gatherUs, inferUs, outputUs });
      }
      return;
    }
    const { runUs, header, scores } = served.rowSlabs[slot];
    counts.ran(batch.requestRows, batch.candidateRows, runUs[0]);
    const durations = { inputUs: 0, inferUs: runUs[0], outputUs: 0 };
    served.statistics.batchRan(batch.ticketCount, batch.candidateRows, durations, this.options.clock.epochMs());
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
      this.options.onBatchRefused?.(this.models[model].model.name, message);
    this.counts[model].batchFailed(message);
    try {
      this.flush();
    } finally {
      this.fail(slab, null, message);
    }
  }

  private workerLost(exit: WorkerExit): void {
    const { model, slab, gone, reason, restartInUs } = exit;
    if (exit.wasReady) this.batcher.setInstances(model, this.batcher.instancesOf(model) - 1);
    let ticketsFailed = 0;
    if (slab !== NO_SLAB) {
      const batch = this.batcher.batches[slab];
      ticketsFailed = batch.isQueued ? batch.entries.length : batch.ticketCount;
      this.batcher.stop(slab);
      this.counts[model].batchFailed(reason);
      // Its thread may still write: the memory is left to it, and the next batch here gets another.
      if (batch.isQueued) this.models[model].dropQueuedSlab(this.batcher.slotOf(slab));
      this.fail(slab, batch.isQueued ? null : gone, reason);
    }
    this.options.onWorkerExit?.({ model: this.models[model].model.name, reason, ticketsFailed, restartInUs });
  }

  private dropExpired(nowUs: number): void {
    for (let slab = this.batcher.nextExpired(nowUs); slab !== NONE; slab = this.batcher.nextExpired(nowUs)) {
      this.counts[this.batcher.batches[slab].model].batchesExpired++;
      this.fail(slab);
    }
    this.batcher.expireQueued(nowUs, this.onQueuedExpired);
  }

  private readonly onQueuedExpired = (model: number, entries: InferEntry[]): void => {
    this.failEntries(model, entries, new InferError('UNAVAILABLE', 'Request timeout expired'));
  };

  private planFlush(): void {
    if (this.isFlushPlanned) return;
    this.isFlushPlanned = true;
    (this.options.atEndOfTurn ?? setImmediate)(() => {
      this.isFlushPlanned = false;
      this.flush();
    });
  }

  /** Wakes when a queue's delay is over. The timer's grain is a millisecond; requests that arrive meanwhile look too. */
  private planDelay(nowUs: number): void {
    if (this.closing) return;
    const dueUs = this.batcher.queuedDueAtUs(nowUs);
    if (dueUs === Number.POSITIVE_INFINITY || (this.delayTimer !== undefined && this.delayDueUs <= dueUs)) return;
    clearTimeout(this.delayTimer);
    this.delayDueUs = dueUs;
    this.delayTimer = setTimeout(
      () => {
        this.delayTimer = undefined;
        this.flush();
      },
      Math.max(0, (dueUs - nowUs) / 1000),
    );
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

  private answerQueued(
    slab: number,
    error: InferError | null,
    outputs: readonly Tensor[] | null,
    durations: BatchDurations,
  ): void {
    const batch = this.batcher.batches[slab];
    const served = this.models[batch.model];
    const { epochMs, nowUs } = this.options.clock;
    const entries = batch.entries.splice(0);
    const rows = batch.candidateRows;
    let failure = error;
    let responses: InferResponse[] = [];
    try {
      if (outputs !== null) responses = served.scatter(entries, rows, outputs);
    } catch (thrown) {
      // Whatever it was, these requests are answered.
      failure = thrown instanceof InferError ? thrown : new InferError('INTERNAL', (thrown as Error).message);
    }
    this.batcher.settle(slab);
    if (failure !== null) {
      this.failEntries(batch.model, entries, failure);
    } else {
      served.statistics.batchRan(entries.length, rows, durations, epochMs());
      const endUs = nowUs();
      entries.forEach((entry, i) => {
        served.statistics.succeeded(entry.startedUs - entry.arrivalUs, endUs - entry.arrivalUs);
        entry.answer(null, responses[i]);
      });
    }
    this.batchEnded(batch.model, undefined);
  }

  private failEntries(model: number, entries: readonly InferEntry[], error: InferError): void {
    if (entries.length === 0) return;
    const nowUs = this.options.clock.nowUs();
    for (const entry of entries) {
      this.models[model].statistics.failed(nowUs - entry.arrivalUs);
      entry.answer(error, null);
    }
    this.wakeIdleWaiters();
  }

  private answerLater(model: number, entry: InferEntry, error: InferError): void {
    setImmediate(() => this.failEntries(model, [entry], error));
  }

  /** @param gone see WorkerExit: until then the slab is out of use. */
  private fail(slab: number, gone: Promise<void> | null = null, reason = ''): void {
    const batch = this.batcher.batches[slab];
    const { model, tickets, ticketCount } = batch;
    if (batch.isQueued) {
      const entries = batch.entries.splice(0);
      this.batcher.settle(slab);
      const name = this.models[model].model.name;
      const error = reason === '' ? SHUTTING_DOWN() : new InferError('INTERNAL', `model '${name}' failed: ${reason}`);
      this.failEntries(model, entries, error);
      this.batchEnded(model, undefined);
      return;
    }
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
    gone?.then(() => {
      // The model may have gone meanwhile, and its number with all its batches be another's.
      if (this.batcher.batches[slab] === batch) this.batcher.recover(slab);
    });
    this.batchEnded(model, thrown);
  }

  private batchEnded(model: number, thrown: unknown): void {
    this.wakeIdleWaiters();
    this.options.listener.onBatchEnd?.(model);
    if (thrown !== undefined) throw thrown;
  }

  private untilIdle(isIdle: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.idleWaiters.push({ isIdle, resolve });
      this.wakeIdleWaiters();
    });
  }

  private wakeIdleWaiters(): void {
    if (this.idleWaiters.length === 0) return;
    const waiters = this.idleWaiters;
    this.idleWaiters = waiters.filter(({ isIdle }) => !isIdle());
    for (const { isIdle, resolve } of waiters) if (isIdle()) resolve();
  }
}

const SHUTTING_DOWN = () => new InferError('UNAVAILABLE', 'the server is shutting down');

function allFinite(scores: Float32Array, offset: number, count: number): boolean {
  for (let i = offset; i < offset + count; i++) if (!Number.isFinite(scores[i])) return false;
  return true;
}

/** @throws OperatingError VK_ENGINE_LIMIT (operator) */
function checkLimits({ workers, slabsPerModel }: EngineOptions): void {
  expect('workers', workers, 1, WORKERS_MAX);
  expect('slabsPerModel', slabsPerModel ?? slabsPerModelDefault(workers), 1, SLABS_PER_MODEL_MAX);
}

/** @throws OperatingError VK_ENGINE_LIMIT (operator) */
function checkModel(model: EngineModel, modelsLoaded: number): void {
  expect('models', modelsLoaded + 1, 1, MODELS_MAX);
  expect(`${model.name}: requestRowsMax`, model.requestRowsMax, 1, ROWS_MAX);
  expect(`${model.name}: candidateRowsMax`, model.candidateRowsMax, 1, ROWS_MAX);
  expect(`${model.name}: instanceCount`, model.instanceCount ?? 1, 1, WORKERS_MAX);
}

function expect(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new OperatingError('VK_ENGINE_LIMIT', 'operator', `${name} is ${value}; it must be ${min} to ${max}.`);
}
