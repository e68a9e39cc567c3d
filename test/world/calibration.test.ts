import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileCalibration } from '../../src/calibration/index.js';
import { snapshotOfRecords } from '../../src/catalog/index.js';
import { AuctionRequest, CANDIDATES_PER_IMP_MAX, type CatalogSnapshot, hourOfWeek } from '../../src/contract/index.js';
import { type AdRows, compileProgram, SourceRow } from '../../src/features/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import {
  adFacts,
  DAY_ZERO_MS,
  DEMO_LINE_ITEMS,
  DEMO_SEED,
  generateCatalog,
  generateRequests,
  Market,
} from '../../world/index.js';

/** A day that no model has seen: training used the days from 0 on, see native-models/train/run.sh. */
const NEW_DAY = 150;
const REQUESTS = 1500;

/** Predicted and true probabilities of one model over every candidate of a day. */
interface Judged {
  readonly predicted: number[];
  readonly truth: number[];
}

let snapshot: CatalogSnapshot;
beforeAll(() => {
  snapshot = snapshotOfRecords(generateCatalog({ seed: DEMO_SEED, lineItems: DEMO_LINE_ITEMS }), DAY_ZERO_MS);
});

describe('on a day of the market that is new to it', () => {
  it.each([
    ['pctr_dlrm', 'click'],
    ['pctr_gbm', 'click'],
    ['pcvr', 'conversion'],
  ] as const)('%s is calibrated against the truth, as a whole and in every decile', async (model, kind) => {
    const { predicted, truth } = await judge(model, kind);
    expect(predicted.length).toBeGreaterThan(50 * REQUESTS);
    expect(ratio(predicted, truth)).toBeGreaterThan(0.97);
    expect(ratio(predicted, truth)).toBeLessThan(1.03);
    const order = predicted.map((_, i) => i).sort((a, b) => predicted[a] - predicted[b]);
    for (let decile = 0; decile < 10; decile++) {
      const rows = order.slice((decile * order.length) / 10, ((decile + 1) * order.length) / 10);
      const share = ratio(pick(predicted, rows), pick(truth, rows));
      expect(share, `decile ${decile + 1}`).toBeGreaterThan(0.9);
      expect(share, `decile ${decile + 1}`).toBeLessThan(1.1);
    }
  });
});

async function judge(model: string, kind: 'click' | 'conversion'): Promise<Judged> {
  const file = (path: string) => fileURLToPath(new URL(`../../native-models/${model}/${path}`, import.meta.url));
  const json = (path: string) => JSON.parse(readFileSync(file(path), 'utf8'));
  const program = compileProgram(json('features.json'), model);
  const calibrator = compileCalibration(json('1/calibration.json'), model);
  const session = await InferenceSession.create(file('1/model.onnx'), { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const market = new Market(DEMO_SEED);
  const judged: Judged = { predicted: [], truth: [] };
  const request = new AuctionRequest();
  const row = new SourceRow();
  const adRows: AdRows = program.bind(snapshot.ads);
  const out = new Int32Array(CANDIDATES_PER_IMP_MAX);
  for (const { epochMs, body } of generateRequests({ seed: DEMO_SEED, day: NEW_DAY, count: REQUESTS })) {
    decodeJson(Buffer.from(body), request);
    const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
    for (let i = 0; i < request.impCount; i++) {
      const found = snapshot.find(request, request.imps[i], hour, epochMs, out, 0, out.length);
      if (found === 0) continue;
      row.fill(request, request.imps[i], hour);
      const { inputs, requestIndexInput, output } = program.signature;
      const rows = (scope: string) => (scope === 'request' ? 1 : found);
      const data = inputs.map((t) =>
        t.type === 'int32' ? new Int32Array(rows(t.scope) * t.width) : new Float32Array(rows(t.scope) * t.width),
      );
      const batch = { inputs: data, requestIndex: new Int32Array(found) };
      program.writeRequest(row, batch, 0);
      program.writeCandidates(row, adRows, out, 0, found, batch, 0, 0);
      const feed: Record<string, Tensor> = { [requestIndexInput]: tensor(batch.requestIndex, [found]) };
      inputs.forEach((t, k) => {
        feed[t.name] = tensor(data[k], [rows(t.scope), t.width]);
      });
      const logits = (await session.run(feed))[output].data as Float32Array;
      const truth = market.impTruth(request, request.imps[i], epochMs);
      for (let k = 0; k < found; k++) {
        const facts = adFacts(snapshot, out[k]);
        judged.predicted.push(calibrator.probability(logits[k]));
        judged.truth.push(kind === 'click' ? truth.clickProbability(facts) : truth.conversionProbability(facts));
      }
    }
  }
  await session.release();
  return judged;
}

function tensor(data: Int32Array | Float32Array, shape: number[]): Tensor {
  return data instanceof Int32Array ? new Tensor('int32', data, shape) : new Tensor('float32', data, shape);
}

function pick(values: readonly number[], rows: readonly number[]): number[] {
  return rows.map((row) => values[row]);
}

function ratio(predicted: readonly number[], truth: readonly number[]): number {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return sum(predicted) / sum(truth);
}
