/**
 * The threads. Piscina starts, replaces and ends them; each runs one long-lived task (worker.ts) in a *seat* of ours,
 * which rings its doorbell, hears its messages, and is filled again after a pause when its worker is lost.
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
  RESTART_DELAY_US_MAX,
  RESTART_DELAY_US_MIN,
  RESTART_HEALTHY_US,
  WORKER_START_US_MAX,
} from './limits.js';
import {
  CONTROL,
  type WorkerMessage,
  type WorkerModel,
  type WorkerReady,
  type WorkerResult,
  type WorkerTask,
} from './worker-protocol.js';

export const NO_SLAB = -1;

export interface WorkerExit {
  readonly worker: number;
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
  onReady(ready: WorkerReady): void;
  /** The slab's scores are there; the worker is free again. */
  onDone(slab: number): void;
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
  slab = NO_SLAB;
  /** Since when it is busy or starting. */
  sinceUs = 0;
  readyUs = 0;
  restartAtUs = 0;
  /** Losses since a worker here was last healthy. */
  losses = 0;
}

export class WorkerPool {
  /** Workers lost since the start. */
  losses = 0;
  /** Tasks of abandoned workers that have not ended yet. */
  private readonly abandoned = new Set<Promise<void>>();
  private readonly seats: readonly Seat[];
  private readonly piscina: Piscina;
  private closing = false;
  /** Settles the start in progress; null once it is over. */
  private started: ((error: Error | null) => void) | null = null;

  constructor(
    file: URL,
    workers: number,
    private readonly models: readonly WorkerModel[],
    private readonly clock: Clock,
    private readonly owner: PoolOwner,
  ) {
    this.seats = Array.from({ length: workers }, () => new Seat());
    this.piscina = new Piscina({
      filename: fileURLToPath(file),
      minThreads: workers,
      maxThreads: workers + ABANDONED_MAX,
      maxQueue: workers,
      // Our tasks never end, so Piscina's own doorbell has nothing to wait for.
      atomics: 'disabled',
      recordTiming: false,
    });
    // A thread that dies while its seat is empty has no task to fail; Piscina has replaced it, nobody has lost anything.
    this.piscina.on('error', () => {});
  }

  /**
   * Fills every seat and waits until all are ready.
   * @throws OperatingError when a worker refuses a model, dies, or takes longer than WORKER_START_US_MAX
   */
  async start(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => {
      this.started = (error) => (error === null ? resolve() : reject(error));
    });
    const seconds = WORKER_START_US_MAX / 1e6;
    const timer = setTimeout(() => this.started?.(startError(`not ready after ${seconds} s`)), seconds * 1000);
    for (let i = 0; i < this.seats.length; i++) this.fill(i);
    try {
      await started;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      this.started = null;
    }
  }

  /** Hands the slab to an idle worker, which owns it until onDone, onBatchFailed or onExit. */
  ring(slab: number, nowUs: number): void {
    const seat = this.seats.find((candidate) => candidate.state === 'idle');
    if (seat === undefined) throw new Error('ring: no worker is idle');
    seat.state = 'busy';
    seat.slab = slab;
    seat.sinceUs = nowUs;
    Atomics.store(seat.control, CONTROL.slab, slab);
    wake(seat);
  }

  /** Abandons workers that are overdue and refills empty seats whose pause is over. */
  tick(nowUs: number, batchTimeoutUs: number): void {
    if (this.closing) return;
    for (let i = 0; i < this.seats.length; i++) {
      const seat = this.seats[i];
      if (seat.state === 'empty') {
        // Without a spare thread the seat stays empty until an abandoned worker has ended.
        if (nowUs >= seat.restartAtUs && this.abandoned.size <= ABANDONED_MAX) this.fill(i);
      } else if (seat.state === 'busy' && nowUs - seat.sinceUs > batchTimeoutUs) {
        this.abandon(i, `a batch ran longer than ${batchTimeoutUs / 1000} ms`);
      } else if (seat.state === 'starting' && nowUs - seat.sinceUs > WORKER_START_US_MAX) {
        this.abandon(i, `not ready after ${WORKER_START_US_MAX / 1e6} s`);
      }
    }
  }

  get abandonedCount(): number {
    return this.abandoned.size;
  }

  /**
   * Stops every worker at the end of what it does, and joins the threads. The owner hears nothing any more. A run that
   * has not returned after CLOSE_US_MAX keeps its thread: ending it would abort the process.
   */
  async close(): Promise<void> {
    this.closing = true;
    const ending = [...this.abandoned];
    for (const seat of this.seats) {
      if (seat.state === 'empty') continue;
      seat.generation++;
      seat.port?.close();
      stop(seat);
      ending.push(seat.ended);
    }
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), CLOSE_US_MAX / 1000);
    });
    const result = await Promise.race([Promise.allSettled(ending), timeout]);
    clearTimeout(timer);
    if (result !== 'late') await this.piscina.destroy();
  }

  private fill(index: number): void {
    const seat = this.seats[index];
    const generation = ++seat.generation;
    const { port1, port2 } = new MessageChannel();
    seat.state = 'starting';
    seat.sinceUs = this.clock.nowUs();
    const control = new SharedArrayBuffer(CONTROL.length * 4);
    seat.control = new Int32Array(control);
    seat.port = port1;
    port1.on('message', (message: WorkerMessage) => {
      if (seat.generation === generation) this.hear(seat, message);
    });
    const task: WorkerTask = { control, port: port2, models: this.models };
    seat.ended = this.piscina.run(task, { transferList: [port2] }).then(
      (result: WorkerResult) => {
        const error = result === null ? startError('it stopped by itself') : refusal(result);
        this.lose(index, generation, error, null);
      },
      (error: Error) => this.lose(index, generation, startError(error.message), null),
    );
  }

  private hear(seat: Seat, message: WorkerMessage): void {
    seat.state = 'idle';
    seat.slab = NO_SLAB;
    if (typeof message === 'number') {
      this.owner.onDone(message);
    } else if (message.kind === 'failed') {
      this.owner.onBatchFailed(message.slab, message.message);
    } else {
      seat.readyUs = this.clock.nowUs();
      this.owner.onReady(message);
      if (this.seats.every((other) => other.state !== 'starting')) this.started?.(null);
    }
  }

  /** Leaves a worker to itself: its thread stops when its run returns, which may be never. */
  private abandon(index: number, reason: string): void {
    const seat = this.seats[index];
    const { ended } = seat;
    stop(seat);
    this.abandoned.add(ended);
    const gone = ended.then(() => {
      this.abandoned.delete(ended);
    });
    this.lose(index, seat.generation, new Error(reason), gone);
  }

  private lose(index: number, generation: number, error: Error, gone: Promise<void> | null): void {
    const seat = this.seats[index];
    if (seat.generation !== generation) return;
    const { slab } = seat;
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
    if (this.started !== null) this.started(error);
    else this.owner.onExit({ worker: index, reason: error.message, slab, wasReady, restartInUs, gone });
  }
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
