import { Piscina } from 'piscina';
import { builtFile, type Clock, systemClock } from '../base/index.js';
import { type CatalogSnapshot, OperatingError } from '../contract/index.js';
import type { CompiledCatalog } from './layout.js';
import { LOADER_HEAP_MIB } from './limits.js';
import { type LoadOutcome, loadRecords } from './loader.js';
import type { LoadTask } from './loader-worker.js';
import { PROBLEMS_LISTED_MAX } from './problems.js';
import type { CatalogRecord } from './schema.js';
import { Snapshot } from './snapshot.js';

/** What a successful load did. */
export interface LoadReport {
  readonly generation: number;
  readonly files: number;
  readonly advertisers: number;
  readonly campaigns: number;
  readonly lineItems: number;
  readonly creatives: number;
  /** (line item, creative) pairs that can run: neither paused nor without a flight. */
  readonly ads: number;
  /** From the call to the new snapshot, the loader thread's start included. */
  readonly loadMs: number;
  /** Memory that the snapshot holds. */
  readonly bytes: {
    readonly columns: number;
    readonly texts: number;
    readonly index: number;
    readonly total: number;
  };
}

export interface CatalogOptions {
  readonly clock?: Clock;
}

let generation = 0;

/** The catalog of one directory: the snapshot that requests read, and its replacement by a newer one. */
export class Catalog {
  private current: Snapshot | undefined;
  private lastReport: LoadReport | undefined;
  private running: Promise<LoadReport> | undefined;
  private next: Promise<LoadReport> | undefined;

  private constructor(
    private readonly directory: string,
    private readonly clock: Clock,
  ) {}

  /** @throws OperatingError `VK_CATALOG_INVALID` with every finding in `details` */
  static async load(directory: string, options: CatalogOptions = {}): Promise<Catalog> {
    const catalog = new Catalog(directory, options.clock ?? systemClock);
    await catalog.reload();
    return catalog;
  }

  /** A request keeps the one that it began with; it stays valid for as long as somebody holds it. */
  get snapshot(): CatalogSnapshot {
    return this.current as Snapshot;
  }

  /** Of the load that made the present snapshot. */
  get report(): LoadReport {
    return this.lastReport as LoadReport;
  }

  /**
   * Reads the directory again and swaps the snapshot. One load runs at a time; calls that arrive during it share one
   * further load, because the files may have changed after the running one read them.
   *
   * @throws OperatingError as `load`; the old snapshot stays
   */
  reload(): Promise<LoadReport> {
    if (this.next !== undefined) return this.next;
    if (this.running === undefined) return this.begin();
    const begin = () => this.begin();
    this.next = this.running.then(begin, begin);
    return this.next;
  }

  private begin(): Promise<LoadReport> {
    this.next = undefined;
    this.running = this.loadOnce().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async loadOnce(): Promise<LoadReport> {
    const startUs = this.clock.nowUs();
    const outcome = await loadInWorker({ directory: this.directory, nowMs: this.clock.epochMs() });
    const compiled = accepted(outcome, this.directory);
    this.current = new Snapshot(++generation, compiled.compiled);
    this.lastReport = reportOf(compiled, generation, (this.clock.nowUs() - startUs) / 1000);
    return this.lastReport;
  }
}

/**
 * A snapshot of records in memory, for tests and tools. Blocks the calling thread.
 *
 * @throws OperatingError as `Catalog.load`
 */
export function snapshotOfRecords(records: Iterable<CatalogRecord>, nowMs: number): CatalogSnapshot {
  return new Snapshot(++generation, accepted(loadRecords(records, nowMs), 'records').compiled);
}

type Loaded = Extract<LoadOutcome, { compiled: CompiledCatalog }>;

function accepted(outcome: LoadOutcome, source: string): Loaded {
  if ('compiled' in outcome) return outcome;
  const { problems, problemCount } = outcome;
  const count = problemCount === 1 ? '1 error' : `${problemCount} errors`;
  const unlisted = problemCount > problems.length ? `, the first ${PROBLEMS_LISTED_MAX} listed` : '';
  const message = `The catalog in ${source} was refused: ${count}${unlisted}. First: ${problems[0]}`;
  throw new OperatingError('VK_CATALOG_INVALID', 'catalog owner', message, problems);
}

/** The thread lives for one load: its heap, several times the size of the snapshot, goes back to the system with it. */
async function loadInWorker(task: LoadTask): Promise<LoadOutcome> {
  const pool = new Piscina({
    filename: builtFile(import.meta.url, './loader-worker.js').href,
    minThreads: 1,
    maxThreads: 1,
    maxQueue: 1,
    resourceLimits: { maxOldGenerationSizeMb: LOADER_HEAP_MIB },
  });
  try {
    return await pool.run(task);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
    const message = `The catalog in ${task.directory} needs more than ${LOADER_HEAP_MIB} MiB to load`;
    throw new OperatingError('VK_CATALOG_TOO_LARGE', 'catalog owner', message, [], { cause: error });
  } finally {
    await pool.destroy();
  }
}

function reportOf({ compiled, files }: Loaded, generation: number, loadMs: number): LoadReport {
  const { ads, startMs, endMs, links, index, counts } = compiled;
  const bytes = {
    columns: bytesOf([...Object.values(ads), startMs, endMs, links.lineItemOfAd, links.creativeOfAd]),
    texts: bytesOf([links.texts.bytes, links.texts.starts, ...Object.values(links)]),
    index: bytesOf([...Object.values(index), ...Object.values(index.shapes)]),
  };
  for (const vocabulary of index.vocabularies) {
    if (vocabulary !== null) bytes.index += bytesOf(Object.values(vocabulary));
  }
  bytes.texts -= bytesOf([links.lineItemOfAd, links.creativeOfAd]);
  const total = bytes.columns + bytes.texts + bytes.index;
  return { generation, files, ...counts, ads: ads.count, loadMs, bytes: { ...bytes, total } };
}

function bytesOf(columns: readonly unknown[]): number {
  let total = 0;
  for (const column of columns) if (ArrayBuffer.isView(column)) total += column.byteLength;
  return total;
}
