/**
 * The models as the v2 protocol sees them: by name and version, over the engine's handles. Hot: `infer`. Everything else
 * is cold; what is done to models is in registry-control.ts.
 */
import {
  type ExecutorBatch,
  InferError,
  type InferHandle,
  type InferRequest,
  type InferResponse,
  type LoadOverride,
  type ModelMetadata,
  type ModelServer,
  type ModelStatistics,
  type OnExecuted,
  type OnInfer,
  OperatingError,
  type RepositoryEntry,
  type TensorConfig,
  type TensorMetadata,
} from '../contract/index.js';
import type { Infer } from './ensemble.js';
import { type ControlOptions, RegistryControl } from './registry-control.js';
import { type ModelEntry, NO_HANDLE, type ServedVersion } from './registry-entry.js';
import { ResponseCache } from './response-cache.js';

export interface RegistryOptions extends Omit<ControlOptions, 'runLocal'> {
  readonly controlMode: 'none' | 'explicit' | 'poll';
  /** Start-up models of control mode `explicit`; `*` = all. */
  readonly loadModels: readonly string[];
  readonly pollSeconds: number;
  /** 0 = no response cache. */
  readonly responseCacheBytes: number;
  /** Ready only when every start-up model is; otherwise as soon as all were tried. */
  readonly strictReadiness: boolean;
}

/** Models that come up at once at start: each loads on threads of its own. */
const STARTS_AT_ONCE_MAX = 4;

export class ModelRegistry implements ModelServer {
  private readonly control: RegistryControl;
  private readonly cache: ResponseCache | null;
  private readonly inferStep: Infer = (request, done) => this.infer(request, done);
  private readonly startUpModels = new Set<string>();
  private phase: 'starting' | 'serving' | 'draining' | 'closed' = 'starting';
  private pollTimer: NodeJS.Timeout | undefined;
  private polling: Promise<void> | null = null;

  constructor(private readonly options: RegistryOptions) {
    this.control = new RegistryControl({ ...options, runLocal: (...call) => this.runLocal(...call) });
    this.cache = options.responseCacheBytes > 0 ? new ResponseCache(options.responseCacheBytes) : null;
  }

  /**
   * Loads the start-up models, all of them even where one fails. It serves what was loaded in either case.
   * @throws OperatingError: the only failure, or VK_MODEL_LOAD with one line per model in `details`
   */
  async start(): Promise<void> {
    const { controlMode, loadModels, source, pollSeconds } = this.options;
    const isAll = controlMode !== 'explicit' || loadModels.includes('*');
    const names = isAll ? source.list() : loadModels;
    for (const name of names) this.startUpModels.add(name);
    const waiting = [...this.startUpModels];
    const failures: unknown[] = [];
    const lane = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        await this.control.ensure(name).catch((error: unknown) => failures.push(error));
      }
    };
    await Promise.all(Array.from({ length: STARTS_AT_ONCE_MAX }, lane));
    if (this.phase === 'starting') this.phase = 'serving';
    if (controlMode === 'poll') {
      this.pollTimer = setInterval(() => void this.poll(), pollSeconds * 1000);
      this.pollTimer.unref();
    }
    throwFirst(failures);
  }

  /** One look at the repository, at most one at a time; the timer of control mode `poll` calls it. Never rejects. */
  poll(): Promise<void> {
    this.polling ??= this.control
      .poll()
      .then(() => {
        for (const name of this.startUpModels) this.forgetGone(name);
      })
      .catch((error: unknown) => this.options.hooks.onProblem?.('', error))
      .finally(() => {
        this.polling = null;
      });
    return this.polling;
  }

  /** Not ready any more, so that nobody sends new work; what comes is still answered. */
  drain(): void {
    if (this.phase !== 'closed') this.phase = 'draining';
    clearInterval(this.pollTimer);
  }

  /** Refuses what comes; resolves when what was accepted is answered and every model is freed. */
  async close(): Promise<void> {
    this.drain();
    this.phase = 'closed';
    await this.control.close();
  }

  infer(request: InferRequest, done: OnInfer): InferHandle {
    const { clock } = this.options;
    const startUs = clock.nowUs();
    let served: ServedVersion | undefined;
    let rows: number;
    try {
      if (this.phase === 'closed') throw new InferError('UNAVAILABLE', 'Server not ready');
      served = this.find(request.model, request.version);
      rows = served.checker.check(request);
    } catch (error) {
      if (!(error instanceof InferError)) throw error;
      served?.recorder.refusedAtDoor(error, clock.nowUs() - startUs);
      return answerLater(done, error, null);
    }
    const { recorder } = served;
    const answered: OnInfer = (error, response) => {
      recorder.answered(error, clock.nowUs() - startUs);
      done(error, response);
    };
    if (this.cache !== null && served.model.config.responseCache) {
      return this.inferCached(this.cache, served, request, rows, startUs, answered);
    }
    return this.run(served, request, rows, startUs, answered);
  }

  ready(): boolean {
    if (this.phase !== 'serving') return false;
    if (!this.options.strictReadiness) return true;
    for (const name of this.startUpModels) {
      const entry = this.control.entries.get(name);
      if (entry === undefined || (entry.isWanted && !this.isServing(entry))) return false;
    }
    return true;
  }

  modelReady(model: string, version: string): boolean {
    const entry = this.entry(model);
    return versionOf(entry, version) !== undefined && this.isServing(entry);
  }

  metadata(model: string, version: string): ModelMetadata {
    const { config } = this.find(model, version).model;
    const shaped = (tensor: TensorConfig): TensorMetadata => ({
      name: tensor.name,
      datatype: tensor.dataType,
      shape: config.maxBatchSize > 0 ? [-1, ...tensor.dims] : tensor.dims,
    });
    return {
      name: model,
      versions: [...this.entry(model).served.keys()],
      platform: config.platform,
      inputs: config.inputs.map(shaped),
      outputs: config.outputs.map(shaped),
    };
  }

  config(model: string, version: string): Readonly<Record<string, unknown>> {
    return this.find(model, version).model.config.json;
  }

  statistics(model: string, version: string): readonly ModelStatistics[] {
    if (model === '') return this.served().map((served) => this.statisticsOf(served));
    if (version !== '') return [this.statisticsOf(this.find(model, version))];
    this.find(model, '');
    return [...this.entry(model).served.values()].map((served) => this.statisticsOf(served));
  }

  index(onlyReady: boolean): readonly RepositoryEntry[] {
    let names: readonly string[];
    try {
      names = this.options.source.list();
    } catch (error) {
      throw new InferError('INTERNAL', messageOf(error), { cause: error });
    }
    const all = [...new Set([...names, ...this.control.entries.keys()])].sort().flatMap((name): RepositoryEntry[] => {
      const entry = this.control.entries.get(name);
      return entry?.states(this.control.obstacle(entry)) ?? [{ name, state: 'UNAVAILABLE', reason: '' }];
    });
    return onlyReady ? all.filter((entry) => entry.state === 'READY') : all;
  }

  async load(model: string, override: LoadOverride | null): Promise<void> {
    this.checkControl();
    checkName(model);
    const files = override?.files.size ?? 0;
    if (files > 0 && override?.config === '') {
      throw new InferError('INVALID_ARG', "Load parameter 'config' must be specified for model file override");
    }
    try {
      await this.control.load(model, override);
    } catch (error) {
      throw loadError(model, error);
    }
  }

  async unload(model: string, withDependents: boolean): Promise<void> {
    this.checkControl();
    await this.control.unload(model, withDependents);
    this.forgetGone(model);
  }

  /** Every version that answers, by name. */
  served(): ServedVersion[] {
    const entries = [...this.control.entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return entries.flatMap((entry) => [...entry.served.values()]);
  }

  statisticsOf({ handle, model, version, recorder }: ServedVersion): ModelStatistics {
    if (handle === NO_HANDLE) return recorder.ensembleStatistics(model.name, version);
    return recorder.merge(this.options.engine.statistics(handle));
  }

  /** Requests that wait for an instance; an ensemble's own never do. */
  pendingRequests({ handle }: ServedVersion): number {
    return handle === NO_HANDLE ? 0 : (this.options.engine.pendingRequests?.(handle) ?? 0);
  }

  private run(served: ServedVersion, request: InferRequest, rows: number, startUs: number, done: OnInfer): InferHandle {
    const { ensemble, recorder, version } = served;
    if (ensemble === undefined) return this.options.engine.infer(served.handle, request, rows, done);
    const { clock } = this.options;
    const ran: OnInfer = (error, response) => {
      recorder.ensembleRan(error, rows, clock.nowUs() - startUs, clock.epochMs());
      done(error, response);
    };
    return ensemble.run(request, version, this.inferStep, ran);
  }

  private inferCached(
    cache: ResponseCache,
    served: ServedVersion,
    request: InferRequest,
    rows: number,
    startUs: number,
    done: OnInfer,
  ): InferHandle {
    const { clock } = this.options;
    const lookUpUs = clock.nowUs();
    const key = cache.keyOf(request, served.cacheKey);
    const hit = cache.get(key);
    const lookedUpUs = clock.nowUs();
    if (hit !== null) {
      served.recorder.hit(lookedUpUs - lookUpUs, lookedUpUs - startUs);
      return answerLater(done, null, hit);
    }
    return this.run(served, request, rows, startUs, (error, response) => {
      const answeredUs = clock.nowUs();
      if (response !== null) {
        cache.put(key, response);
        served.recorder.missed(lookedUpUs - lookUpUs + clock.nowUs() - answeredUs);
      }
      done(error, response);
    });
  }

  private runLocal(model: string, batch: ExecutorBatch, done: OnExecuted): void {
    const outputs = batch.outputs.map((output) => output.name);
    // Without a time limit of its own: the batch has left its queue, where limits act.
    const request = { model, version: '', id: '', inputs: batch.inputs, outputs, priority: 0, timeoutUs: 0 };
    this.infer({ ...request, parameters: {} }, (error, response) => done(error, response?.outputs ?? null));
  }

  /** @throws InferError with Triton's codes: what was never loaded is the request's mistake, not a missing thing */
  private find(model: string, version: string): ServedVersion {
    const entry = this.entry(model);
    const served = versionOf(entry, version);
    if (served !== undefined) return served;
    const which = version === '' ? 'has no available versions' : `version ${version} is not found`;
    throw new InferError('NOT_FOUND', `Request for unknown model: '${model}' ${which}`);
  }

  private entry(model: string): ModelEntry {
    const entry = this.control.entries.get(model);
    if (entry !== undefined) return entry;
    throw new InferError('INVALID_ARG', `Request for unknown model: '${model}' is not found`);
  }

  /** A start-up model that was taken out of the repository keeps nobody waiting for it. */
  private forgetGone(name: string): void {
    if (!this.control.entries.has(name)) this.startUpModels.delete(name);
  }

  private isServing(entry: ModelEntry): boolean {
    return entry.latest !== undefined && this.control.obstacle(entry) === '';
  }

  private checkControl(): void {
    if (this.options.controlMode === 'explicit') return;
    throw new InferError('UNAVAILABLE', 'explicit model load / unload is not allowed if polling is enabled');
  }
}

/** '' = the highest. Versions are compared as numbers, so `01` is `1`. */
function versionOf(entry: ModelEntry, version: string): ServedVersion | undefined {
  if (version === '') return entry.latest;
  return entry.served.get(version) ?? entry.served.get(String(Number(version)));
}

const NO_CANCEL: InferHandle = { cancel: () => {} };

/** After the caller's own turn, since `OnInfer` is never called before `infer` has returned. */
function answerLater(done: OnInfer, error: InferError | null, response: InferResponse | null): InferHandle {
  queueMicrotask(() => done(error, response));
  return NO_CANCEL;
}

/** A name becomes a path. @throws InferError INVALID_ARG */
function checkName(model: string): void {
  if (model.trim() === '') {
    throw new InferError('INVALID_ARG', 'Model name cannot be empty. Please enter a valid name to deploy.');
  }
  if (model.trim() === '.' || model.trim() === '..' || /[/\\\0]/.test(model)) {
    const message = `invalid model name '${model}', model name must not contain path traversal characters`;
    throw new InferError('INVALID_ARG', message);
  }
}

/** Triton's two ways to fail: the model was not found, or it was found and failed. */
function loadError(model: string, error: unknown): unknown {
  if (!(error instanceof OperatingError)) return error;
  const said = [error.message, ...error.details.filter((detail) => !error.message.includes(detail))].join('\n');
  if (error.code === 'VK_MODEL_REPOSITORY' || error.code === 'VK_MODEL_UNKNOWN') {
    const message = `failed to load '${model}', failed to poll from model repository: ${said}`;
    return new InferError('INTERNAL', message, { cause: error });
  }
  return new InferError('INVALID_ARG', `load failed for model '${model}': ${said}`, { cause: error });
}

function throwFirst(failures: readonly unknown[]): void {
  if (failures.length === 0) return;
  const unexpected = failures.find((failure) => !(failure instanceof OperatingError));
  if (unexpected !== undefined || failures.length === 1) throw unexpected ?? failures[0];
  const messages = failures.map(messageOf);
  throw new OperatingError(
    'VK_MODEL_LOAD',
    'model owner',
    `${failures.length} models cannot be loaded; ${messages[0]}`,
    messages,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
