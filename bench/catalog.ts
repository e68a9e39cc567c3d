/**
 * The catalog bench: how long a load takes, what a snapshot holds, and what finding the candidates of a request costs,
 * at several catalog sizes of the same market.
 *
 * Each size is loaded as the server does it, by a loader thread from JSONL files. The requests are one decoded day of
 * the market, every imp asked for `CANDIDATES_PER_IMP_MAX` ads; decoding and everything after retrieval is left out.
 * Rounds over all requests are repeated and the median round counts. Resident memory is read after a garbage collection
 * and includes what the loader thread's allocator has not given back, so it says more than the snapshot alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { combine32 } from '../src/base/index.js';
import { Catalog } from '../src/catalog/index.js';
import {
  AuctionRequest,
  CANDIDATES_PER_IMP_MAX,
  type CatalogSnapshot,
  hourOfWeek,
  IMPS_MAX,
} from '../src/contract/index.js';
import { decodeJson } from '../src/openrtb/index.js';
import { generateRequests, writeCatalog } from '../world/index.js';

const SEED = 1;
const DAY = 100;
const ROUNDS = 7;

export interface CatalogBenchOptions {
  /** Numbers of line items, ascending. */
  readonly sizes: readonly number[];
  readonly requests: number;
  /** Gets each row as it is measured. */
  readonly print?: (line: string) => void;
}

export interface CatalogBenchSize {
  readonly line_items: number;
  readonly ads: number;
  readonly load_ms: number;
  /** Columns, texts and index of the snapshot. */
  readonly snapshot_bytes: number;
  readonly index_bytes: number;
  readonly rss_bytes: number;
  readonly find_us_per_request: number;
  /** Of single requests, in the median round. */
  readonly find_us_p99: number;
  readonly candidates_per_request: number;
}

export interface CatalogBenchResult {
  readonly suite: 'catalog';
  readonly requests: number;
  readonly sizes: readonly CatalogBenchSize[];
  /** Retrieval time of the largest size over that of the smallest. */
  readonly growth: number;
  /** The same, where both sizes were measured. */
  readonly growth_10k_to_1m?: number;
  /** Of all candidates found: equal for equal sizes and requests on any machine. */
  readonly hash: string;
}

interface Ask {
  readonly request: AuctionRequest;
  readonly hour: number;
  readonly epochMs: number;
}

export async function benchCatalog(options: CatalogBenchOptions): Promise<CatalogBenchResult> {
  const print = options.print ?? (() => {});
  const asks = decodedRequests(options.requests);
  print('line items        ads   load ms  snapshot MB  index MB   RSS MB  find us  p99 us  candidates');
  const sizes: CatalogBenchSize[] = [];
  let hash = 1;
  for (const lineItems of options.sizes) {
    const { row, found } = await measureSize(lineItems, asks);
    hash = combine32(hash, found) || 1;
    sizes.push(row);
    print(tableRow(row));
  }
  const findUs = (lineItems: number) => sizes.find((size) => size.line_items === lineItems)?.find_us_per_request;
  const [small, large] = [findUs(10_000), findUs(1_000_000)];
  return {
    suite: 'catalog',
    requests: options.requests,
    sizes,
    growth: round(sizes[sizes.length - 1].find_us_per_request / sizes[0].find_us_per_request),
    ...(small === undefined || large === undefined ? {} : { growth_10k_to_1m: round(large / small) }),
    hash: hash.toString(16).padStart(8, '0'),
  };
}

function decodedRequests(count: number): Ask[] {
  const asks: Ask[] = [];
  for (const { body, epochMs } of generateRequests({ seed: SEED, day: DAY, count })) {
    const request = new AuctionRequest();
    if (!decodeJson(Buffer.from(body), request)) throw new Error('the market made a request that does not decode');
    asks.push({ request, hour: hourOfWeek(epochMs, request.utcOffsetMinutes), epochMs });
  }
  return asks;
}

async function measureSize(lineItems: number, asks: readonly Ask[]): Promise<{ row: CatalogBenchSize; found: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-bench-catalog-'));
  try {
    writeCatalog(directory, SEED, lineItems);
    const rssBefore = rssBytes();
    // The load happens at the time of the traffic, as it does where a server runs.
    const clock = { nowUs: () => performance.now() * 1000, epochMs: () => asks[0].epochMs };
    const { snapshot, report } = await Catalog.load(directory, { clock });
    const rss = rssBytes() - rssBefore;
    const retrieval = measureFind(snapshot, asks);
    const row = {
      line_items: lineItems,
      ads: report.ads,
      load_ms: Math.round(report.loadMs),
      snapshot_bytes: report.bytes.total,
      index_bytes: report.bytes.index,
      rss_bytes: rss,
      find_us_per_request: round(retrieval.meanUs),
      find_us_p99: round(retrieval.p99Us),
      candidates_per_request: round(retrieval.candidates / asks.length),
    };
    return { row, found: retrieval.hash };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function measureFind(snapshot: CatalogSnapshot, asks: readonly Ask[]) {
  const out = new Int32Array(IMPS_MAX * CANDIDATES_PER_IMP_MAX);
  const rounds: { totalUs: number; singleUs: Float64Array }[] = [];
  let candidates = 0;
  let hash = 1;
  for (let round = 0; round < ROUNDS; round++) {
    const singleUs = new Float64Array(asks.length);
    candidates = 0;
    const startMs = performance.now();
    let beforeMs = startMs;
    for (let i = 0; i < asks.length; i++) {
      const count = findAll(snapshot, asks[i], out);
      const afterMs = performance.now();
      singleUs[i] = (afterMs - beforeMs) * 1000;
      beforeMs = afterMs;
      candidates += count;
    }
    rounds.push({ totalUs: (beforeMs - startMs) * 1000, singleUs });
  }
  for (const ask of asks) {
    const count = findAll(snapshot, ask, out);
    for (let i = 0; i < count; i++) hash = combine32(hash, out[i] + 1) || 1;
  }
  rounds.sort((a, b) => a.totalUs - b.totalUs);
  const { totalUs, singleUs } = rounds[ROUNDS >> 1];
  const p99Us = singleUs.sort()[Math.floor(asks.length * 0.99)];
  return { meanUs: totalUs / asks.length, p99Us, candidates, hash };
}

function findAll(snapshot: CatalogSnapshot, { request, hour, epochMs }: Ask, out: Int32Array): number {
  let count = 0;
  for (let i = 0; i < request.impCount; i++) {
    count += snapshot.find(request, request.imps[i], hour, epochMs, out, count, CANDIDATES_PER_IMP_MAX);
  }
  return count;
}

function rssBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage.rss();
}

function tableRow(row: CatalogBenchSize): string {
  const cells: [string | number, number][] = [
    [row.line_items, 10],
    [row.ads, 10],
    [row.load_ms, 9],
    [(row.snapshot_bytes / 1e6).toFixed(1), 12],
    [(row.index_bytes / 1e6).toFixed(1), 9],
    [(row.rss_bytes / 1e6).toFixed(1), 8],
    [row.find_us_per_request.toFixed(2), 8],
    [row.find_us_p99.toFixed(1), 7],
    [row.candidates_per_request.toFixed(1), 11],
  ];
  return cells.map(([value, width]) => String(value).padStart(width)).join(' ');
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
