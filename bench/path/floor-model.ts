/**
 * The model half of the floor: the same models on the same rows, in batches of the best size, on one thread with nothing
 * around them. Rows come from real requests through the server's own decoder, catalog and feature programs.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Catalog } from '../../src/catalog/index.js';
import { type Config, loadConfig } from '../../src/config/index.js';
import { AuctionRequest, type BatchRows, GOAL, hourOfWeek, type ModelSignature } from '../../src/contract/index.js';
import { compileProgram, type FeatureProgram, SourceRow } from '../../src/features/index.js';
import { loadRepository } from '../../src/inference/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import { childArguments, serveParent, usage } from './child.js';

export interface FloorModelArguments {
  readonly configFile: string;
  readonly bodies: string;
  readonly epochMs: number;
}

/** Cost of the rows of one request in the best batch. */
export interface ModelFloor {
  readonly cpuUsPerRequest: number;
  readonly requestsPerRun: number;
}

const BATCHES = [1, 4, 8, 16, 24, 32];
const { configFile, bodies, epochMs } = childArguments<FloorModelArguments>();
const config = loadConfig(configFile);
const { snapshot } = await Catalog.load(config.catalog.directory);
const lines = readFileSync(bodies, 'utf8').trimEnd().split('\n');
const { goal } = snapshot.ads;

serveParent({}, async ({ runs }: { runs: number }) => ({
  pctr: await floorOf(config.models.pctr, runs, () => true),
  pcvr: await floorOf(config.models.pcvr, runs, (ad) => goal[ad] === GOAL.cpa),
}));

async function floorOf(name: string, runs: number, takes: (ad: number) => boolean): Promise<ModelFloor> {
  const model = loadRepository(config.models.repository).find((m) => m.name === name)!;
  const file = join(model.directory, 'features.json');
  const program = compileProgram(JSON.parse(readFileSync(file, 'utf8')), file);
  const session = await InferenceSession.create(model.modelFile, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  let best: ModelFloor = { cpuUsPerRequest: Number.POSITIVE_INFINITY, requestsPerRun: 0 };
  for (const requestsPerRun of BATCHES) {
    const feeds = feedsOf(program, requestsPerRun, takes, config);
    for (let i = 0; i < 5; i++) await session.run(feeds);
    const count = Math.max(3, Math.ceil(runs / requestsPerRun));
    const before = usage().cpuUs;
    for (let i = 0; i < count; i++) await session.run(feeds);
    const cpuUsPerRequest = (usage().cpuUs - before) / (count * requestsPerRun);
    if (cpuUsPerRequest < best.cpuUsPerRequest) best = { cpuUsPerRequest, requestsPerRun };
  }
  return best;
}

function feedsOf(program: FeatureProgram, requests: number, takes: (ad: number) => boolean, { limits }: Config) {
  const perImp = limits.candidates_per_imp_max;
  const { signature } = program;
  const rows = (scope: string) => (scope === 'request' ? requests : requests * perImp);
  const batch: BatchRows = {
    inputs: signature.inputs.map(({ type, scope, width }) =>
      type === 'int32' ? new Int32Array(rows(scope) * width) : new Float32Array(rows(scope) * width),
    ),
    requestIndex: new Int32Array(requests * perImp),
  };
  const adRows = program.bind(snapshot.ads);
  const request = new AuctionRequest();
  const row = new SourceRow();
  const found = new Int32Array(perImp);
  let candidateRow = 0;
  for (let r = 0; r < requests; r++) {
    request.reset();
    if (!decodeJson(Buffer.from(lines[r % lines.length]), request)) throw new Error('the world made a bad request');
    const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
    const count = snapshot.find(request, request.imps[0], hour, epochMs, found, 0, perImp);
    const ads = found.subarray(0, count).filter(takes);
    row.fill(request, request.imps[0], hour);
    program.writeRequest(row, batch, r);
    program.writeCandidates(row, adRows, ads, 0, ads.length, batch, r, candidateRow);
    candidateRow += ads.length;
  }
  return tensorsOf(signature, batch, requests, candidateRow);
}

function tensorsOf(signature: ModelSignature, batch: BatchRows, requestRows: number, candidateRows: number) {
  const feeds: Record<string, Tensor> = {};
  signature.inputs.forEach(({ name, type, scope, width }, i) => {
    const rows = scope === 'request' ? requestRows : candidateRows;
    feeds[name] = new Tensor(type, batch.inputs[i].subarray(0, rows * width), [rows, width]);
  });
  if (signature.requestIndexInput !== '') {
    feeds[signature.requestIndexInput] = new Tensor('int32', batch.requestIndex.subarray(0, candidateRows), [
      candidateRows,
    ]);
  }
  return feeds;
}
