/**
 * The registry's metrics. The nv_ names and units are Triton's, for dashboards that exist; the histograms are what
 * Triton leaves out. The series are bounded by the versions a registry serves.
 */
import type { ModelStatistics } from '../contract/index.js';
import type { RemoteStats } from './backends/remote-stats.js';
import type { ModelRegistry } from './registry.js';
import type { ServedVersion } from './registry-entry.js';
import { FAILURE_REASONS, LATENCY_BUCKETS } from './version-recorder.js';

/** A metric family as it stands; telemetry/ knows the same shape. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly MetricSample[];
}

interface MetricSample {
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Of a model's metric_tags, so many become labels. */
const TAGS_MAX = 16;
/** Batch sizes 1, 2, 4, … 65536, and the rest. */
const BATCH_BUCKETS = 17;

/** One entry per counter of Triton's that is read from the statistics. */
const COUNTERS: readonly (readonly [name: string, help: string, read: (s: ModelStatistics) => number])[] = [
  ['nv_inference_request_success', 'Requests answered.', (s) => s.inference_stats.success.count],
  ['nv_inference_count', 'Rows inferred, cached answers left out.', (s) => s.inference_count],
  ['nv_inference_exec_count', 'Batches run.', (s) => s.execution_count],
  ['nv_inference_request_duration_us', 'Time of answered requests.', (s) => us(s.inference_stats.success)],
  ['nv_inference_queue_duration_us', 'Time that requests waited.', (s) => us(s.inference_stats.queue)],
  ['nv_inference_compute_input_duration_us', 'Time of gathering inputs.', (s) => us(s.inference_stats.compute_input)],
  ['nv_inference_compute_infer_duration_us', 'Time of running models.', (s) => us(s.inference_stats.compute_infer)],
  ['nv_inference_compute_output_duration_us', 'Time of giving outputs.', (s) => us(s.inference_stats.compute_output)],
  ['nv_cache_num_hits_per_model', 'Requests answered from the cache.', (s) => s.inference_stats.cache_hit.count],
  ['nv_cache_num_misses_per_model', 'Requests the cache did not know.', (s) => s.inference_stats.cache_miss.count],
  ['nv_cache_hit_duration_per_model', 'Microseconds of lookups that hit.', (s) => us(s.inference_stats.cache_hit)],
  ['nv_cache_miss_duration_per_model', 'Microseconds of misses.', (s) => us(s.inference_stats.cache_miss)],
];

/** To be read at a scrape; the same families each time. */
export function servingFamilies(registry: ModelRegistry): MetricFamily[] {
  const rows = registry.served().map((served) => ({
    served,
    labels: labelsOf(served),
    statistics: registry.statisticsOf(served),
  }));
  return [
    ...COUNTERS.map(
      ([name, help, read]): MetricFamily => ({
        name,
        help,
        type: 'counter',
        samples: rows.map(({ labels, statistics }) => ({ labels, value: read(statistics) })),
      }),
    ),
    {
      name: 'nv_inference_request_failure',
      help: 'Requests of the v2 protocol that failed, by reason.',
      type: 'counter',
      samples: rows.flatMap(({ served, labels }) =>
        FAILURE_REASONS.map((reason) => ({ labels: { ...labels, reason }, value: served.recorder.failures[reason] })),
      ),
    },
    {
      name: 'nv_inference_pending_request_count',
      help: 'Requests that wait for an instance.',
      type: 'gauge',
      samples: rows.map(({ served, labels }) => ({ labels, value: registry.pendingRequests(served) })),
    },
    {
      name: 'vickrey_inference_request_duration_us',
      help: 'Requests of the v2 protocol that were answered, by duration.',
      type: 'histogram',
      samples: rows.flatMap(({ served: { recorder }, labels }) =>
        histogram(labels, recorder.latencyCounts, LATENCY_BUCKETS, recorder.latencySumUs),
      ),
    },
    {
      name: 'vickrey_inference_batch_size',
      help: 'Batches by size.',
      type: 'histogram',
      samples: rows.flatMap(({ statistics, labels }) => batchSizes(labels, statistics)),
    },
    ...remoteFamilies(rows),
  ];
}

function remoteFamilies(rows: readonly { served: ServedVersion; labels: Record<string, string> }[]): MetricFamily[] {
  const remotes = rows.flatMap(({ served, labels }) => {
    const stats = served.executor?.stats?.();
    return stats === undefined ? [] : [{ labels, stats }];
  });
  const by = (label: string, read: (stats: RemoteStats) => Readonly<Record<string, number>>): MetricSample[] =>
    remotes.flatMap(({ labels, stats }) =>
      Object.entries(read(stats)).map(([key, value]) => ({ labels: { ...labels, [label]: key }, value })),
    );
  const family = (type: 'counter' | 'gauge', name: string, help: string, samples: MetricSample[]): MetricFamily => ({
    name,
    help,
    type,
    samples,
  });
  return [
    family(
      'counter',
      'vickrey_remote_batches_total',
      'Batches of remote models, by where they were sent first or given afterwards.',
      by('route', ({ routedRemote: remote, routedLocal: local, fallbacks: fallback }) => ({ remote, local, fallback })),
    ),
    family(
      'counter',
      'vickrey_remote_calls_total',
      'Calls to remotes.',
      remotes.map(({ labels, stats }) => ({ labels, value: stats.calls })),
    ),
    family(
      'counter',
      'vickrey_remote_failures_total',
      'Calls that brought no outputs, and batches for which none was made, by reason.',
      by('reason', ({ failures, notCalled }) => ({ ...failures, ...notCalled })),
    ),
    family(
      'gauge',
      'vickrey_remote_breaker_closed',
      '1 while calls pass freely, 0 while the circuit breaker holds them back or probes.',
      remotes.map(({ labels, stats }) => ({ labels, value: stats.breaker === 'closed' ? 1 : 0 })),
    ),
    family(
      'gauge',
      'vickrey_remote_calls_in_flight',
      'Calls that wait for their answer.',
      remotes.map(({ labels, stats }) => ({ labels, value: stats.inFlight })),
    ),
  ];
}

function batchSizes(labels: Readonly<Record<string, string>>, { batch_stats }: ModelStatistics): MetricSample[] {
  const counts = new Float64Array(BATCH_BUCKETS + 1);
  let sum = 0;
  for (const { batch_size, compute_infer } of batch_stats) {
    counts[batch_size <= 1 ? 0 : Math.min(32 - Math.clz32(batch_size - 1), BATCH_BUCKETS)] += compute_infer.count;
    sum += batch_size * compute_infer.count;
  }
  return histogram(labels, counts, BATCH_BUCKETS, sum);
}

/** @param counts bucket i ≤ 2^i, and one more for the rest */
function histogram(
  labels: Readonly<Record<string, string>>,
  counts: Float64Array,
  buckets: number,
  sum: number,
): MetricSample[] {
  const samples: MetricSample[] = [];
  let total = 0;
  for (let i = 0; i <= buckets; i++) {
    total += counts[i];
    samples.push({
      suffix: '_bucket',
      labels: { ...labels, le: i === buckets ? '+Inf' : String(2 ** i) },
      value: total,
    });
  }
  samples.push({ suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: total });
  return samples;
}

/** A tag's name becomes a label name; it cannot take the place of the labels that tell series apart. */
function labelsOf({ model, version }: ServedVersion): Record<string, string> {
  const tags = Object.entries(model.config.metricTags)
    .slice(0, TAGS_MAX)
    .map(([name, value]) => [name.replaceAll(/\W/g, '_').replace(/^(?=\d)/, '_'), value] as const)
    .filter(([name]) => !['reason', 'le', ''].includes(name) && !name.startsWith('__'));
  return { ...Object.fromEntries(tags), model: model.name, version };
}

function us({ ns }: { readonly ns: number }): number {
  return Math.round(ns / 1000);
}
