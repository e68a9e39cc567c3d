import { OUTCOMES, type Outcome, STAGES } from '../contract/index.js';
import { LatencyHistogram } from './latency-histogram.js';
import type { Family } from './registry.js';

/** Everything the bid path records. One instance a process; plain fields so that recording is an array write. */
export class BidPathMetrics {
  /** Indexed by STAGE. */
  readonly stages: readonly LatencyHistogram[] = STAGES.map(() => new LatencyHistogram());
  /** From the complete body to the answer handed to the socket. */
  readonly request = new LatencyHistogram();
  /** Indexed by outcome code. */
  readonly outcomes = new Float64Array(OUTCOMES.length);
  imps = 0;
  bids = 0;
  candidates = 0;
  /** Sum of the CPM micros offered, for a mean price. */
  offeredMicros = 0;

  recordAnswer(outcome: Outcome, us: number): void {
    this.outcomes[outcome]++;
    this.request.record(us);
  }

  families(): Family[] {
    return [
      {
        name: 'vickrey_requests_total',
        help: 'Bid requests answered, by outcome.',
        type: 'counter',
        samples: OUTCOMES.map((row, code) => ({ labels: { outcome: row.label }, value: this.outcomes[code] })),
      },
      single('vickrey_imps_total', 'Imps decoded.', this.imps),
      single('vickrey_bids_total', 'Bids sent.', this.bids),
      single('vickrey_candidates_total', 'Candidates scored.', this.candidates),
      single('vickrey_offered_micros_total', 'Sum of the CPM micros of all bids sent.', this.offeredMicros),
      histogram('vickrey_request_duration_seconds', 'From the complete body to the answer.', [[{}, this.request]]),
      histogram(
        'vickrey_stage_duration_seconds',
        'Time per stage; a stage has the name of its folder in src/.',
        STAGES.map((stage, i) => [{ stage }, this.stages[i]]),
      ),
    ];
  }
}

function single(name: string, help: string, value: number): Family {
  return { name, help, type: 'counter', samples: [{ labels: {}, value }] };
}

function histogram(
  name: string,
  help: string,
  series: readonly (readonly [Record<string, string>, LatencyHistogram])[],
): Family {
  const samples = series.flatMap(([labels, h]) => {
    let cumulative = 0;
    const buckets = LatencyHistogram.boundsUs.map((us, i) => {
      cumulative += h.counts[i];
      return { suffix: '_bucket', labels: { ...labels, le: String(us / 1e6) }, value: cumulative };
    });
    return [
      ...buckets,
      { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: h.count },
      { suffix: '_sum', labels, value: h.sumUs / 1e6 },
      { suffix: '_count', labels, value: h.count },
    ];
  });
  return { name, help, type: 'histogram', samples };
}
