/**
 * Loads, reloads and unloads models. The order of a reload is what loses no request: the new versions come up and are
 * warm, the name is switched to them in one statement, and only then are the old ones drained and freed.
 */
import type { Clock } from '../base/index.js';
import {
  type ExecutorBatch,
  type LoadOverride,
  type ModelConfig,
  type ModelSignature,
  type OnExecuted,
  OperatingError,
} from '../contract/index.js';
import { type Executor, makeExecutor } from './backends/make-executor.js';
import type { EnginePort } from './engine-port.js';
import { Ensemble } from './ensemble.js';
import { checkEnsemble } from './ensemble-check.js';
import type { ModelSource } from './model-source.js';
import { ModelEntry, NO_HANDLE, type ServedVersion } from './registry-entry.js';
import type { RepositoryModel } from './repository.js';
import { RequestChecker } from './request-check.js';
import { VersionRecorder } from './version-recorder.js';

/** Bounds sessions, and the series of every metric by model. */
const SERVED_VERSIONS_MAX = 256;
/** A chain of ensembles deeper than this is a cycle or a mistake. */
const DEPENDENCY_DEPTH_MAX = 16;

export interface RegistryHooks {
  /** The bid path's view of a model, where it has one. @throws OperatingError which refuses the load */
  companion?(model: RepositoryModel): ModelSignature | undefined;
  /** Called at the switch, before any request can reach the new versions or the old ones are gone; [] = unloaded. */
  onServed?(name: string, versions: readonly { readonly model: RepositoryModel; readonly handle: number }[]): void;
  /** Overrides what the config says. */
  instanceCountOf?(model: RepositoryModel): number | undefined;
  /** Something failed that no caller hears of: a poll, the removal of an old version. */
  onProblem?(model: string, error: unknown): void;
}

export interface ControlOptions {
  readonly source: ModelSource;
  readonly engine: EnginePort;
  readonly hooks: RegistryHooks;
  readonly clock: Clock;
  /** In [0, 1), seeded. */
  readonly random: () => number;
  /** Runs a batch of a remote model on the model that it names as its local one. */
  readonly runLocal: (model: string, batch: ExecutorBatch, done: OnExecuted) => void;
  readonly log?: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

export class RegistryControl {
  readonly entries = new Map<string, ModelEntry>();
  private loads = 0;
  private closed = false;

  constructor(private readonly options: ControlOptions) {}

  /** @throws OperatingError; what was served before still is */
  async load(name: string, override: LoadOverride | null): Promise<void> {
    await this.bringUp(name, override, [], true);
  }

  /** Loads it unless it is served already. */
  async ensure(name: string): Promise<void> {
    await this.bringUp(name, null, [], false);
  }

  /** Resolves when what it had accepted is answered and its memory is freed. */
  async unload(name: string, withDependents: boolean): Promise<void> {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    let dependencies: readonly string[] = [];
    await entry.exclusive(async () => {
      entry.isWanted = false;
      if (entry.latest !== undefined) dependencies = dependenciesOf(entry.latest.model.config);
      const old = entry.startUnloading();
      if (old.length > 0) this.options.hooks.onServed?.(name, []);
      await this.removeAll(old);
      entry.unloaded();
      if (!this.options.source.list().includes(name)) this.entries.delete(name);
    });
    if (!withDependents) return;
    for (const dependency of dependencies) {
      if (!this.isNeeded(dependency)) await this.unload(dependency, true);
    }
  }

  /** One look at the repository: what is new or changed is loaded, what is gone is unloaded. */
  async poll(): Promise<void> {
    const { source, hooks } = this.options;
    const names = source.list();
    for (const name of names) {
      try {
        if (this.entries.get(name)?.fingerprint !== source.fingerprint(name)) await this.load(name, null);
      } catch (error) {
        hooks.onProblem?.(name, error);
      }
    }
    for (const name of [...this.entries.keys()]) if (!names.includes(name)) await this.unload(name, false);
  }

  /** Takes no more loads; frees every model. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.entries.keys()].map((name) => this.unload(name, false)));
  }

  /** Why a served model cannot answer after all: a model it depends on is not served. '' = it can. */
  obstacle(entry: ModelEntry, depth = 0): string {
    if (entry.latest === undefined || depth > DEPENDENCY_DEPTH_MAX) return '';
    const { config } = entry.latest.model;
    if (config.backend !== 'ensemble') return '';
    for (const { model, version } of config.ensemble) {
      const step = this.entries.get(model);
      const isThere = version === -1 ? step?.latest !== undefined : step?.served.has(String(version));
      if (step === undefined || !isThere) {
        return `ensemble '${entry.name}' depends on '${model}' which has no loaded version.`;
      }
      const deeper = this.obstacle(step, depth + 1);
      if (deeper !== '') return deeper;
    }
    return '';
  }

  private async bringUp(
    name: string,
    override: LoadOverride | null,
    path: readonly string[],
    isReload: boolean,
  ): Promise<void> {
    if (this.closed) throw new OperatingError('VK_ENGINE_LIMIT', 'operator', 'the server is closing');
    if (path.includes(name) || path.length > DEPENDENCY_DEPTH_MAX) {
      throw new OperatingError('VK_MODEL_CONFIG', 'model owner', `'${path[0]}' depends on itself: ${path.join(' → ')}`);
    }
    if (!isReload && this.entries.get(name)?.latest !== undefined) return;
    const { source } = this.options;
    const fingerprint = source.fingerprint(name);
    const isKnown = this.entries.has(name);
    const entry = this.entries.get(name) ?? new ModelEntry(name);
    this.entries.set(name, entry);
    let models: readonly RepositoryModel[] = [];
    try {
      models = source.describe(name, override);
      for (const dependency of dependenciesOf(models[0].config)) {
        await this.bringUp(dependency, null, [...path, name], false);
      }
      await entry.exclusive(async (holdFor) => {
        if (!isReload && entry.latest !== undefined) return;
        if (this.entries.get(name) !== entry) {
          throw new OperatingError('VK_MODEL_LOAD', 'operator', `'${name}' was unloaded while its load waited`);
        }
        entry.isWanted = true;
        await this.replace(entry, models, holdFor);
      });
    } catch (error) {
      // A name that is nowhere leaves no trace: names come from clients.
      if (!isKnown && !source.list().includes(name)) this.entries.delete(name);
      const versions = models.map((model) => String(model.version));
      for (const model of models) source.forget(model);
      entry.failed(versions, error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      // A failed one too, so that polling tries again when something has changed and not before.
      entry.fingerprint = fingerprint;
    }
  }

  private async replace(
    entry: ModelEntry,
    models: readonly RepositoryModel[],
    holdFor: (rest: Promise<void>) => void,
  ): Promise<void> {
    entry.loading(models.map((model) => String(model.version)));
    const added: ServedVersion[] = [];
    try {
      for (const model of models) added.push(await this.add(model));
      if (this.closed) throw new OperatingError('VK_ENGINE_LIMIT', 'operator', 'the server is closing');
    } catch (error) {
      await this.removeAll(added);
      throw error;
    }
    const old = entry.serve(added);
    this.options.hooks.onServed?.(entry.name, added);
    holdFor(this.removeAll(old));
  }

  private async add(model: RepositoryModel): Promise<ServedVersion> {
    const { engine, hooks } = this.options;
    const { config, name, version } = model;
    const others = [...this.entries.values()].filter((entry) => entry.name !== name);
    if (others.reduce((sum, entry) => sum + entry.served.size, 1) > SERVED_VERSIONS_MAX) {
      const limit = `${SERVED_VERSIONS_MAX} model versions are served; unload one`;
      throw new OperatingError('VK_ENGINE_LIMIT', 'operator', limit);
    }
    const cacheKey = `${version}#${++this.loads}`;
    const checker = new RequestChecker(config);
    const common = { model, version: String(version), cacheKey, checker, recorder: new VersionRecorder() };
    if (config.backend === 'ensemble') {
      checkEnsemble(config, (step, wanted) => this.configOf(step, wanted));
      return { ...common, handle: NO_HANDLE, ensemble: new Ensemble(config), executor: undefined };
    }
    const signature = hooks.companion?.(model);
    const executor = this.executorOf(config);
    try {
      const handle = await engine.addModel({
        name,
        version,
        file: executor === undefined ? model.modelFile : '',
        config,
        signature,
        requestRowsMax: model.requestRowsMax,
        candidateRowsMax: model.candidateRowsMax,
        instanceCount: hooks.instanceCountOf?.(model) ?? model.instanceCount,
        executor,
      });
      return { ...common, handle, ensemble: undefined, executor };
    } catch (error) {
      await executor?.close();
      throw error;
    }
  }

  private executorOf(config: ModelConfig): Executor | undefined {
    if (config.backend !== 'identity' && config.backend !== 'remote') return undefined;
    const { clock, random, log, runLocal } = this.options;
    const localModel = localModelOf(config);
    if (localModel !== undefined && this.configOf(localModel, -1)?.backend === 'remote') {
      const problem = `model '${config.name}': parameter local_model: '${localModel}' is itself remote`;
      throw new OperatingError('VK_MODEL_CONFIG', 'model owner', problem);
    }
    const local =
      localModel === undefined
        ? null
        : (batch: ExecutorBatch, done: OnExecuted): void => runLocal(localModel, batch, done);
    return makeExecutor(config, { clock, random, local, log });
  }

  private async removeAll(versions: readonly ServedVersion[]): Promise<void> {
    const remove = async ({ model, handle }: ServedVersion): Promise<void> => {
      try {
        if (handle !== NO_HANDLE) await this.options.engine.removeModel(handle);
        this.options.source.forget(model);
      } catch (error) {
        this.options.hooks.onProblem?.(model.name, error);
      }
    };
    await Promise.all(versions.map(remove));
  }

  private configOf(name: string, version: number): ModelConfig | undefined {
    const entry = this.entries.get(name);
    const served = version === -1 ? entry?.latest : entry?.served.get(String(version));
    return served?.model.config;
  }

  private isNeeded(name: string): boolean {
    return [...this.entries.values()].some(
      ({ latest }) => latest !== undefined && dependenciesOf(latest.model.config).includes(name),
    );
  }
}

function dependenciesOf(config: ModelConfig): readonly string[] {
  if (config.backend === 'ensemble') return [...new Set(config.ensemble.map((step) => step.model))];
  const local = config.backend === 'remote' ? localModelOf(config) : undefined;
  return local === undefined ? [] : [local];
}

function localModelOf({ parameters }: ModelConfig): string | undefined {
  return parameters.local_model === '' ? undefined : parameters.local_model;
}
