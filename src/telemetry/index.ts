/**
 * telemetry/: what can be seen from outside.
 *
 * Takes: durations and counts, recorded into fixed arrays. Gives: the Prometheus text, built when it is scraped.
 * Owns: the histograms and counters of the bid path. Never: allocates, formats or looks up a label on the hot path.
 * Fails: a scrape that throws answers 500; recording cannot fail.
 */
export { LatencyHistogram } from './latency-histogram.js';
export { BidPathMetrics } from './metrics.js';
export { type Family, MetricsRegistry, type Sample } from './registry.js';
