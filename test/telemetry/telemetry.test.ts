import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OUTCOME, STAGE } from '../../src/contract/index.js';
import { BidPathMetrics, LatencyHistogram, MetricsRegistry } from '../../src/telemetry/index.js';

describe('LatencyHistogram', () => {
  it('puts every value into the first bucket whose bound is not below it', () => {
    const bounds = LatencyHistogram.boundsUs;
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), (us) => {
        const histogram = new LatencyHistogram();
        histogram.record(us);
        const expected = bounds.findIndex((bound) => us <= bound);
        expect(histogram.counts.indexOf(1)).toBe(expected < 0 ? bounds.length : expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has ascending bounds, and puts each bound into its own bucket', () => {
    LatencyHistogram.boundsUs.forEach((bound, i) => {
      const histogram = new LatencyHistogram();
      histogram.record(bound);
      expect(histogram.counts[i]).toBe(1);
      if (i > 0) expect(bound).toBeGreaterThan(LatencyHistogram.boundsUs[i - 1]);
    });
  });
});

describe('exposition', () => {
  it('shows counts by outcome and cumulative buckets by stage', async () => {
    const metrics = new BidPathMetrics();
    metrics.recordAnswer(OUTCOME.below_floor, 90);
    metrics.stages[STAGE.catalog].record(3);
    metrics.stages[STAGE.catalog].record(5_000_000);
    const registry = new MetricsRegistry();
    registry.register(() => metrics.families());
    const { body, contentType } = await registry.exposition();
    expect(contentType).toContain('text/plain');
    expect(body).toContain('vickrey_requests_total{outcome="below_floor"} 1');
    expect(body).toContain('vickrey_stage_duration_seconds_bucket{stage="catalog",le="0.000003"} 1');
    expect(body).toContain('vickrey_stage_duration_seconds_bucket{stage="catalog",le="+Inf"} 2');
    expect(body).toContain('vickrey_stage_duration_seconds_count{stage="catalog"} 2');
    expect(body).toContain('process_cpu_user_seconds_total');
    metrics.recordAnswer(OUTCOME.below_floor, 90);
    expect((await registry.exposition()).body).toContain('vickrey_requests_total{outcome="below_floor"} 2');
  });
});
