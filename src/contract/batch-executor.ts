import type { DataType } from './data-type.js';
import type { InferError, Tensor } from './model-serving.js';

/** A formed batch on its way to something other than a local ONNX session. */
export interface ExecutorBatch {
  /** Merged tensors as the graph takes them; their memory is the executor's to read until it calls `done`. */
  readonly inputs: readonly Tensor[];
  /** What the model gives, for a check of what comes back. */
  readonly outputs: readonly { readonly name: string; readonly dataType: DataType }[];
  /** Rows of the batch as the queue counts them. */
  readonly rows: number;
  /** The earliest moment at which an answer is worth nothing any more, on the engine's clock; Infinity = none. */
  readonly deadlineUs: number;
}

/** Called exactly once per batch and never before `execute` has returned; one of the two is null. */
export type OnExecuted = (error: InferError | null, outputs: readonly Tensor[] | null) => void;

/** Runs the batches of one model version outside the worker threads: `identity`, `remote`. */
export interface BatchExecutor {
  /** Batches that may be in flight at once. */
  readonly concurrencyMax: number;
  execute(batch: ExecutorBatch, done: OnExecuted): void;
  /** Fails what is in flight and frees what it holds. */
  close(): Promise<void>;
}
