/**
 * A model that runs on another server (Triton or Vickrey), called over gRPC with raw tensors; with a local model for the
 * batches that the remote cannot take, and, with `route: cost`, for those that are cheaper here.
 */
import { type ServiceError, status } from '@grpc/grpc-js';
import type { Clock } from '../../base/index.js';
import {
  type BatchExecutor,
  type ExecutorBatch,
  InferError,
  type ModelConfig,
  type OnExecuted,
} from '../../contract/index.js';
import { CircuitBreaker, REFUSED } from './circuit-breaker.js';
import { type AnswerShapes, answerShapes, readAnswer } from './remote-answer.js';
import { RemoteClient } from './remote-client.js';
import { encodeCall } from './remote-codec.js';
import { type RemoteSettings, remoteSettings } from './remote-settings.js';
import { emptyStats, type RemoteFailure, type RemoteStats } from './remote-stats.js';
import { CostRouter } from './router.js';

/** Runs a batch on the local model; the contract of `BatchExecutor.execute`. */
export type LocalModel = (batch: ExecutorBatch, done: OnExecuted) => void;

export interface RemoteDependencies {
  readonly clock: Clock;
  /** In [0, 1), seeded. */
  readonly random: () => number;
  /** The model that parameter `local_model` names; null when there is none. */
  readonly local: LocalModel | null;
  /** Hears when the breaker opens and closes; a pino logger will do. */
  readonly log?: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

export class RemoteExecutor implements BatchExecutor {
  readonly concurrencyMax: number;
  private readonly settings: RemoteSettings;
  private readonly client: RemoteClient;
  private readonly breaker: CircuitBreaker;
  private readonly router: CostRouter | null;
  private readonly shapes: AnswerShapes;
  /** The first dimension of every tensor counts the batch's rows. */
  private readonly rowsLeading: boolean;
  private readonly counts = emptyStats();
  private closed = false;

  /** @throws OperatingError VK_MODEL_CONFIG (model owner) */
  constructor(
    private readonly config: ModelConfig,
    private readonly dependencies: RemoteDependencies,
  ) {
    const settings = remoteSettings(config);
    if ((config.parameters.local_model ?? '') !== '' && dependencies.local === null) {
      throw new Error(`model '${config.name}' names a local_model and was given none`);
    }
    this.settings = settings;
    this.concurrencyMax = settings.inFlightMax;
    this.client = new RemoteClient(settings.endpoint, settings.connections);
    this.breaker = new CircuitBreaker({
      failuresMax: settings.breakerFailures,
      openUs: settings.breakerOpenMs * 1000,
    });
    this.router = settings.route === 'cost' ? new CostRouter(dependencies.random) : null;
    this.shapes = answerShapes(config);
    this.rowsLeading = config.maxBatchSize > 0 || config.twoScope !== undefined;
  }

  execute(batch: ExecutorBatch, done: OnExecuted): void {
    const nowUs = this.dependencies.clock.nowUs();
    const leftUs = batch.deadlineUs - nowUs;
    if (this.closed) answerLater(done, this.unloaded());
    else if (leftUs <= 0) {
      this.counts.late++;
      answerLater(done, this.late());
    } else if (this.router?.choose(batch.rows, leftUs) === 'local') {
      this.counts.routedLocal++;
      this.runLocal(batch, done);
    } else {
      this.counts.routedRemote++;
      this.tryRemote(batch, nowUs, done);
    }
  }

  /** A copy. */
  stats(): RemoteStats {
    return {
      ...this.counts,
      failures: { ...this.counts.failures },
      notCalled: { ...this.counts.notCalled },
      breaker: this.breaker.state,
      breakerOpened: this.breaker.openedCount,
      inFlight: this.client.inFlight,
    };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.client.close();
  }

  private tryRemote(batch: ExecutorBatch, nowUs: number, done: OnExecuted): void {
    if (this.client.inFlight >= this.settings.inFlightMax) {
      this.counts.notCalled.saturated++;
      this.fallBack(batch, done, () => answerLater(done, this.unavailable('has too many calls in flight')));
      return;
    }
    const wasState = this.breaker.state;
    const ticket = this.breaker.admit(nowUs);
    if (ticket === REFUSED) {
      this.counts.notCalled.breaker_open++;
      this.fallBack(batch, done, () =>
        answerLater(done, this.unavailable('failed lately and is not called for a while')),
      );
      return;
    }
    if (wasState !== this.breaker.state) this.logBreaker();
    this.callRemote(batch, nowUs, ticket, done);
  }

  private callRemote(batch: ExecutorBatch, nowUs: number, ticket: number, done: OnExecuted): void {
    const { settings, router } = this;
    const timeoutUs = Math.min(settings.timeoutMs * 1000, batch.deadlineUs - nowUs);
    const load = router === null ? 0 : router.began('remote', batch.rows);
    this.counts.calls++;
    const message = encodeCall({
      model: settings.model,
      version: settings.version,
      timeoutUs: Math.ceil(timeoutUs),
      inputs: batch.inputs,
      outputs: batch.outputs.map(({ name }) => name),
    });
    this.client.call(message, timeoutUs / 1000, (error, answer) => {
      const endUs = this.dependencies.clock.nowUs();
      const outcome = error === null ? readAnswer(answer!, batch, this.shapes, this.rowsLeading) : error;
      const failure = failureOf(outcome);
      // A time-out took at least that long; other failures say nothing about what an answer costs.
      const costUs = failure === null || failure === 'timeout' ? endUs - nowUs : Number.NaN;
      router?.ended('remote', batch.rows, load, costUs);
      if (this.closed) {
        this.breaker.abandoned(ticket);
        done(this.unloaded(), null);
      } else if (Array.isArray(outcome)) {
        this.report(ticket, true, endUs);
        done(null, outcome);
      } else {
        this.counts.failures[failure!]++;
        // A remote that refuses what is in the batch is well, and the local model would refuse it too.
        this.report(ticket, failure === 'rejected', endUs);
        const late = batch.deadlineUs <= endUs || (failure === 'timeout' && batch.deadlineUs - nowUs === timeoutUs);
        this.settleFailed(batch, failure!, outcome, late, done);
      }
    });
  }

  private settleFailed(
    batch: ExecutorBatch,
    failure: RemoteFailure,
    cause: ServiceError | string,
    late: boolean,
    done: OnExecuted,
  ): void {
    if (failure === 'rejected') {
      done(new InferError('INVALID_ARG', (cause as ServiceError).details, { cause }), null);
    } else if (late) {
      this.counts.late++;
      done(this.late(), null);
    } else {
      this.fallBack(batch, done, () => done(this.failed(failure, cause), null));
    }
  }

  /** @param otherwise answers when there is no local model */
  private fallBack(batch: ExecutorBatch, done: OnExecuted, otherwise: () => void): void {
    if (this.dependencies.local === null) {
      otherwise();
      return;
    }
    this.counts.fallbacks++;
    this.runLocal(batch, done);
  }

  private runLocal(batch: ExecutorBatch, done: OnExecuted): void {
    const local = this.dependencies.local!;
    const { router } = this;
    if (router === null) {
      local(batch, done);
      return;
    }
    const { clock } = this.dependencies;
    const startUs = clock.nowUs();
    const load = router.began('local', batch.rows);
    local(batch, (error, outputs) => {
      router.ended('local', batch.rows, load, error === null ? clock.nowUs() - startUs : Number.NaN);
      done(error, outputs);
    });
  }

  private report(ticket: number, well: boolean, nowUs: number): void {
    const wasState = this.breaker.state;
    if (well) this.breaker.succeeded(ticket);
    else this.breaker.failed(ticket, nowUs);
    if (wasState !== this.breaker.state) this.logBreaker();
  }

  private logBreaker(): void {
    const { log } = this.dependencies;
    const fields = { model: this.config.name, endpoint: this.settings.endpoint, failures: this.stats().failures };
    if (this.breaker.state === 'closed') log?.info(fields, 'remote answers again; breaker closed');
    else if (this.breaker.state === 'open') log?.warn(fields, 'remote keeps failing; breaker open');
  }

  private failed(failure: RemoteFailure, cause: ServiceError | string): InferError {
    if (typeof cause === 'string') return this.error('INTERNAL', `gave a wrong answer: ${cause}`);
    if (failure === 'timeout')
      return this.error('UNAVAILABLE', `did not answer in ${this.settings.timeoutMs} ms`, cause);
    if (failure === 'unavailable') return this.error('UNAVAILABLE', 'is not available', cause);
    return this.error('INTERNAL', `failed: ${cause.details}`, cause);
  }

  private unavailable(problem: string): InferError {
    return this.error('UNAVAILABLE', problem);
  }

  /** The endpoint is for the log: clients need not know what stands behind. */
  private error(code: 'UNAVAILABLE' | 'INTERNAL', problem: string, cause?: Error): InferError {
    return new InferError(code, `the remote of model '${this.config.name}' ${problem}`, { cause });
  }

  private late(): InferError {
    return new InferError('UNAVAILABLE', 'Request timeout expired');
  }

  private unloaded(): InferError {
    return new InferError('UNAVAILABLE', `model '${this.config.name}' is being unloaded`);
  }
}

/** @returns null for outputs */
function failureOf(outcome: readonly object[] | ServiceError | string): RemoteFailure | null {
  if (typeof outcome === 'string') return 'invalid_answer';
  if (!(outcome instanceof Error)) return null;
  switch (outcome.code) {
    case status.DEADLINE_EXCEEDED:
      return 'timeout';
    case status.UNAVAILABLE:
    // Nobody here cancels but `close`: the remote dropped its calls because it goes down.
    case status.CANCELLED:
      return 'unavailable';
    case status.INVALID_ARGUMENT:
      return 'rejected';
    default:
      return 'other';
  }
}

function answerLater(done: OnExecuted, error: InferError): void {
  queueMicrotask(() => done(error, null));
}
