/**
 * What batching and two scopes gain, on a real model through the real engine: one worker, its doorbell, its slabs.
 *
 * Each shape (requests × candidates per request) is scored twice, in turns within one run: *two-scope*, one request row
 * per request, and *plain*, one request row per candidate, which is what a single-scope model has to compute. The two
 * must give the same scores; their hash is part of the report.
 *
 * What it does not show: contention. The worker has a core to itself as long as the machine has two to give.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mix32, systemClock } from '../src/base/index.js';
import type { BatchRows, ModelSignature } from '../src/contract/index.js';
import { compileProgram } from '../src/features/index.js';
import { Engine, type EngineListener, type EngineModel, loadRepository } from '../src/inference/index.js';

export interface BatchingOptions {
  /** A two-scope model; its row bounds are replaced by what the shapes need. */
  readonly model: Omit<EngineModel, 'requestRowsMax' | 'candidateRowsMax' | 'signature'> & {
    readonly signature: ModelSignature;
  };
  /** int32 inputs are filled with seeded ids below this. */
  readonly idsMax: number;
  readonly requestCounts: readonly number[];
  readonly candidatesPerRequest: number;
  /** Each shape is timed this often, each way. */
  readonly rounds: number;
  readonly seed: number;
}

export interface BatchingReport {
  readonly suite: 'batching';
  readonly shapes: readonly ShapeReport[];
  /** Median of the time from flush to the scores, less the run in the worker, for one row: doorbell, message, event loop. */
  readonly doorbell_us: number;
  readonly hash: string;
}

interface ShapeReport {
  readonly requests: number;
  readonly candidate_rows: number;
  /** Medians of the run inside the worker. */
  readonly two_scope_us: number;
  readonly plain_us: number;
  readonly two_scope_us_per_row: number;
  readonly plain_us_per_row: number;
  readonly gain: number;
}

/** Up to the row bound of the shipped models: 32 requests of 64 candidates. */
const DEFAULTS = { requestCounts: [1, 4, 16, 32], candidatesPerRequest: 64, rounds: 101, seed: 1 };

/** Without a model: the shipped two-scope ranker. */
export async function benchBatching(chosen: Partial<BatchingOptions> = {}): Promise<BatchingReport> {
  const options = { ...DEFAULTS, ...(chosen.model === undefined ? shippedRanker() : {}), ...chosen } as BatchingOptions;
  const rowsMax = Math.max(1, ...options.requestCounts) * options.candidatesPerRequest;
  const collector = new Collector();
  const engine = await Engine.start({
    models: [{ ...options.model, requestRowsMax: rowsMax, candidateRowsMax: rowsMax }],
    workers: 1,
    slabsPerModel: 1,
    batchTimeoutUs: 60_000_000,
    clock: systemClock,
    listener: collector,
  });
  try {
    const shapes: ShapeReport[] = [];
    let hash = 0;
    for (const requests of options.requestCounts) {
      const shape = await measureShape(engine, collector, options, requests);
      shapes.push(shape.report);
      hash = mix32(hash ^ shape.hash);
    }
    const doorbellUs = await measureDoorbell(engine, collector, options);
    return { suite: 'batching', shapes, doorbell_us: doorbellUs, hash: hash.toString(16).padStart(8, '0') };
  } finally {
    await engine.close();
  }
}

function shippedRanker(): Pick<BatchingOptions, 'model' | 'idsMax'> {
  const model = loadRepository('native-models').find(({ name }) => name === 'pctr_dlrm');
  if (model === undefined) throw new Error('native-models/ has no pctr_dlrm');
  const file = join(model.directory, 'features.json');
  const program = JSON.parse(readFileSync(file, 'utf8'));
  // One embedding table for all columns, each from its offset on: any id below the last offset is in it.
  const columns = program.tensors.flatMap((tensor: { columns: object[] }) => tensor.columns);
  const idsMax = Math.max(...columns.map(({ offset = 0 }: { offset?: number }) => offset));
  const { signature } = compileProgram(program, file);
  return { model: { name: model.name, version: model.version, file: model.modelFile, signature }, idsMax };
}

async function measureShape(
  engine: Engine,
  collector: Collector,
  options: BatchingOptions,
  requests: number,
): Promise<{ report: ShapeReport; hash: number }> {
  const candidateRows = requests * options.candidatesPerRequest;
  const twoScopeUs: number[] = [];
  const plainUs: number[] = [];
  let hash = 0;
  for (let round = 0; round < options.rounds; round++) {
    const seed = options.seed + round;
    twoScopeUs.push((await score(engine, collector, options, requests, false, seed)).runUs);
    const twoScopeHash = collector.hash;
    plainUs.push((await score(engine, collector, options, requests, true, seed)).runUs);
    if (collector.hash !== twoScopeHash) throw new Error(`${requests} requests: plain and two-scope scores differ`);
    hash = mix32(hash ^ twoScopeHash);
  }
  const [twoScope, plain] = [median(twoScopeUs), median(plainUs)];
  const report = {
    requests,
    candidate_rows: candidateRows,
    two_scope_us: twoScope,
    plain_us: plain,
    two_scope_us_per_row: twoScope / candidateRows,
    plain_us_per_row: plain / candidateRows,
    gain: plain / twoScope,
  };
  return { report, hash };
}

async function measureDoorbell(engine: Engine, collector: Collector, options: BatchingOptions): Promise<number> {
  const one = { ...options, candidatesPerRequest: 1 };
  const overheadUs: number[] = [];
  for (let round = 0; round < options.rounds * 10; round++) {
    const { totalUs, runUs } = await score(engine, collector, one, 1, false, options.seed);
    overheadUs.push(totalUs - runUs);
  }
  return median(overheadUs);
}

/** One batch, from flush to its last score. With `plain` every candidate brings its own copy of the request row. */
async function score(
  engine: Engine,
  collector: Collector,
  options: BatchingOptions,
  requests: number,
  plain: boolean,
  seed: number,
): Promise<{ totalUs: number; runUs: number }> {
  const { model, candidatesPerRequest: candidates, idsMax } = options;
  for (let request = 0; request < requests; request++) {
    const batch = engine.reserve(0, plain ? candidates : 1, candidates, request, Number.POSITIVE_INFINITY);
    if (batch === null) throw new Error('the one slab is taken: batches must not overlap here');
    const { requestRow, candidateRow } = engine;
    model.signature.inputs.forEach(({ scope, width }, input) => {
      const copies = scope === 'candidate' || plain ? candidates : 1;
      const first = scope === 'candidate' ? candidateRow : requestRow;
      for (let copy = 0; copy < copies; copy++) {
        const row = scope === 'candidate' ? request * candidates + copy : request;
        writeRow(batch, input, first + copy, width, mix32(seed ^ mix32((input << 20) ^ row)), idsMax);
      }
    });
    for (let i = 0; i < candidates; i++) batch.requestIndex[candidateRow + i] = requestRow + (plain ? i : 0);
  }
  const busyBeforeUs = engine.stats().models[0].busyUs;
  const startUs = systemClock.nowUs();
  const ended = collector.expect();
  engine.flush();
  await ended;
  return { totalUs: collector.endedUs - startUs, runUs: engine.stats().models[0].busyUs - busyBeforeUs };
}

/** One row of seeded ids below `idsMax`, or of numbers in [0, 1). */
function writeRow(batch: BatchRows, input: number, row: number, width: number, seed: number, idsMax: number): void {
  const values = batch.inputs[input];
  for (let i = 0; i < width; i++) {
    const bits = mix32(seed + i);
    values[row * width + i] = values instanceof Int32Array ? bits % idsMax : bits / 2 ** 32;
  }
}

class Collector implements EngineListener {
  hash = 0;
  endedUs = 0;
  private end: () => void = () => {};
  private readonly bits = new Int32Array(1);
  private readonly float = new Float32Array(this.bits.buffer);

  expect(): Promise<void> {
    this.hash = 0;
    return new Promise((resolve) => {
      this.end = resolve;
    });
  }

  onScores(_ticket: number, _model: number, scores: Float32Array, offset: number, count: number): void {
    for (let i = offset; i < offset + count; i++) {
      // A thousandth is far coarser than what the order of float additions may change between the two ways.
      this.float[0] = Math.round(scores[i] * 1000);
      this.hash = mix32(this.hash ^ this.bits[0]);
    }
  }

  onFailed(ticket: number): void {
    throw new Error(`request ${ticket} of the benchmark failed`);
  }

  onBatchEnd(): void {
    this.endedUs = systemClock.nowUs();
    this.end();
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
