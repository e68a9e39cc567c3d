/**
 * The threads. Piscina starts, replaces and ends them; each runs one long-lived task (worker.ts), an instance of one
 * model, in a *seat* of ours, which rings its doorbell, hears its messages, and is filled again after a pause when its
 * worker is lost. A model has a group of seats; groups come and go with loads and unloads and never disturb each other.
 *
 * A batch costs one `Atomics.notify` and one message. The answer comes by MessagePort: `Atomics.waitAsync` on the event
 * loop was measured and is no faster.
 *
 * Invariant: no thread is ever terminated by us while it may be in native code. onnxruntime-node 1.30 aborts the whole
 * process when its thread is terminated during a run ("terminate called after throwing … Napi::Error"). A worker that
 * hangs is *abandoned* instead: told to stop when its run returns, and replaced meanwhile by a spare thread.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Clock } from '../base/index.js';
import { OperatingError } from '../contract/index.js';
import {
  ABANDONED_MAX,
  CLOSE_US_MAX,
  INSTANCES_MAX,
  RESTART_DELAY_US_MAX,
  RESTART_DELAY_US_MIN,
  RESTART_HEALTHY_US,
  TENSOR_BYTES_KEPT_MAX,
  THREAD_IDLE_MS,
  WORKER_START_US_MAX,
} from './limits.js';
import {
  CONTROL,
  type MailedSlab,
  type OutputsOverflowed,
  type WorkerMessage,
  type WorkerModel,
  type WorkerReady,
  type WorkerResult,
  type WorkerTask,
} from './worker-protocol.js';

export const NO_SLAB = -1;

export interface WorkerExit {
  readonly model: number;
  readonly reason: string;
  /** The batch that was lost with it; NO_SLAB when it was idle or still starting. */
  readonly slab: number;
  /** False when it was lost while starting. */
  readonly wasReady: boolean;
  readonly restartInUs: number;
  /** Settles when the thread can no longer touch the slab; null when it is gone already. */
  readonly gone: Promise<void> | null;
}

/** Who hears from the workers. Called from the event loop, never from inside a call to the pool except `tick`. */
export interface PoolOwner {
  onReady(model: number, ready: WorkerReady): void;
  /** The slab's results are there; the worker is free again. */
  onDone(slab: number): void;
  /** As onDone, with outputs that did not fit into the slab. */
  onOverflowed(slab: number, outputs: OutputsOverflowed['outputs']): void;
  /** The runtime refused the batch; the worker is free again. */
  onBatchFailed(slab: number, message: string): void;
  onExit(exit: WorkerExit): void;
}

class Seat {
  state: 'empty' | 'starting' | 'idle' | 'busy' = 'empty';
  /** Tells the messages and the end of this worker from those of earlier ones in the same seat. */
  generation = 0;
  control = new Int32Array(new SharedArrayBuffer(0));
  port: MessagePort | null = null;
  /** Settles when its task has ended, in whatever way. */
  ended: Promise<void> = Promise.resolve();
  /** The slab's id, and what its worker calls it. */
  slab = NO_SLAB;
  /** By the worker's number of a queued slab: the memory it was mailed last. */
  mailed: (SharedArrayBuffer | undefined)[] = [];
  /** Since when it is busy or starting. */
  sinceUs = 0;
  readyUs = 0;
  restartAtUs = 0;
  /** Losses since a worker here was last healthy. */
  losses = 0;

  constructor(readonly group: Group) {}
}

/** The instances of one model. */
class Group {
  readonly seats: Seat[];
  /** Settles the start in progress; null once it is over. */
  started: ((error: Error | null) => void) | null = null;

  constructor(
    readonly model: number,
    readonly worker: WorkerModel,
    instances: number,
  ) {
    this.seats = Array.from({ length: instances }, () => new Seat(this));
  }
}

export class WorkerPool {
  /** Workers lost since the start. */
  losses = 0;
  /** Tasks of abandoned workers that have not ended yet. */
  private readonly abandoned = new Set<Promise<void>>();
  /** By model. */
  private readonly groups = new Map<number, Group>();
  private readonly piscina: Piscina;
  private closing = false;

  constructor(
    file: URL,
    private readonly clock: Clock,
    private readonly owner: PoolOwner,
  ) {
    this.piscina = new Piscina({
      filename: fileURLToPath(file),
      minThreads: 0,
      maxThreads: INSTANCES_MAX + ABANDONED_MAX,
      maxQueue: INSTANCES_MAX,
      // A reload starts the new instances before it ends the old ones: their threads serve the reload after it.
      idleTimeout: THREAD_IDLE_MS,
      // Our tasks never end, so Piscina's own doorbell has nothing to wait for.
      atomics: 'disabled',
      recordTiming: false,
    });
    // A thread that dies while its seat is empty has no task to fail; Piscina has replaced it, nobody has lost anything.
    this.piscina.on('error', () => {});
  }

  /**
   * Starts the model's instances and waits until all are ready. On an error none is left.
   * @throws OperatingError when a worker refuses the model, dies, or takes longer than WORKER_START_US_MAX
   */
  async add(model: number, worker: WorkerModel, instances: number): Promise<void> {
    const used = [...this.groups.values()].reduce((sum, { seats }) => sum + seats.length, 0);
    if (used + instances > INSTANCES_MAX) {
      throw new OperatingError(
        'VK_ENGINE_LIMIT',
        'operator',
        `${used} instances are loaded and ${instances} more are asked for; ${INSTANCES_MAX} are the most.`,
      );
    }
    const group = new Group(model, worker, instances);
    this.groups.set(model, group);
    const started = new Promise<void>((resolve, reject) => {
      group.started = (error) => (error === null ? resolve() : reject(error));
    });
    const seconds = WORKER_START_US_MAX / 1e6;
    const timer = setTimeout(() => group.started?.(startError(`not ready after ${seconds} s`)), seconds * 1000);
    for (const seat of group.seats) this.fill(seat);
    try {
      await started;
    } catch (error) {
      await this.remove(model);
      throw error;
    } finally {
      clearTimeout(timer);
      group.started = null;
    }
  }

  /**
   * Ends the model's instances, which run nothing; resolves when their sessions are freed.
   * @returns whether no thread is left that could touch the model's memories
   */
  async remove(model: number): Promise<boolean> {
    const group = this.groups.get(model);
    if (group === undefined) return this.abandoned.size === 0;
    this.groups.delete(model);
    const haveEnded = await settledInTime(
      group.seats.filter((seat) => seat.state !== 'empty').map((seat) => this.end(seat)),
    );
    return haveEnded && this.abandoned.size === 0;
  }

  /**
   * Hands the slab to an idle worker, which owns it until onDone, onBatchFailed or onExit.
   * @param slot what the workers of this model call it
   * @param memory of a queued slab; null for a slab of rows, which they know since they started
   */
  ring(model: number, slab: number, slot: number, memory: SharedArrayBuffer | null, nowUs: number): void {
    const seat = this.groups.get(model)?.seats.find((candidate) => candidate.state === 'idle');
    if (seat === undefined) throw new Error('ring: no worker is idle');
    seat.state = 'busy';
    seat.slab = slab;
    seat.sinceUs = nowUs;
    if (memory !== null && seat.mailed[slot] !== memory) {
      // The worker forgets a large one after the batch, and so must its seat.
      seat.mailed[slot] = memory.byteLength > TENSOR_BYTES_KEPT_MAX ? undefined : memory;
      const mail: MailedSlab = { slab: slot, memory };
      seat.port?.postMessage(mail);
      Atomics.add(seat.control, CONTROL.mail, 1);
    }
    Atomics.store(seat.control, CONTROL.slab, slot);
    wake(seat);
  }

  /** Abandons workers that are overdue and refills empty seats whose pause is over. */
  tick(nowUs: number, batchTimeoutUs: number): void {
    if (this.closing) return;
    for (const { seats, started } of this.groups.values()) {
      for (const seat of seats) {
        if (seat.state === 'empty') {
          // A group that has not started yet is given up as a whole. Without a spare thread the seat stays empty until
          // an abandoned worker has ended.
          if (started === null && nowUs >= seat.restartAtUs && this.abandoned.size <= ABANDONED_MAX) this.fill(seat);
        } else if (seat.state === 'busy' && nowUs - seat.sinceUs > batchTimeoutUs) {
          this.abandon(seat, `a batch ran longer than ${batchTimeoutUs / 1000} ms`);
        } else if (seat.state === 'starting' && nowUs - seat.sinceUs > WORKER_START_US_MAX) {
          this.abandon(seat, `not ready after ${WORKER_START_US_MAX / 1e6} s`);
        }
      }
    }
  }

  get abandonedCount(): number {
    return this.abandoned.size;
  }

  /** Threads that exist, idle ones included. */
  get threadCount(): number {
    return this.piscina.threads.length;
  }

  /**
   * Stops every worker at the end of what it does, and joins the threads. The owner hears nothing any more. A run that
   * has not returned after CLOSE_US_MAX keeps its thread: ending it would abort the process.
   */
  async close(): Promise<void> {
    this.closing = true;
    const ending = [...this.abandoned];
    for (const { seats } of this.groups.values()) {
      for (const seat of seats) if (seat.state !== 'empty') ending.push(this.end(seat));
    }
    this.groups.clear();
    if (await settledInTime(ending)) await this.piscina.destroy();
  }

  /** Tells a worker to stop and forgets it. */
  private end(seat: Seat): Promise<void> {
    seat.generation++;
    seat.state = 'empty';
    seat.port?.close();
    stop(seat);
    return seat.ended;
  }

  private fill(seat: Seat): void {
    const generation = ++seat.generation;
    const { port1, port2 } = new MessageChannel();
    seat.state = 'starting';
    seat.sinceUs = this.clock.nowUs();
    seat.mailed = [];
    const control = new SharedArrayBuffer(CONTROL.length * 4);
    seat.control = new Int32Array(control);
    seat.port = port1;
    port1.on('message', (message: WorkerMessage) => {
      if (seat.generation === generation) this.hear(seat, message);
    });
    const task: WorkerTask = { control, port: port2, model: seat.group.worker };
    seat.ended = this.piscina.run(task, { transferList: [port2] }).then(
      (result: WorkerResult) => {
        const error = result === null ? startError('it stopped by itself') : refusal(result);
        this.lose(seat, generation, error, null);
      },
      (error: Error) => this.lose(seat, generation, startError(error.message), null),
    );
  }

  private hear(seat: Seat, message: WorkerMessage): void {
    const { slab, group } = seat;
    seat.state = 'idle';
    seat.slab = NO_SLAB;
    if (typeof message === 'number') {
      this.owner.onDone(slab);
    } else if (message.kind === 'failed') {
      this.owner.onBatchFailed(slab, message.message);
    } else if (message.kind === 'overflowed') {
      this.owner.onOverflowed(slab, message.outputs);
    } else {
      seat.readyUs = this.clock.nowUs();
      this.owner.onReady(group.model, message);
      if (group.seats.every((other) => other.state !== 'starting')) group.started?.(null);
    }
  }

  /** Leaves a worker to itself: its thread stops when its run returns, which may be never. */
  private abandon(seat: Seat, reason: string): void {
    const { ended } = seat;
    stop(seat);
    this.abandoned.add(ended);
    const gone = ended.then(() => {
      this.abandoned.delete(ended);
    });
    this.lose(seat, seat.generation, new Error(reason), gone);
  }

  private lose(seat: Seat, generation: number, error: Error, gone: Promise<void> | null): void {
    if (seat.generation !== generation) return;
    const { slab, group } = seat;
    const wasReady = seat.state !== 'starting';
    const nowUs = this.clock.nowUs();
    seat.generation++;
    seat.state = 'empty';
    seat.slab = NO_SLAB;
    seat.port?.close();
    if (wasReady && nowUs - seat.readyUs >= RESTART_HEALTHY_US) seat.losses = 0;
    const restartInUs = Math.min(RESTART_DELAY_US_MIN * 2 ** seat.losses, RESTART_DELAY_US_MAX);
    seat.restartAtUs = nowUs + restartInUs;
    seat.losses++;
    this.losses++;
    if (group.started !== null) group.started(error);
    else this.owner.onExit({ model: group.model, reason: error.message, slab, wasReady, restartInUs, gone });
  }
}

/** False when CLOSE_US_MAX passed first. */
async function settledInTime(ending: readonly Promise<void>[]): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), CLOSE_US_MAX / 1000);
  });
  const result = await Promise.race([Promise.allSettled(ending), timeout]);
  clearTimeout(timer);
  return result !== 'late';
}

/** Tells a worker to end its task as soon as it looks: idle ones at once, busy and starting ones when they are done. */
function stop(seat: Seat): void {
  Atomics.store(seat.control, CONTROL.stop, 1);
  wake(seat);
}

function wake(seat: Seat): void {
  Atomics.add(seat.control, CONTROL.doorbell, 1);
  Atomics.notify(seat.control, CONTROL.doorbell, 1);
}

function refusal(refused: NonNullable<WorkerResult>): OperatingError {
  return new OperatingError(refused.code, refused.fixedBy, refused.message);
}

function startError(reason: string): OperatingError {
  return new OperatingError('VK_WORKER', 'operator', `An inference worker ended: ${reason}.`);
}
