/** What Triton's statistics count, per model version. Durations are summed in microseconds and given in nanoseconds. */
import type { DurationStatistic, ModelStatistics } from '../contract/index.js';

class Duration {
  count = 0;
  us = 0;

  add(count: number, us: number): void {
    this.count += count;
    this.us += us;
  }

  get statistic(): DurationStatistic {
    return { count: this.count, ns: Math.round(this.us * 1000) };
  }
}

class BatchSize {
  readonly input = new Duration();
  readonly infer = new Duration();
  readonly output = new Duration();
}

/** Batch sizes told apart; a model with more counts the rest in its totals only. */
const BATCH_SIZES_MAX = 1024;

export class StatisticsOfModel {
  private lastInferenceMs = 0;
  private rows = 0;
  private batches = 0;
  private readonly success = new Duration();
  private readonly fail = new Duration();
  private readonly queue = new Duration();
  private readonly input = new Duration();
  private readonly infer = new Duration();
  private readonly output = new Duration();
  private readonly batchSizes = new Map<number, BatchSize>();

  /** A batch of rows came back. Per request, as Triton counts, its durations are those of the whole batch. */
  batchRan(requests: number, rows: number, durations: BatchDurations, epochMs: number): void {
    this.lastInferenceMs = epochMs;
    this.rows += rows;
    this.batches++;
    this.input.add(requests, requests * durations.inputUs);
    this.infer.add(requests, requests * durations.inferUs);
    this.output.add(requests, requests * durations.outputUs);
    let size = this.batchSizes.get(rows);
    if (size === undefined) {
      if (this.batchSizes.size >= BATCH_SIZES_MAX) return;
      size = new BatchSize();
      this.batchSizes.set(rows, size);
    }
    size.input.add(1, durations.inputUs);
    size.infer.add(1, durations.inferUs);
    size.output.add(1, durations.outputUs);
  }

  /** @param queuedUs from arrival until its batch was formed */
  succeeded(queuedUs: number, totalUs: number): void {
    this.queue.add(1, queuedUs);
    this.success.add(1, totalUs);
  }

  failed(totalUs: number): void {
    this.fail.add(1, totalUs);
  }

  snapshot(name: string, version: number): ModelStatistics {
    return {
      name,
      version: String(version),
      last_inference: this.lastInferenceMs,
      inference_count: this.rows,
      execution_count: this.batches,
      inference_stats: {
        success: this.success.statistic,
        fail: this.fail.statistic,
        queue: this.queue.statistic,
        compute_input: this.input.statistic,
        compute_infer: this.infer.statistic,
        compute_output: this.output.statistic,
        cache_hit: { count: 0, ns: 0 },
        cache_miss: { count: 0, ns: 0 },
      },
      response_stats: {},
      batch_stats: [...this.batchSizes]
        .sort(([a], [b]) => a - b)
        .map(([batch_size, { input, infer, output }]) => ({
          batch_size,
          compute_input: input.statistic,
          compute_infer: infer.statistic,
          compute_output: output.statistic,
        })),
      memory_usage: [],
    };
  }
}

export interface BatchDurations {
  readonly inputUs: number;
  readonly inferUs: number;
  readonly outputUs: number;
}
