/** One model name: which versions answer, why others do not, and the order of what is done to it. */
import { InferError, type RepositoryEntry } from '../contract/index.js';
import type { Executor } from './backends/make-executor.js';
import type { Ensemble } from './ensemble.js';
import type { RepositoryModel } from './repository.js';
import type { RequestChecker } from './request-check.js';
import type { VersionRecorder } from './version-recorder.js';

export interface ServedVersion {
  readonly model: RepositoryModel;
  /** As on the wire. */
  readonly version: string;
  /** The engine's; NO_HANDLE for an ensemble. */
  readonly handle: number;
  /** Unlike that of any other load, so that no cached answer outlives a reload. */
  readonly cacheKey: string;
  readonly checker: RequestChecker;
  readonly recorder: VersionRecorder;
  /** Runs the steps; undefined where the engine runs the model itself. */
  readonly ensemble: Ensemble | undefined;
  /** The engine's to use and to close; here for what it counts. */
  readonly executor: Executor | undefined;
}

export const NO_HANDLE = -1;

/** Load and unload calls for one model that may wait for each other; each holds the files that came with it. */
const CONTROL_CALLS_MAX = 16;

type State = Pick<RepositoryEntry, 'state' | 'reason'>;

export class ModelEntry {
  /** By version, ascending. */
  served: ReadonlyMap<string, ServedVersion> = new Map();
  /** The highest version that is served. */
  latest: ServedVersion | undefined;
  /** Why the model as a whole is not there; '' where versions have reasons of their own. */
  problem = '';
  /** What was on disk when it was last loaded, or tried. */
  fingerprint = '';
  /** Asked for and not unloaded since. */
  isWanted = true;
  /** Versions that are not served. */
  private readonly others = new Map<string, State>();
  private tail: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(readonly name: string) {}

  /**
   * Runs `task` when all earlier ones are over, what they handed to `holdFor` included.
   * @throws InferError UNAVAILABLE when too many wait
   */
  async exclusive(task: (holdFor: (rest: Promise<void>) => void) => Promise<void>): Promise<void> {
    if (this.waiting >= CONTROL_CALLS_MAX) {
      throw new InferError('UNAVAILABLE', `too many load and unload calls for model '${this.name}' wait`);
    }
    this.waiting++;
    const before = this.tail;
    let rest: Promise<void> = Promise.resolve();
    const run = (async () => {
      await before;
      await task((promise) => {
        rest = promise;
      });
    })();
    this.tail = run
      .then(
        () => rest,
        () => rest,
      )
      .then(() => {
        this.waiting--;
      });
    await run;
  }

  loading(versions: readonly string[]): void {
    for (const version of versions) this.others.set(version, { state: 'LOADING', reason: '' });
  }

  /** @returns what was served until now; nothing is lost between the two, since the switch is one statement */
  serve(versions: readonly ServedVersion[]): ServedVersion[] {
    const old = [...this.served.values()];
    const ascending = [...versions].sort((a, b) => a.model.version - b.model.version);
    this.served = new Map(ascending.map((served) => [served.version, served]));
    this.latest = ascending.at(-1);
    this.problem = '';
    for (const { version } of old) this.others.set(version, UNLOADED);
    for (const { version } of ascending) this.others.delete(version);
    return old;
  }

  /** What was served before is still served. */
  failed(versions: readonly string[], reason: string): void {
    for (const version of versions) this.others.set(version, { state: 'UNAVAILABLE', reason });
    if (versions.length === 0) this.problem = reason;
  }

  /** @returns what was served until now */
  startUnloading(): ServedVersion[] {
    const old = this.serve([]);
    for (const { version } of old) this.others.set(version, { state: 'UNLOADING', reason: '' });
    return old;
  }

  unloaded(): void {
    for (const version of this.others.keys()) this.others.set(version, UNLOADED);
  }

  /** @param obstacle why what is served cannot answer after all; '' = nothing */
  states(obstacle: string): RepositoryEntry[] {
    const { name } = this;
    const served: RepositoryEntry[] = [...this.served.keys()].map((version) =>
      obstacle === ''
        ? { name, version, state: 'READY', reason: '' }
        : { name, version, state: 'UNAVAILABLE', reason: obstacle },
    );
    const others = [...this.others]
      .filter(([version]) => !this.served.has(version))
      .map(([version, state]) => ({ name, version, ...state }));
    const all = [...served, ...others].sort((a, b) => Number(a.version) - Number(b.version));
    return all.length > 0 ? all : [{ name, state: 'UNAVAILABLE', reason: this.problem }];
  }
}

const UNLOADED: State = { state: 'UNAVAILABLE', reason: 'unloaded' };
