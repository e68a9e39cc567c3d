/**
 * What the registry itself sees of one served version: answers by outcome, latency, the response cache, and for an
 * ensemble (which the engine does not know) its executions too. Hot: recording is a few additions.
 */
import type { DurationStatistic, InferError, ModelStatistics } from '../contract/index.js';

/** Triton's values of the label `reason`. */
export const FAILURE_REASONS = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const;
type FailureReason = (typeof FAILURE_REASONS)[number];

/** Bucket i holds what took at most 2^i microseconds, the last one the rest: 1 µs to 34 s. */
export const LATENCY_BUCKETS = 26;
/** Distinct batch sizes an ensemble is counted by; what comes after them counts in the totals only. */
const BATCH_SIZES_MAX = 1024;

export class VersionRecorder {
  readonly latencyCounts = new Float64Array(LATENCY_BUCKETS + 1);
  latencySumUs = 0;
  readonly failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 };
  private readonly cacheHit = new Duration();
  private readonly cacheMiss = new Duration();
  private readonly hitRequest = new Duration();
  private readonly refused = new Duration();
  private readonly success = new Duration();
  private readonly fail = new Duration();
  private rowsTotal = 0;
  private lastMs = 0;
  private readonly batchSizes = new Map<number, Duration>();

  /** The request was answered, by whomever. */
  answered(error: InferError | null, durationUs: number): void {
    if (error !== null) {
      this.failures[reasonOf(error)]++;
      return;
    }
    const us = Math.min(Math.ceil(durationUs), 0x7fffffff);
    this.latencyCounts[us <= 1 ? 0 : Math.min(32 - Math.clz32(us - 1), LATENCY_BUCKETS)]++;
    this.latencySumUs += durationUs;
  }

  /** The request did not pass its check: the engine never saw it. */
  refusedAtDoor(error: InferError, durationUs: number): void {
    this.failures[reasonOf(error)]++;
    this.refused.add(durationUs);
  }

  hit(lookupUs: number, requestUs: number): void {
    this.cacheHit.add(lookupUs);
    this.hitRequest.add(requestUs);
  }

  /** @param spentUs looking it up and putting the answer in */
  missed(spentUs: number): void {
    this.cacheMiss.add(spentUs);
  }

  ensembleRan(error: InferError | null, rows: number, durationUs: number, epochMs: number): void {
    this.lastMs = epochMs;
    if (error !== null) {
      this.fail.add(durationUs);
      return;
    }
    this.success.add(durationUs);
    this.rowsTotal += rows;
    let ofSize = this.batchSizes.get(rows);
    if (ofSize === undefined && this.batchSizes.size < BATCH_SIZES_MAX) {
      ofSize = new Duration();
      this.batchSizes.set(rows, ofSize);
    }
    ofSize?.add(durationUs);
  }

  /** The engine's figures and what never reached it. */
  merge(engine: ModelStatistics): ModelStatistics {
    const { inference_stats: stats } = engine;
    return {
      ...engine,
      inference_stats: {
        ...stats,
        success: this.hitRequest.plus(stats.success),
        fail: this.refused.plus(stats.fail),
        cache_hit: this.cacheHit.plus(stats.cache_hit),
        cache_miss: this.cacheMiss.plus(stats.cache_miss),
      },
    };
  }

  /** An ensemble's own figures: it waits nowhere, and its steps count under their own names. */
  ensembleStatistics(name: string, version: string): ModelStatistics {
    const ran = this.success.wire();
    const none = { count: ran.count, ns: 0 };
    return this.merge({
      name,
      version,
      last_inference: this.lastMs,
      inference_count: this.rowsTotal,
      execution_count: ran.count,
      inference_stats: {
        success: ran,
        fail: this.fail.wire(),
        queue: none,
        compute_input: none,
        compute_infer: ran,
        compute_output: none,
        cache_hit: NOTHING,
        cache_miss: NOTHING,
      },
      response_stats: {},
      batch_stats: [...this.batchSizes]
        .sort(([a], [b]) => a - b)
        .map(([batch_size, duration]) => {
          const compute_infer = duration.wire();
          const instant = { count: compute_infer.count, ns: 0 };
          return { batch_size, compute_input: instant, compute_infer, compute_output: instant };
        }),
      memory_usage: [],
    });
  }
}

const NOTHING: DurationStatistic = { count: 0, ns: 0 };

class Duration {
  private count = 0;
  private us = 0;

  add(us: number): void {
    this.count++;
    this.us += us;
  }

  plus(other: DurationStatistic): DurationStatistic {
    return { count: this.count + other.count, ns: Math.round(this.us * 1000) + other.ns };
  }

  wire(): DurationStatistic {
    return this.plus(NOTHING);
  }
}

function reasonOf({ code }: InferError): FailureReason {
  if (code === 'UNAVAILABLE') return 'REJECTED';
  if (code === 'CANCELLED') return 'CANCELED';
  return code === 'INTERNAL' ? 'BACKEND' : 'OTHER';
}
