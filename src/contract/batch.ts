/**
 * The border between `features/`, which writes rows, and `inference/`, which runs them.
 *
 * A two-scope batch holds R request rows, N candidate rows and an index N → R, so that the request part of a ranker is
 * computed once per imp and not once per candidate:
 *
 *     request tensors   [R, width]   ─┐
 *     request index     [N] int32    ─┼─▶  model  ─▶  raw score [N] float32
 *     candidate tensors [N, width]   ─┘
 */
export type Scope = 'request' | 'candidate';
export type TensorType = 'int32' | 'float32';
export type TensorData = Int32Array | Float32Array;

export interface InputTensor {
  readonly name: string;
  readonly scope: Scope;
  readonly type: TensorType;
  /** Values per row. */
  readonly width: number;
  /** Of an int32 tensor: the highest value each column can take, where the writer knows. Warm-up tries it. */
  readonly highest?: readonly number[];
}

/** What a model takes and gives, in the order its feature program writes. */
export interface ModelSignature {
  readonly inputs: readonly InputTensor[];
  /** Name of the int32 [N] input that maps candidate rows to request rows; '' for a single-scope model. */
  readonly requestIndexInput: string;
  /** Name of the float32 output with one raw score (a logit or a price) per candidate row: [N] or [N, 1]. */
  readonly output: string;
}

/** The writable half of an open batch. Rows are row-major; the engine reserved the rows that the caller writes. */
export interface BatchRows {
  /** One array per `ModelSignature.inputs`, of capacity rowsMax × width. */
  readonly inputs: readonly TensorData[];
  /** Request row of each candidate row. */
  readonly requestIndex: Int32Array;
}
