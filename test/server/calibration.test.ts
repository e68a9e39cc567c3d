import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/base/index.js';
import { AuctionRequest, CANDIDATES_PER_IMP_MAX, GOAL, hourOfWeek } from '../../src/contract/index.js';
import { SourceRow } from '../../src/features/index.js';
import { Engine, type EngineListener, loadRepository } from '../../src/inference/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import {
  type AdFacts,
  adFacts,
  DEMO_SEED,
  generateRequests,
  type ImpTruth,
  Market,
  Random,
  STREAM,
} from '../../world/index.js';
import { bidsOf, EPOCH_MS, JSON_TYPE, startTestServer, type TestServer, worldBodies } from './support.js';

/** A day that no model was trained or calibrated on. */
const DAY = 100;
const REQUESTS = 4_000;
/** Each candidate is shown this often: the labels are drawn, and still their noise stays well below the bounds. */
const SHOWINGS = 10;

let running: TestServer;
beforeAll(async () => {
  running = await startTestServer();
});
afterAll(() => running.stop());

interface Row {
  readonly predicted: number;
  readonly clicks: number;
}

it('Σp/Σy over every scored candidate: within 3 % overall and 10 % in each decile', async () => {
  const rows = await scoreDay();
  expect(rows.length).toBeGreaterThan(150_000);
  expect(ratio(rows)).toBeGreaterThan(0.97);
  expect(ratio(rows)).toBeLessThan(1.03);
  rows.sort((a, b) => a.predicted - b.predicted);
  const deciles = Array.from({ length: 10 }, (_, d) =>
    ratio(rows.slice(Math.floor((d * rows.length) / 10), Math.floor(((d + 1) * rows.length) / 10))),
  );
  for (const [d, value] of deciles.entries()) {
    expect(value, `decile ${d + 1} of ${deciles.map((v) => v.toFixed(3))}`).toBeGreaterThan(0.9);
    expect(value, `decile ${d + 1} of ${deciles.map((v) => v.toFixed(3))}`).toBeLessThan(1.1);
  }
}, 120_000);

it('Σp/Σy over the bids that went out: the auction prefers overestimated ads, but by little', async () => {
  const { snapshot } = running.server.catalog;
  const ads = new Map<string, number>();
  for (let ad = 0; ad < snapshot.ads.count; ad++) {
    const { lineItemId, creativeId } = snapshot.texts(ad);
    ads.set(`${lineItemId} ${creativeId}`, ad);
  }
  const request = new AuctionRequest();
  const market = new Market(DEMO_SEED);
  let predicted = 0;
  let truth = 0;
  let bids = 0;
  for (const body of worldBodies(REQUESTS, DAY)) {
    const response = await fetch(running.url, { method: 'POST', headers: JSON_TYPE, body });
    decodeJson(Buffer.from(body), request);
    for (const bid of bidsOf(await response.text())) {
      const ad = ads.get(`${bid.adid} ${bid.crid}`)!;
      if (snapshot.ads.goal[ad] !== GOAL.cpc) continue;
      const imp = request.imps.find((candidate) => candidate.id === bid.impid)!;
      // A CPC bid's price is 1000 · bid · pCTR: the probability that was served can be read off it.
      predicted += (bid.price * 1e6) / (1000 * snapshot.ads.bidMicros[ad]);
      truth += market.impTruth(request, imp, EPOCH_MS).clickProbability(adFacts(snapshot, ad));
      bids++;
    }
  }
  expect(bids).toBeGreaterThan(500);
  expect(predicted / truth).toBeGreaterThan(0.9);
  expect(predicted / truth).toBeLessThan(1.1);
}, 120_000);

function ratio(rows: readonly Row[]): number {
  const sum = (read: (row: Row) => number) => rows.reduce((total, row) => total + read(row), 0);
  return sum((row) => row.predicted) / (sum((row) => row.clicks) / SHOWINGS);
}

/** Scores every candidate of a day's requests with the server's own catalog, feature program, engine and calibrator. */
async function scoreDay(): Promise<Row[]> {
  const { catalog, roles } = running.server;
  const { snapshot } = catalog;
  const { program, calibrator } = roles().pctr;
  const model = loadRepository('native-models').find(({ name }) => name === 'pctr_dlrm')!;
  const collector = new Collector();
  const engine = await Engine.start({
    models: [{ ...model, file: model.modelFile, signature: program.signature }],
    workers: 1,
    slabsPerModel: 2,
    batchTimeoutUs: 10_000_000,
    listener: collector,
    clock: systemClock,
  });
  const market = new Market(DEMO_SEED);
  const random = new Random(DEMO_SEED, STREAM.request, 0, DAY);
  const facts: AdFacts[] = Array.from({ length: snapshot.ads.count }, (_, ad) => adFacts(snapshot, ad));
  const request = new AuctionRequest();
  const row = new SourceRow();
  const adRows = program.bind(snapshot.ads);
  const candidates = new Int32Array(CANDIDATES_PER_IMP_MAX);
  const rows: Row[] = [];
  for (const { body, epochMs } of generateRequests({ seed: DEMO_SEED, day: DAY, count: REQUESTS })) {
    decodeJson(Buffer.from(body), request);
    const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
    for (const imp of request.imps.slice(0, request.impCount)) {
      const count = snapshot.find(request, imp, hour, epochMs, candidates, 0, CANDIDATES_PER_IMP_MAX);
      if (count === 0) continue;
      const batch = engine.reserve(0, 1, count, 0, Number.POSITIVE_INFINITY)!;
      row.fill(request, imp, hour);
      program.writeRequest(row, batch, engine.requestRow);
      program.writeCandidates(row, adRows, candidates, 0, count, batch, engine.requestRow, engine.candidateRow);
      engine.flush();
      const scores = await collector.next();
      const truth: ImpTruth = market.impTruth(request, imp, epochMs);
      for (let i = 0; i < count; i++) {
        const probability = truth.clickProbability(facts[candidates[i]]);
        let clicks = 0;
        for (let s = 0; s < SHOWINGS; s++) if (random.uniform() < probability) clicks++;
        rows.push({ predicted: calibrator.probability(scores[i]), clicks });
      }
    }
  }
  await engine.close();
  return rows;
}

class Collector implements EngineListener {
  private resolve: (scores: Float32Array) => void = () => {};

  next(): Promise<Float32Array> {
    return new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  onScores(_ticket: number, _model: number, scores: Float32Array, offset: number, count: number): void {
    this.resolve(scores.slice(offset, offset + count));
  }

  onFailed(): void {
    throw new Error('a batch failed');
  }
}
