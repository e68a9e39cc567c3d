/**
 * Merges the tensors of queued requests into one batch and cuts its outputs apart again. Requests were checked before
 * they were queued, so here every shape is right and every byte count fits.
 */
import {
  DATA_TYPES,
  InferError,
  type InferResponse,
  type ModelConfig,
  type Tensor,
  type TensorConfig,
  type WarmUp,
} from '../contract/index.js';
import type { InferEntry } from './infer-entry.js';
import { alignedToLine, type TensorRecord } from './tensor-slab.js';

/** What of a model's configuration decides how its batches are merged. */
export class TensorPlan {
  readonly inputs: readonly TensorConfig[];
  readonly outputs: readonly TensorConfig[];
  /** By input: its rows follow the request part of a two-scope model. */
  private readonly isRequestScope: readonly boolean[];
  private readonly isBatching: boolean;
  private readonly indexInput: number;
  /** Every request has the same shape but for its rows, and no input is optional. */
  private readonly isUniform: boolean;

  constructor(readonly config: ModelConfig) {
    const { inputs, outputs, twoScope, maxBatchSize } = config;
    this.inputs = inputs;
    this.outputs = outputs;
    this.isBatching = maxBatchSize > 0;
    this.isRequestScope = inputs.map(({ name }) => twoScope?.requestInputs.includes(name) ?? false);
    this.indexInput = inputs.findIndex(({ name }) => name === twoScope?.requestIndexInput);
    this.isUniform = inputs.every(({ dims, optional }) => {
      const hasRows = twoScope !== undefined && !this.isBatching;
      return !optional && dims.every((dim, i) => dim !== -1 || (i === 0 && hasRows));
    });
  }

  /** Requests with different keys cannot share a batch: another set of inputs, or other dimensions behind the rows. */
  shapeKeyOf(inputs: readonly Tensor[]): string {
    if (this.isUniform) return '';
    const skip = this.isBatching || this.config.twoScope !== undefined ? 1 : 0;
    return this.inputs
      .map(({ name }) => {
        const tensor = inputs.find((candidate) => candidate.name === name);
        return tensor === undefined ? '-' : tensor.shape.slice(skip).join(',');
      })
      .join(';');
  }

  /** The model's warm-ups with the shapes that the graph takes, still without the batch dimension. */
  warmUps(): WarmUp[] {
    return this.config.warmUps.map((warmUp) => ({
      ...warmUp,
      inputs: warmUp.inputs.map((input) => {
        const { reshape, dims } = this.inputs.find(({ name }) => name === input.name) as TensorConfig;
        return reshape === undefined ? input : { ...input, shape: fill(reshape, dims, input.shape) };
      }),
    }));
  }

  /** Rows of the request inputs of a two-scope model; else 0. */
  requestRowsOf(inputs: readonly Tensor[]): number {
    for (let i = 0; i < this.inputs.length; i++) {
      const tensor = this.isRequestScope[i] ? inputOf(inputs, this.inputs[i].name) : undefined;
      if (tensor !== undefined) return tensor.shape[0];
    }
    return 0;
  }

  /**
   * Where each merged input goes in a memory that begins at `start`.
   * @returns the records and the end of the last
   */
  layout(entries: readonly InferEntry[], start: number): { records: TensorRecord[]; end: number } {
    const records: TensorRecord[] = [];
    let offset = start;
    this.inputs.forEach((config, index) => {
      let bytes = 0;
      let rows = 0;
      let first: Tensor | undefined;
      for (const { request } of entries) {
        const tensor = inputOf(request.inputs, config.name);
        if (tensor === undefined) continue;
        first ??= tensor;
        bytes += tensor.bytes.byteLength;
        rows += tensor.shape[0] ?? 0;
      }
      if (first === undefined) return;
      records.push({ index, offset, bytes, dims: this.graphDims(config, first.shape, rows) });
      offset = alignedToLine(offset + bytes);
    });
    return { records, end: offset };
  }

  /** Copies every request's tensors to where `layout` said. */
  gather(entries: readonly InferEntry[], records: readonly TensorRecord[], into: Uint8Array): void {
    for (const { index, offset } of records) {
      const { name } = this.inputs[index];
      let at = offset;
      for (const { request } of entries) {
        const bytes = inputOf(request.inputs, name)?.bytes;
        if (bytes === undefined) continue;
        into.set(bytes, at);
        at += bytes.byteLength;
      }
      if (index === this.indexInput && entries.length > 1) this.shiftIndex(entries, offset, into);
    }
  }

  /** The merged inputs as tensors over one memory, for an executor. */
  merged(records: readonly TensorRecord[], memory: Uint8Array): Tensor[] {
    return records.map(({ index, offset, bytes, dims }) => ({
      name: this.inputs[index].name,
      dataType: this.inputs[index].dataType,
      shape: dims,
      bytes: memory.subarray(offset, offset + bytes),
    }));
  }

  /**
   * Cuts the batch's outputs into the responses of its requests.
   * @param outputs whole-batch tensors, in memory that nobody writes to any more
   * @throws InferError INTERNAL when an output has not a row per row of the batch
   */
  scatter(entries: readonly InferEntry[], rows: number, outputs: readonly Tensor[], version: string): InferResponse[] {
    const cuts = outputs.map((output) => this.cut(entries, rows, output));
    return entries.map(({ request }, i) => {
      const mine = cuts.map((cut) => cut[i]);
      const outputs =
        request.outputs.length === 0
          ? mine
          : request.outputs.flatMap((name) => mine.find((tensor) => tensor.name === name) ?? []);
      return { model: this.config.name, version, outputs };
    });
  }

  private cut(entries: readonly InferEntry[], rows: number, output: Tensor): Tensor[] {
    const config = this.outputs.find(({ name }) => name === output.name) as TensorConfig;
    const isSplit = this.isBatching || this.config.twoScope !== undefined;
    if (!isSplit)
      return [{ ...output, shape: config.reshape === undefined ? output.shape : clientDims(config, output.shape) }];
    if (output.shape[0] !== rows) {
      const got = `[${output.shape.join(',')}]`;
      throw new InferError(
        'INTERNAL',
        `output '${output.name}' of model '${this.config.name}' has shape ${got} for a batch of ${rows} rows`,
      );
    }
    const rest = this.isBatching ? clientDims(config, output.shape.slice(1)) : output.shape.slice(1);
    if (entries.length === 1) return [{ ...output, shape: [rows, ...rest] }];
    const elementsPerRow = rest.reduce((product, dim) => product * dim, 1);
    let at = 0;
    return entries.map((entry) => {
      const end = advance(output, at, entry.rows * elementsPerRow);
      const bytes = output.bytes.subarray(at, end);
      at = end;
      return { name: output.name, dataType: output.dataType, shape: [entry.rows, ...rest], bytes };
    });
  }

  /** Each request counts its request rows from 0; in the batch they begin behind those of the requests before it. */
  private shiftIndex(entries: readonly InferEntry[], offset: number, into: Uint8Array): void {
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    const { name } = this.inputs[this.indexInput];
    let at = offset;
    let shift = 0;
    for (const { request } of entries) {
      const bytes = inputOf(request.inputs, name)?.bytes.byteLength ?? 0;
      const end = at + bytes;
      if (shift > 0) for (; at < end; at += 4) view.setInt32(at, view.getInt32(at, true) + shift, true);
      at = end;
      shift += this.requestRowsOf(request.inputs);
    }
  }

  /** What the graph is given in place of a client's shape. */
  private graphDims(config: TensorConfig, shape: readonly number[], rows: number): number[] {
    if (this.isBatching)
      return [
        rows,
        ...(config.reshape === undefined ? shape.slice(1) : fill(config.reshape, config.dims, shape.slice(1))),
      ];
    if (this.config.twoScope !== undefined) return [rows, ...shape.slice(1)];
    return config.reshape === undefined ? [...shape] : fill(config.reshape, config.dims, shape);
  }
}

/** Linear: models have a handful of inputs, and a client sends them in the model's order nearly always. */
function inputOf(inputs: readonly Tensor[], name: string): Tensor | undefined {
  for (let i = 0; i < inputs.length; i++) if (inputs[i].name === name) return inputs[i];
  return undefined;
}

/** An output's shape as the client sees it, from the graph's. */
function clientDims(config: TensorConfig, shape: readonly number[]): readonly number[] {
  return config.reshape === undefined ? shape : fill(config.dims, config.reshape, shape);
}

/** `to` with its variable dimensions taken, in order, from where `from` has its own. */
function fill(to: readonly number[], from: readonly number[], actual: readonly number[]): number[] {
  const values = actual.filter((_, i) => from[i] === -1);
  let next = 0;
  return to.map((dim) => (dim === -1 ? values[next++] : dim));
}

/** @returns the byte behind `elements` elements from `at` */
function advance(tensor: Tensor, at: number, elements: number): number {
  const size = DATA_TYPES[tensor.dataType].bytes;
  if (size > 0) return at + elements * size;
  const view = new DataView(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.byteLength);
  let end = at;
  for (let i = 0; i < elements; i++) end += 4 + view.getUint32(end, true);
  return end;
}
