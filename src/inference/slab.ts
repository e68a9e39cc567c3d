/**
 * One batch's memory: a single SharedArrayBuffer that the event loop writes, a worker reads and answers in.
 *
 *     ┌────────┬───────────────┬───────────┬───────────┬─────┬────────────┐
 *     │ header │ request index │ input 0   │ input 1   │  …  │ scores     │   each part starts on a 64-byte line,
 *     │ 64 B   │ int32 [N]     │ [R|N, w0] │ [R|N, w1] │     │ float32[N] │   R, N = the model's row bounds
 *     └────────┴───────────────┴───────────┴───────────┴─────┴────────────┘
 *
 * Invariant: at any moment either the event loop or exactly one worker may touch a slab. It changes hands with the
 * doorbell (Atomics on the worker's control block) and comes back with the worker's message; both order memory.
 */
import type { BatchRows, ModelSignature, TensorData } from '../contract/index.js';
import type { SlabMemories } from './slab-memories.js';

export interface SlabShape {
  readonly signature: ModelSignature;
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
}

export interface Slab extends BatchRows {
  readonly memory: SharedArrayBuffer;
  /** See HEADER. */
  readonly header: Int32Array;
  /** What the run took inside the worker, in microseconds; written by the worker. */
  readonly runUs: Float64Array;
  readonly inputs: readonly TensorData[];
  readonly requestIndex: Int32Array;
  readonly scores: Float32Array;
}

/** Words of a slab's header. */
export const HEADER = {
  requestRows: 0,
  candidateRows: 1,
  /** Set by the worker: 1 when any score of the batch is NaN or infinite, so that the reader need not look. */
  hasNonFinite: 2,
} as const;

const ALIGNMENT = 64;
/** Header words fill the first half of the first line, the run time the second. */
const RUN_US_OFFSET = 32;

function slabBytes(shape: SlabShape): number {
  const { inputs } = shape.signature;
  let bytes = ALIGNMENT + 2 * aligned(shape.candidateRowsMax * 4);
  for (const input of inputs) bytes += aligned(rowsMaxOf(shape, input.scope) * input.width * 4);
  return bytes;
}

export function makeSlab(shape: SlabShape, memories?: SlabMemories): Slab {
  const bytes = slabBytes(shape);
  return viewSlab(shape, memories?.take(bytes) ?? new SharedArrayBuffer(bytes));
}

/** The same views over the same memory, on either side of the thread border. */
export function viewSlab(shape: SlabShape, memory: SharedArrayBuffer): Slab {
  let offset = ALIGNMENT;
  const take = (values: number): number => {
    const start = offset;
    offset += aligned(values * 4);
    return start;
  };
  const requestIndex = new Int32Array(memory, take(shape.candidateRowsMax), shape.candidateRowsMax);
  const inputs = shape.signature.inputs.map((input) => {
    const values = rowsMaxOf(shape, input.scope) * input.width;
    const start = take(values);
    return input.type === 'int32' ? new Int32Array(memory, start, values) : new Float32Array(memory, start, values);
  });
  return {
    memory,
    header: new Int32Array(memory, 0, RUN_US_OFFSET / 4),
    runUs: new Float64Array(memory, RUN_US_OFFSET, 1),
    requestIndex,
    inputs,
    scores: new Float32Array(memory, take(shape.candidateRowsMax), shape.candidateRowsMax),
  };
}

function rowsMaxOf(shape: SlabShape, scope: 'request' | 'candidate'): number {
  return scope === 'request' ? shape.requestRowsMax : shape.candidateRowsMax;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
