/** What the engine counts, per model. Written on the hot path as plain numbers; shaped into objects when asked for. */
import type { Batcher } from './batcher.js';

export interface EngineStats {
  readonly workers: number;
  /** Instances of all models that are ready, busy or not. */
  readonly instancesUp: number;
  /** Threads that exist for them. */
  readonly threads: number;
  /** Workers lost (crashed, hung, or failed to come back) since the start. */
  readonly workersLost: number;
  /** Of those, hung ones whose thread has not ended yet. */
  readonly workersAbandoned: number;
  /** Whether the runtime reads slabs in place (Node ≥ 22) or the workers copy the used rows first. */
  readonly readsSharedMemory: boolean;
  /** Shared memory of all slabs. */
  readonly slabBytes: number;
  readonly models: readonly ModelSnapshot[];
}

export interface ModelSnapshot {
  readonly name: string;
  readonly version: number;
  /** Batches that came back with scores, and their rows. */
  readonly batches: number;
  readonly requestRows: number;
  readonly candidateRows: number;
  /** Batches that the runtime refused or that were lost with a worker, and that expired before a worker was free. */
  readonly batchesFailed: number;
  readonly batchesExpired: number;
  /** Tickets answered with onFailed, whatever the reason; of those, because a score was NaN or infinite. */
  readonly ticketsFailed: number;
  readonly ticketsNonFinite: number;
  /** Reservations answered with null. */
  readonly refused: number;
  /** Why the last batch failed; '' if none did. */
  readonly lastFailure: string;
  /** Batches that wait for a worker, the open one included; that run; slabs with nothing in them. */
  readonly waiting: number;
  readonly running: number;
  readonly slabsFree: number;
  /** The fitted cost: microseconds per batch and per candidate row. */
  readonly cost: { readonly a: number; readonly b: number };
  /** Batches by candidate rows: entry i counts those with 2^(i−1) < rows ≤ 2^i. */
  readonly rowsHistogram: readonly number[];
  /** Microseconds that workers spent in its runs. */
  readonly busyUs: number;
}

/** ROWS_MAX is 2^16. */
const HISTOGRAM_BUCKETS = 17;

export class ModelStats {
  batches = 0;
  requestRows = 0;
  candidateRows = 0;
  batchesFailed = 0;
  batchesExpired = 0;
  ticketsFailed = 0;
  ticketsNonFinite = 0;
  refused = 0;
  lastFailure = '';
  busyUs = 0;
  readonly rowsHistogram = new Float64Array(HISTOGRAM_BUCKETS);

  ran(requestRows: number, candidateRows: number, runUs: number): void {
    this.batches++;
    this.requestRows += requestRows;
    this.candidateRows += candidateRows;
    this.busyUs += runUs;
    this.rowsHistogram[32 - Math.clz32(candidateRows - 1)]++;
  }

  batchFailed(reason: string): void {
    this.batchesFailed++;
    this.lastFailure = reason;
  }
}

export function modelSnapshot(
  stats: ModelStats,
  batcher: Batcher,
  model: number,
): Omit<ModelSnapshot, 'name' | 'version'> {
  const { rowsHistogram, ...counts } = stats;
  const { a, b } = batcher.costs[model];
  return {
    ...counts,
    rowsHistogram: [...rowsHistogram],
    waiting: batcher.waitingCount(model),
    running: batcher.runningCountOf(model),
    slabsFree: batcher.freeCountOf(model),
    cost: { a, b },
  };
}
