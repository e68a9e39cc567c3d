/** Runs the batches of reserved rows on a session: the bid path's shape of a model. Runs in the worker thread. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { type ModelSignature, OperatingError, type TensorData } from '../contract/index.js';
import { HEADER, makeSlab, type Slab, type SlabShape, viewSlab } from './slab.js';

/**
 * How often each warm-up size runs; the best counts. The first runs allocate the arena and compile this file: on the
 * shipped ranker with 2048 rows they took 963, 1809, 679, 662, 646 µs, and about 600 from then on.
 */
const WARM_UP_RUNS = 10;

export class RowSession {
  readonly slabs: readonly Slab[];
  /** Same layout as a slab but private memory: what is fed where the runtime refuses shared memory. */
  private readonly copy: Slab;
  private readonly feeds: Record<string, Tensor> = {};
  /** By input of the signature, then the request index: whether the graph wants [rows] and not [rows, width]. */
  private readonly flat: readonly boolean[];

  /** @throws OperatingError VK_MODEL_SIGNATURE (model owner) when the graph does not fit the feature program */
  constructor(
    private readonly session: InferenceSession,
    private readonly shape: SlabShape & { readonly name: string },
    slabs: readonly SharedArrayBuffer[],
  ) {
    checkSignature(shape.name, session, shape.signature);
    this.slabs = slabs.map((memory) => viewSlab(shape, memory));
    this.copy = privateSlab(shape);
    this.flat = shape.signature.inputs.map((input) => rankOf(session, input.name) === 1);
  }

  /**
   * Scores the rows that the slab's header names, and writes scores, run time and the non-finite flag to the slab.
   * Rejects when the runtime refuses the batch (an id outside an embedding table, for one).
   *
   * Pre-allocated outputs were measured and not taken: on 1 and on 1024 rows they differ from fresh ones by less than
   * the noise (14.0 against 13.9 µs, 113 against 113 µs).
   */
  async run(slab: Slab, readsSharedMemory: boolean): Promise<void> {
    const startUs = performance.now() * 1000;
    const { signature } = this.shape;
    const requestRows = slab.header[HEADER.requestRows];
    const candidateRows = slab.header[HEADER.candidateRows];
    const source = readsSharedMemory ? slab : this.copy;
    for (let i = 0; i < signature.inputs.length; i++) {
      const { name, scope, width } = signature.inputs[i];
      const rows = scope === 'request' ? requestRows : candidateRows;
      const values = usedPart(slab.inputs[i], source.inputs[i], rows * width);
      this.feeds[name] = tensorOf(values, this.flat[i] ? [rows] : [rows, width]);
    }
    if (signature.requestIndexInput !== '') {
      const values = usedPart(slab.requestIndex, source.requestIndex, candidateRows);
      this.feeds[signature.requestIndexInput] = tensorOf(values, [candidateRows]);
    }
    const results = await this.session.run(this.feeds);
    const scores = results[signature.output].data as Float32Array;
    if (scores.length !== candidateRows) {
      throw new Error(`output '${signature.output}' has ${scores.length} scores for ${candidateRows} candidate rows`);
    }
    slab.scores.set(scores);
    slab.header[HEADER.hasNonFinite] = hasNonFinite(scores) ? 1 : 0;
    slab.runUs[0] = performance.now() * 1000 - startUs;
  }

  /**
   * Runs zeros at one row, half and the whole of the bounds, so that arenas are allocated and costs known before the
   * first request. On memory of its own: at a restart the slabs belong to other workers.
   */
  async warmUp(readsSharedMemory: boolean): Promise<{ rows: number; runUs: number }[]> {
    const slab = makeSlab(this.shape);
    await this.tryHighest(slab, readsSharedMemory);
    const runs: { rows: number; runUs: number }[] = [];
    for (const part of [0, 0.5, 1]) {
      slab.header[HEADER.requestRows] = Math.max(1, Math.round(this.shape.requestRowsMax * part));
      slab.header[HEADER.candidateRows] = Math.max(1, Math.round(this.shape.candidateRowsMax * part));
      let runUs = Number.POSITIVE_INFINITY;
      for (let i = 0; i < WARM_UP_RUNS; i++) {
        await this.run(slab, readsSharedMemory);
        runUs = Math.min(runUs, slab.runUs[0]);
      }
      runs.push({ rows: slab.header[HEADER.candidateRows], runUs });
    }
    return runs;
  }

  /**
   * Runs one row of the highest ids that the feature program can write: an embedding table that is too small for them
   * would refuse whole batches later, one unlucky request at a time.
   */
  private async tryHighest(slab: Slab, readsSharedMemory: boolean): Promise<void> {
    const { inputs } = this.shape.signature;
    slab.header[HEADER.requestRows] = 1;
    slab.header[HEADER.candidateRows] = 1;
    inputs.forEach(({ highest }, i) => {
      if (highest !== undefined) slab.inputs[i].set(highest);
    });
    try {
      await this.run(slab, readsSharedMemory);
    } catch (cause) {
      throw mismatch(this.shape.name, `the graph refuses the highest ids that its features can have: ${String(cause)}`);
    }
    for (const values of slab.inputs) values.fill(0);
  }

  /** onnxruntime-node 1.30 takes tensors over a SharedArrayBuffer on Node ≥ 22 and refuses them on Node 20. */
  async readsSharedMemory(): Promise<boolean> {
    const slab = makeSlab(this.shape);
    slab.header[HEADER.requestRows] = 1;
    slab.header[HEADER.candidateRows] = 1;
    try {
      await this.run(slab, true);
      return true;
    } catch {
      return false;
    }
  }
}

/** The used values, in `source`; copied there first when that is not where the event loop wrote them. */
function usedPart(written: TensorData, source: TensorData, values: number): TensorData {
  if (written === source) return written.subarray(0, values);
  const part = source.subarray(0, values);
  part.set(written.subarray(0, values));
  return part;
}

function tensorOf(values: TensorData, dims: number[]): Tensor {
  return values instanceof Int32Array ? new Tensor('int32', values, dims) : new Tensor('float32', values, dims);
}

function privateSlab(shape: SlabShape): Slab {
  const slab = makeSlab(shape);
  return { ...slab, inputs: slab.inputs.map((input) => input.slice()), requestIndex: slab.requestIndex.slice() };
}

function hasNonFinite(scores: Float32Array): boolean {
  for (let i = 0; i < scores.length; i++) if (scores[i] - scores[i] !== 0) return true;
  return false;
}

type TensorMetadata = { name: string; type: string; shape: readonly (number | string)[] };

/**
 * Compares the feature program with the graph.
 * @throws OperatingError VK_MODEL_SIGNATURE naming the first difference
 */
function checkSignature(model: string, session: InferenceSession, signature: ModelSignature): void {
  for (const { name, type, width } of signature.inputs) {
    checkTensor(model, session, 'input', { name, type, width, ranks: width === 1 ? [1, 2] : [2] });
  }
  const index = signature.requestIndexInput;
  if (index !== '') checkTensor(model, session, 'input', { name: index, type: 'int32', width: 1, ranks: [1] });
  checkTensor(model, session, 'output', { name: signature.output, type: 'float32', width: 1, ranks: [1, 2] });
  for (const name of session.inputNames) {
    if (name === index || signature.inputs.some((input) => input.name === name)) continue;
    throw mismatch(model, `the feature program does not write the graph's input '${name}'`);
  }
}

function checkTensor(
  model: string,
  session: InferenceSession,
  kind: 'input' | 'output',
  expected: { name: string; type: string; width: number; ranks: readonly number[] },
): void {
  const { name, type, width, ranks } = expected;
  const tensors = metadata(session, kind);
  const found = tensors.find((tensor) => tensor.name === name);
  if (found === undefined) {
    const names = tensors.map((tensor) => `'${tensor.name}'`).join(', ');
    throw mismatch(model, `the graph has no ${kind} '${name}'; it has ${names}`);
  }
  if (found.type !== type) {
    throw mismatch(model, `${kind} '${name}' is ${found.type} in the graph; ${type} is expected`);
  }
  const { shape } = found;
  const fits =
    ranks.includes(shape.length) &&
    typeof shape[0] === 'string' &&
    (shape.length === 1 || shape[1] === width || typeof shape[1] === 'string');
  if (fits) return;
  const wanted = ranks.map((rank) => (rank === 1 ? '[rows]' : `[rows, ${width}]`)).join(' or ');
  throw mismatch(model, `${kind} '${name}' is [${shape.join(', ')}] in the graph; ${wanted} is expected`);
}

function mismatch(model: string, difference: string): OperatingError {
  return new OperatingError('VK_MODEL_SIGNATURE', 'model owner', `Model '${model}': ${difference}.`);
}

function metadata(session: InferenceSession, kind: 'input' | 'output'): readonly TensorMetadata[] {
  const all = kind === 'input' ? session.inputMetadata : session.outputMetadata;
  return all.filter((tensor) => tensor.isTensor);
}

function rankOf(session: InferenceSession, input: string): number {
  return metadata(session, 'input').find((tensor) => tensor.name === input)?.shape.length ?? 0;
}
