/** Families that the server reads from its rooms when a scrape asks: engine, ingress, catalog. */
import type { LoadReport } from './catalog/index.js';
import type { EngineStats } from './inference/index.js';
import type { GrpcStats, HttpStats } from './ingress/index.js';
import type { Family, Sample } from './telemetry/index.js';

export function engineFamilies(stats: EngineStats): Family[] {
  const perModel = (read: (model: EngineStats['models'][number]) => number): Sample[] =>
    stats.models.map((model) => ({
      labels: { model: model.name, version: String(model.version) },
      value: read(model),
    }));
  return [
    gauge('vickrey_workers_up', 'Inference workers that are ready.', stats.instancesUp),
    counter('vickrey_workers_lost_total', 'Inference workers that crashed or hung.', stats.workersLost),
    family(
      'counter',
      'vickrey_batches_total',
      'Batches scored.',
      perModel((m) => m.batches),
    ),
    family(
      'counter',
      'vickrey_batches_failed_total',
      'Batches lost or refused by the runtime.',
      perModel((m) => m.batchesFailed),
    ),
    family(
      'counter',
      'vickrey_batches_expired_total',
      'Batches dropped because every deadline in them had passed.',
      perModel((m) => m.batchesExpired),
    ),
    family(
      'counter',
      'vickrey_batch_reservations_refused_total',
      'Reservations refused because no slab was free.',
      perModel((m) => m.refused),
    ),
    family(
      'counter',
      'vickrey_tickets_failed_total',
      'Requests whose scores were lost.',
      perModel((m) => m.ticketsFailed),
    ),
    family(
      'counter',
      'vickrey_model_busy_seconds_total',
      'Time that workers spent in runs.',
      perModel((m) => m.busyUs / 1e6),
    ),
    family(
      'gauge',
      'vickrey_batches_waiting',
      'Batches that wait for a worker, the open one included.',
      perModel((m) => m.waiting),
    ),
    family(
      'gauge',
      'vickrey_batches_running',
      'Batches that run.',
      perModel((m) => m.running),
    ),
    family(
      'gauge',
      'vickrey_batch_cost_fixed_seconds',
      'Fitted cost of a batch, fixed part.',
      perModel((m) => m.cost.a / 1e6),
    ),
    family(
      'gauge',
      'vickrey_batch_cost_row_seconds',
      'Fitted cost of a batch, per candidate row.',
      perModel((m) => m.cost.b / 1e6),
    ),
    {
      name: 'vickrey_batch_rows',
      help: 'Candidate rows per batch.',
      type: 'histogram',
      samples: stats.models.flatMap((m) => rowsHistogram(m)),
    },
  ];
}

function rowsHistogram(model: EngineStats['models'][number]): Sample[] {
  const labels = { model: model.name, version: String(model.version) };
  let cumulative = 0;
  const buckets = model.rowsHistogram.map((count, i) => {
    cumulative += count;
    return { suffix: '_bucket', labels: { ...labels, le: String(2 ** i) }, value: cumulative };
  });
  return [
    ...buckets,
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: cumulative },
    { suffix: '_sum', labels, value: model.candidateRows },
    { suffix: '_count', labels, value: cumulative },
  ];
}

/** An ingress's numbers: what is open now as levels, the rest as counters, the field's name as label. */
export function ingressFamilies(http: HttpStats, grpc: GrpcStats | undefined): Family[] {
  return [...protocolFamilies('http', http), ...protocolFamilies('grpc', grpc ?? {})];
}

function protocolFamilies(protocol: string, stats: object): Family[] {
  const samples = (label: string, isWanted: (name: string) => boolean): Sample[] =>
    Object.entries(stats)
      .filter(([name, value]) => typeof value === 'number' && isWanted(name))
      .map(([name, value]) => ({ labels: { [label]: snakeCase(name) }, value }));
  const isLevel = (name: string) => name.endsWith('Open');
  return [
    family('gauge', `vickrey_${protocol}_open`, 'What is open now, by kind.', samples('kind', isLevel)),
    family(
      'counter',
      `vickrey_${protocol}_events_total`,
      'What has happened, by event.',
      samples('event', (name) => !isLevel(name)),
    ),
  ];
}

export function serverFamilies(requestsInFlight: number, load: LoadReport, reloads: Record<string, number>): Family[] {
  const { advertisers, campaigns, lineItems, creatives, ads } = load;
  const counts = { advertisers, campaigns, line_items: lineItems, creatives, ads };
  return [
    gauge('vickrey_requests_in_flight', 'Bid requests that hold a slot.', requestsInFlight),
    gauge('vickrey_catalog_generation', 'Grows by one with every successful load.', load.generation),
    family(
      'counter',
      'vickrey_catalog_reloads_total',
      'Reloads since the start; a refused one leaves the old catalog in place.',
      Object.entries(reloads).map(([result, value]) => ({ labels: { result }, value })),
    ),
    gauge('vickrey_catalog_load_seconds', 'Duration of the last successful load.', load.loadMs / 1000),
    family(
      'gauge',
      'vickrey_catalog_records',
      'Records of the current catalog.',
      Object.entries(counts).map(([kind, value]) => ({ labels: { kind }, value })),
    ),
  ];
}

function snakeCase(camelCase: string): string {
  return camelCase.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function family(type: 'counter' | 'gauge', name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type, samples };
}
function gauge(name: string, help: string, value: number): Family {
  return family('gauge', name, help, [{ labels: {}, value }]);
}
function counter(name: string, help: string, value: number): Family {
  return family('counter', name, help, [{ labels: {}, value }]);
}
