/**
 * The rooms of the hot path one by one, on real requests and the demo catalog: where the CPU of a request goes. Rates
 * of single functions in a tight loop; what they cost together, with cold caches and sockets, only `path` tells.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import benny from 'benny';
import { AuctionResult, runAuction } from '../src/auction/index.js';
import { impressionValueMicros } from '../src/bidding/index.js';
import { compileCalibration } from '../src/calibration/index.js';
import { Catalog } from '../src/catalog/index.js';
import {
  AuctionRequest,
  type BatchRows,
  type BidOffer,
  CANDIDATES_PER_IMP_MAX,
  FORMAT,
  hourOfWeek,
} from '../src/contract/index.js';
import { compileProgram, SourceRow } from '../src/features/index.js';
import { loadRepository } from '../src/inference/index.js';
import { BidIdSource, BidResponseEncoder, decodeJson } from '../src/openrtb/index.js';
import { DEMO_DAY, DEMO_SEED, ensureDemo, generateRequests } from '../world/index.js';

export interface MicroOptions {
  readonly directory?: string;
  readonly lineItems?: number;
  /** Least time per case. */
  readonly seconds?: number;
}

const REQUESTS = 512;

export async function benchMicro({ directory = 'var/demo', lineItems, seconds = 1 }: MicroOptions): Promise<object> {
  const cases = await makeCases(ensureDemo(directory, { lineItems }).catalogDir);
  const summary = await benny.suite(
    'one request with one imp and up to 64 candidates',
    ...Object.entries(cases).map(([name, run]) => benny.add(name, run, { minSamples: 3, maxTime: seconds })),
    benny.cycle(),
  );
  const nsPerRequest = Object.fromEntries(summary.results.map(({ name, ops }) => [name, Math.round(1e9 / ops)]));
  return { suite: 'micro', ns_per_request: nsPerRequest };
}

/** Each case does one request's share of one room's work, walking through the requests. */
async function makeCases(catalogDirectory: string): Promise<Record<string, () => void>> {
  const { snapshot } = await Catalog.load(catalogDirectory);
  const model = loadRepository('native-models').find(({ name }) => name === 'pctr_dlrm')!;
  const json = (...parts: string[]) => JSON.parse(readFileSync(join(...parts), 'utf8'));
  const program = compileProgram(json(model.directory, 'features.json'), 'features.json');
  const calibrator = compileCalibration(json(model.versionDirectory, 'calibration.json'), 'calibration.json');

  const bodies: Buffer[] = [];
  const requests: AuctionRequest[] = [];
  let epochMs = 0;
  for (const made of generateRequests({ seed: DEMO_SEED, day: DEMO_DAY, count: REQUESTS })) {
    const request = new AuctionRequest();
    epochMs = made.epochMs;
    if (!decodeJson(Buffer.from(made.body), request) || request.impCount !== 1) continue;
    bodies.push(Buffer.from(made.body));
    requests.push(request);
  }
  const { signature } = program;
  const batch: BatchRows = {
    inputs: signature.inputs.map(({ type, scope, width }) => {
      const length = width * (scope === 'request' ? 1 : CANDIDATES_PER_IMP_MAX);
      return type === 'int32' ? new Int32Array(length) : new Float32Array(length);
    }),
    requestIndex: new Int32Array(CANDIDATES_PER_IMP_MAX),
  };
  const found = new Int32Array(CANDIDATES_PER_IMP_MAX);
  const count = snapshot.find(requests[0], requests[0].imps[0], 0, epochMs, found, 0, CANDIDATES_PER_IMP_MAX);
  const ads = found.slice(0, count);
  const row = new SourceRow();
  const adRows = program.bind(snapshot.ads);
  const probabilities = Float64Array.from(ads, (_, i) => 0.001 * (i + 1));
  const values = new Float64Array(count);
  const result = new AuctionResult();
  const encoder = new BidResponseEncoder({ seat: 'vickrey', ids: new BidIdSource('b') });
  const into = new AuctionRequest();
  const offer: BidOffer = {
    impIndex: 0,
    ad: ads[0],
    priceMicros: 1_234_567,
    format: FORMAT.banner,
    width: 300,
    height: 250,
    durationSeconds: 0,
  };
  let turn = 0;
  const next = () => {
    turn = (turn + 1) % requests.length;
    return turn;
  };
  const { goal, bidMicros } = snapshot.ads;
  return {
    'JSON.parse alone': () => JSON.parse(bodies[next()].toString('utf8')),
    openrtb: () => decodeJson(bodies[next()], into),
    catalog: () => {
      const request = requests[next()];
      const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
      snapshot.find(request, request.imps[0], hour, epochMs, found, 0, CANDIDATES_PER_IMP_MAX);
    },
    features: () => {
      const request = requests[next()];
      row.fill(request, request.imps[0], 12);
      program.writeRequest(row, batch, 0);
      program.writeCandidates(row, adRows, ads, 0, count, batch, 0, 0);
    },
    calibration: () => {
      for (let i = 0; i < count; i++) probabilities[i] = calibrator.probability(-4 - i * 0.01);
    },
    bidding: () => {
      for (let i = 0; i < count; i++) {
        values[i] = impressionValueMicros(goal[ads[i]], bidMicros[ads[i]], probabilities[i], 0.05, 1e8);
      }
    },
    auction: () => runAuction(values, ads, snapshot.ads.advertiserCode, 0, count, 100_000, next(), result),
    'reply, encoded': () => encoder.encode(requests[next()], [offer], 1, snapshot, 'USD'),
  };
}
