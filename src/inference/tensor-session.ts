/** Runs the batches of queued requests on a session: any number of tensors of any type. Runs in the worker thread. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { DATA_TYPES, type DataType, OperatingError, type WarmUp } from '../contract/index.js';
import { TENSOR_BYTES_KEPT_MAX } from './limits.js';
import { TensorSlab } from './tensor-slab.js';
import { decodeStrings, encodeStrings } from './tensor-strings.js';
import type { OutputsOverflowed, WorkerModel } from './worker-protocol.js';

type Views = Record<string, new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayBufferView>;

/** How ONNX Runtime's JavaScript binding wants the elements of each type. */
const VIEWS: Views = {
  bool: Uint8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

type Output = { index: number; dims: number[]; bytes: Uint8Array };

export class TensorSession {
  /** Unknown until the first batch has shown it: Node ≥ 22 reads slabs in place, Node 20 refuses them. */
  private readsSharedMemory: boolean | undefined;
  /** Filled in place where the runtime refuses shared memory; grows to the largest batch, but not past what is kept. */
  private copy = new ArrayBuffer(0);
  private readonly slabs: (TensorSlab | undefined)[] = [];
  private readonly fetches: string[];

  constructor(
    private readonly session: InferenceSession,
    private readonly name: string,
    private readonly model: NonNullable<WorkerModel['tensors']>,
  ) {
    this.fetches = model.outputs.map((output) => output.name);
  }

  setSlab(slab: number, memory: SharedArrayBuffer): void {
    this.slabs[slab] = new TensorSlab(memory, this.model.inputs.length + this.model.outputs.length);
  }

  /**
   * Runs what the slab describes and writes the outputs behind the inputs.
   * @returns the outputs when they do not fit; they are the caller's to post
   */
  async run(slab: number): Promise<OutputsOverflowed | null> {
    try {
      return await this.runEitherWay(slab);
    } finally {
      // A rare large batch must not hold its memory in every instance for ever; the event loop mails such a slab anew.
      if (this.copy.byteLength > TENSOR_BYTES_KEPT_MAX) this.copy = new ArrayBuffer(0);
      if ((this.slabs[slab]?.memory.byteLength ?? 0) > TENSOR_BYTES_KEPT_MAX) this.slabs[slab] = undefined;
    }
  }

  private async runEitherWay(slab: number): Promise<OutputsOverflowed | null> {
    if (this.readsSharedMemory !== undefined) return this.runFrom(slab, this.readsSharedMemory);
    try {
      const result = await this.runFrom(slab, true);
      // Strings are copied in any case, and empty tensors have no memory to refuse: neither has shown anything.
      if (this.hasViews(slab)) this.readsSharedMemory = true;
      return result;
    } catch {
      // Either the memory or the batch is refused; if the copy runs, it was the memory.
      const result = await this.runFrom(slab, false);
      this.readsSharedMemory = false;
      return result;
    }
  }

  private hasViews(slab: number): boolean {
    const inputs = this.slabs[slab]?.inputs ?? [];
    return inputs.some(({ index, bytes }) => bytes > 0 && this.model.inputs[index].dataType !== 'BYTES');
  }

  private async runFrom(slab: number, readsSharedMemory: boolean): Promise<OutputsOverflowed | null> {
    const tensors = this.slabs[slab];
    if (tensors === undefined) throw new Error(`no memory was mailed for slab ${slab}`);
    const startUs = performance.now() * 1000;
    const memory = readsSharedMemory ? tensors.memory : this.copied(tensors);
    const feeds: Record<string, Tensor> = {};
    for (const { index, offset, bytes, dims } of tensors.inputs) {
      const { name, dataType } = this.model.inputs[index];
      feeds[name] = tensorOf(dataType, memory, offset, bytes, dims);
    }
    const runUs = performance.now() * 1000;
    const results = await this.session.run(feeds, this.fetches);
    const outputUs = performance.now() * 1000;
    const outputs = this.outputsOf(results);
    const overflowed = writeOutputs(tensors, outputs) ? null : outputs;
    tensors.durationsUs[0] = runUs - startUs;
    tensors.durationsUs[1] = outputUs - runUs;
    tensors.durationsUs[2] = performance.now() * 1000 - outputUs;
    // A copy: the runtime's memory cannot be handed to another thread.
    return (
      overflowed && { kind: 'overflowed', slab, outputs: overflowed.map((o) => ({ ...o, bytes: o.bytes.slice() })) }
    );
  }

  /**
   * Runs every warm-up entry of the configuration.
   * @throws OperatingError VK_MODEL_WARM_UP (model owner) when the graph refuses one
   */
  async warmUp(): Promise<{ rows: number; runUs: number }[]> {
    const runs: { rows: number; runUs: number }[] = [];
    for (const warmUp of this.model.warmUps) {
      const feeds = this.warmUpFeeds(warmUp);
      try {
        for (let i = 0; i < Math.max(1, warmUp.count); i++) {
          const startUs = performance.now() * 1000;
          await this.session.run(feeds, this.fetches);
          runs.push({ rows: Math.max(1, warmUp.batchSize), runUs: performance.now() * 1000 - startUs });
        }
      } catch (cause) {
        const message = `Model '${this.name}': model_warmup '${warmUp.name}' failed: ${(cause as Error).message}.`;
        throw new OperatingError('VK_MODEL_WARM_UP', 'model owner', message, [], { cause });
      }
    }
    return runs;
  }

  private warmUpFeeds({ inputs, batchSize }: WarmUp): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const { name, dataType, shape, data } of inputs) {
      const rows = this.model.isBatching ? Math.max(1, batchSize) : 1;
      const dims = this.model.isBatching ? [rows, ...shape] : [...shape];
      if (dataType === 'BYTES' && data instanceof Uint8Array) {
        // A file holds one row, and every row of the batch is the same.
        const file = Buffer.concat(Array.from({ length: rows }, () => data));
        feeds[name] = tensorOf(dataType, file.buffer, file.byteOffset, file.byteLength, dims);
        continue;
      }
      const elements = dims.reduce((product, dim) => product * dim, 1);
      // An empty string is four zero bytes, so zeros are right for every type.
      const size = DATA_TYPES[dataType].bytes || 4;
      const bytes = new Uint8Array(elements * size);
      if (data instanceof Uint8Array) {
        for (let at = 0; data.byteLength > 0 && at < bytes.byteLength; at += data.byteLength) {
          bytes.set(data.subarray(0, Math.min(data.byteLength, bytes.byteLength - at)), at);
        }
      } else if (data === 'random') {
        // A low byte alone: small numbers in every type, and the same in every run.
        let state = 1;
        for (let at = 0; at < bytes.byteLength && dataType !== 'BYTES'; at += size) {
          state = (state * 48_271) % 0x7fffffff;
          bytes[at] = dataType === 'BOOL' ? state & 1 : state & 0x7f;
        }
      }
      feeds[name] = tensorOf(dataType, bytes.buffer, 0, bytes.byteLength, dims);
    }
    return feeds;
  }

  private copied(tensors: TensorSlab): ArrayBuffer {
    const { dataStart, dataEnd, data } = tensors;
    if (this.copy.byteLength < dataEnd) this.copy = new ArrayBuffer(2 ** Math.ceil(Math.log2(dataEnd)));
    new Uint8Array(this.copy).set(data.subarray(dataStart, dataEnd), dataStart);
    return this.copy;
  }

  private outputsOf(results: InferenceSession.ReturnType): Output[] {
    return this.model.outputs.map(({ name, dataType }, index) => {
      const tensor = results[name] as Tensor;
      if (tensor.type !== DATA_TYPES[dataType].onnx) {
        throw new Error(`output '${name}' is ${tensor.type}; the configuration says ${dataType}`);
      }
      if (tensor.type === 'string')
        return { index, dims: [...tensor.dims], bytes: encodeStrings(tensor.data as string[]) };
      const data = tensor.data as Uint8Array;
      return { index, dims: [...tensor.dims], bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
    });
  }
}

/** False, with nothing described, when they do not fit behind the inputs. */
function writeOutputs(slab: TensorSlab, outputs: readonly Output[]): boolean {
  slab.clearOutputs();
  let offset = slab.dataEnd;
  const total = outputs.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  if (offset + total > slab.data.byteLength) return false;
  for (const { index, dims, bytes } of outputs) {
    slab.data.set(bytes, offset);
    slab.addOutput({ index, offset, bytes: bytes.byteLength, dims });
    offset += bytes.byteLength;
  }
  return true;
}

function tensorOf(dataType: DataType, memory: ArrayBufferLike, offset: number, bytes: number, dims: number[]): Tensor {
  if (dataType === 'BYTES') return new Tensor('string', decodeStrings(new Uint8Array(memory, offset, bytes)), dims);
  const { onnx, bytes: size } = DATA_TYPES[dataType];
  return new Tensor(onnx as 'float32', new VIEWS[onnx](memory, offset, bytes / size) as Float32Array, dims);
}
