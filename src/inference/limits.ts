/** The bounds of inference/, each with the sum or the measurement behind it. */
/** Rows one batch may hold where the model's config.pbtxt does not say: 32 requests with 64 candidates each. */
export const CANDIDATE_ROWS_MAX_DEFAULT = 2048;
/** One request row per imp: twice the 32 requests above, since a request may carry several imps. */
export const REQUEST_ROWS_MAX_DEFAULT = 64;
/** Beyond this a batch is no longer a batch: at 4 µs a row it would hold a worker for a quarter of a second. */
export const ROWS_MAX = 65_536;

export const WORKERS_MAX = 256;
/** Threads of all models together: one per instance, about 6 MB each before its session. */
export const INSTANCES_MAX = 1024;
/** A thread without an instance ends after this; a reload within it finds its threads waiting. */
export const THREAD_IDLE_MS = 10_000;
/** Inputs of one batch of queued requests: what is merged. A larger request, as far as the server takes it, goes alone. */
export const TENSOR_BYTES_MAX = 256 * 1024 * 1024;
/** First size of such a memory, and the most that is kept from one batch to the next. */
export const TENSOR_BYTES_MIN = 64 * 1024;
export const TENSOR_BYTES_KEPT_MAX = 4 * 1024 * 1024;
/** Batches of queued requests of one model that run or are being answered: the instances of a large machine. */
export const QUEUED_SLABS = 64;

/**
 * Slabs of a model: one in flight per worker, one whose scores are being handed out (its tickets may reserve again
 * meanwhile), one open, and eight that are full and wait. Eight take a burst of 256 requests, and on one worker run in
 * about 6 ms: what would come too late all the same is refused by admission, which knows the queue. With one waiting slab
 * a burst from 256 connections was refused half-way, long before any deadline was near.
 */
export function slabsPerModelDefault(workers: number): number {
  return workers + 10;
}
export const SLABS_PER_MODEL_MAX = 1024;
/** Models times slabs: a slab id is one integer on the wire to the workers. */
export const MODELS_MAX = 256;

/** A worker that has not come up by then is given up: loading and warming the demo models takes under a second. */
export const WORKER_START_US_MAX = 60_000_000;
/** First pause before a lost worker is started again; doubled with every loss that follows, up to the maximum. */
export const RESTART_DELAY_US_MIN = 50_000;
export const RESTART_DELAY_US_MAX = 30_000_000;
/** A worker that lived this long was healthy: the next loss starts again from the shortest pause. */
export const RESTART_HEALTHY_US = 10_000_000;
/**
 * Threads that hang in native code and cannot be ended, on top of the workers. A model that hangs more often than that
 * needs its owner, not more threads that burn cores.
 */
export const ABANDONED_MAX = 4;
/** How long closing waits for runs to return: longer than any batch that is not hung. */
export const CLOSE_US_MAX = 10_000_000;

/** Requests that wait in one model's queue: at 4 kB of tensors each, 32 MiB. */
export const QUEUE_LENGTH_MAX_DEFAULT = 8192;

/** Memories of removed models that are kept for the next load: two versions of the shipped models several times over. */
export const SLAB_MEMORIES_BYTES_MAX = 64 * 1024 * 1024;
