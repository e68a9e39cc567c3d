/**
 * The cost of a bid, whole: the real server over loopback with the demo catalog, against a floor measured in the same
 * run, round by round in turn, so that a noisy machine disturbs both alike.
 *
 * The figure is CPU (user + system, all threads of the server process) over answered requests. The floor is what the
 * machine must do anyway: a uWebSockets.js server that reads the same bytes, parses them and answers as many bytes, plus
 * the same models run on the same rows at their best batch size. What it does not show: network, TLS, a client that
 * keeps its own pace (the loop is closed).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DAY_ZERO_MS, DEMO_DAY, DEMO_SEED, ensureDemo, generateRequests } from '../../world/index.js';
import { Child, type Usage } from './child.js';
import type { FloorModelArguments, ModelFloor } from './floor-model.js';
import type { LoadResult, LoadRound } from './load.js';
import type { ServerArguments } from './server.js';

export interface PathOptions {
  /** Requests to the server over all rounds; the floor gets a third of it. */
  readonly requests: number;
  readonly connections: number;
  /** Where demo, requests and configuration are put. */
  readonly directory?: string;
  readonly lineItems?: number;
}

export interface PathResult {
  readonly suite: 'path';
  readonly cpu_us_per_request: number;
  readonly floor_cpu_us_per_request: number;
  readonly ratio: number;
  readonly candidates_per_request: number;
  readonly bid_rate: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly hash: string;
  readonly [detail: string]: unknown;
}

const ROUNDS = 3;
const WARM_UP_REQUESTS = 20_000;
/** Distinct requests: 64 connections walk through 64 each. */
const BODIES = 4_096;
/** The wall clock of the run: noon of the demo's day. */
const EPOCH_MS = DAY_ZERO_MS + DEMO_DAY * 86_400_000 + 12 * 3_600_000;

type ServerUsage = Usage & { rows: Record<string, number> };

export async function benchPath(options: PathOptions): Promise<PathResult> {
  const directory = options.directory ?? 'var/bench';
  mkdirSync(directory, { recursive: true });
  const demo = ensureDemo(options.directory ? join(directory, 'demo') : 'var/demo', { lineItems: options.lineItems });
  const bodies = writeBodies(join(directory, 'path-requests.jsonl'), Math.min(BODIES, options.requests));
  const configFile = writeConfig(join(directory, 'path.json'), demo.catalogDir);

  const server = await Child.start<{ port: number }>(import.meta.url, './server.js', {
    configFile,
    epochMs: EPOCH_MS,
  } satisfies ServerArguments);
  const load = await Child.start(import.meta.url, './load.js', { bodies });
  const sample = await hashOfAnswers(server.ready.port, bodies);
  const floor = await Child.start<{ port: number }>(import.meta.url, './floor-server.js', {
    replyBytes: sample.replyBytes,
  });
  const model = await Child.start(import.meta.url, './floor-model.js', {
    configFile,
    bodies,
    epochMs: EPOCH_MS,
  } satisfies FloorModelArguments);

  const perRound = Math.ceil(options.requests / ROUNDS);
  const { connections } = options;
  const round = (port: number, requests: number) =>
    load.ask<LoadResult>({ port, requests, connections } satisfies LoadRound);
  // V8 needs some thousand requests to settle on its optimised code; they are no part of the figure.
  await round(server.ready.port, Math.min(WARM_UP_REQUESTS, perRound));
  await round(floor.ready.port, Math.min(WARM_UP_REQUESTS, perRound));

  const rounds: {
    cpuUs: number;
    httpFloorUs: number;
    pctr: ModelFloor;
    pcvr: ModelFloor;
    load: LoadResult;
    rss: number;
  }[] = [];
  const first = await server.ask<ServerUsage>({});
  for (let i = 0; i < ROUNDS; i++) {
    const before = await server.ask<ServerUsage>({});
    const loaded = await round(server.ready.port, perRound);
    const after = await server.ask<ServerUsage>({});
    const { rssBytes } = await server.ask<ServerUsage>({ collect: true });
    const floorBefore = await floor.ask<Usage>({});
    const floorLoaded = await round(floor.ready.port, Math.ceil(perRound / 3));
    const floorAfter = await floor.ask<Usage>({});
    const models = await model.ask<{ pctr: ModelFloor; pcvr: ModelFloor }>({ runs: Math.min(2_000, perRound) });
    rounds.push({
      cpuUs: (after.cpuUs - before.cpuUs) / loaded.answered,
      httpFloorUs: (floorAfter.cpuUs - floorBefore.cpuUs) / floorLoaded.answered,
      ...models,
      load: loaded,
      rss: rssBytes,
    });
  }
  const last = await server.ask<ServerUsage>({});
  await Promise.all([server.stop(), floor.stop(), model.stop(), load.stop()]);

  const median = (read: (r: (typeof rounds)[number]) => number) => rounds.map(read).sort((a, b) => a - b)[ROUNDS >> 1];
  const answered = rounds.reduce((sum, r) => sum + r.load.answered, 0);
  const rowsPerRequest = (name: string) => (last.rows[name] - first.rows[name]) / answered;
  const rowsPerBatch = (name: string) =>
    (last.rows[name] - first.rows[name]) / (last.rows[`${name}_batches`] - first.rows[`${name}_batches`]);
  const cpuUs = median((r) => r.cpuUs);
  const floorUs = median((r) => r.httpFloorUs + r.pctr.cpuUsPerRequest + r.pcvr.cpuUsPerRequest);
  return {
    suite: 'path',
    cpu_us_per_request: round1(cpuUs),
    floor_cpu_us_per_request: round1(floorUs),
    ratio: Math.round((cpuUs / floorUs) * 1000) / 1000,
    candidates_per_request: round1(rowsPerRequest('pctr_dlrm')),
    bid_rate: Math.round((rounds.reduce((sum, r) => sum + r.load.bids, 0) / answered) * 1000) / 1000,
    p50_us: median((r) => r.load.p50Us),
    p99_us: median((r) => r.load.p99Us),
    hash: sample.hash,
    floor_http_us: round1(median((r) => r.httpFloorUs)),
    floor_pctr_us: round1(median((r) => r.pctr.cpuUsPerRequest)),
    floor_pcvr_us: round1(median((r) => r.pcvr.cpuUsPerRequest)),
    floor_requests_per_run: median((r) => r.pctr.requestsPerRun),
    rows_per_batch: round1(rowsPerBatch('pctr_dlrm')),
    requests: answered,
    requests_per_s: Math.round(median((r) => r.load.answered / r.load.durationS)),
    errors: rounds.reduce((sum, r) => sum + r.load.errors, 0),
    rss_mib: rounds.map((r) => Math.round(r.rss / 1024 / 1024)),
  };
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Requests with one imp, so that a request is 64 candidates at most. */
function writeBodies(file: string, count: number): string {
  const lines: string[] = [];
  for (const { body } of generateRequests({ seed: DEMO_SEED, day: DEMO_DAY, count: count * 2 })) {
    if (lines.length < count && JSON.parse(body).imp.length === 1) lines.push(body);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function writeConfig(file: string, catalogDirectory: string): string {
  const loopback = { host: '127.0.0.1', port: 0 };
  // JSON is YAML.
  const config = {
    http: loopback,
    grpc: { enabled: false },
    operations: { port: 0 },
    catalog: { directory: catalogDirectory },
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** Sends a fixed sample one by one; the hash is of who won what at which price, the response ids left out. */
async function hashOfAnswers(port: number, bodies: string): Promise<{ hash: string; replyBytes: number }> {
  const lines = readFileSync(bodies, 'utf8').trimEnd().split('\n').slice(0, 256);
  const hash = createHash('sha256');
  let bytes = 0;
  for (const body of lines) {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`http://127.0.0.1:${port}/openrtb2/bid`, { method: 'POST', headers, body });
    const text = await response.text();
    bytes += text.length;
    const bids = text === '' ? [] : JSON.parse(text).seatbid[0].bid;
    for (const bid of bids) hash.update(`${bid.impid} ${bid.crid} ${bid.price}\n`);
    hash.update(`${response.status}\n`);
  }
  return { hash: hash.digest('hex').slice(0, 16), replyBytes: Math.round(bytes / lines.length) };
}
