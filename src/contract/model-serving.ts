/**
 * The border between `serving/`, which speaks the KServe v2 protocol, and `inference/`, which owns the models. Tensors
 * cross it as little-endian bytes, whatever the encoding of the request, so that merging a batch is copying bytes.
 */
import type { DataType } from './data-type.js';

export interface Tensor {
  readonly name: string;
  readonly dataType: DataType;
  /** Every dimension ≥ 0, the batch dimension included. */
  readonly shape: readonly number[];
  /** Row-major, little-endian, at any alignment; BYTES elements each behind a 4-byte length. Nobody writes to it any more. */
  readonly bytes: Uint8Array;
}

export type ParameterValue = string | number | boolean;

export interface InferRequest {
  readonly model: string;
  /** Digits; '' = the highest version that is ready. */
  readonly version: string;
  readonly id: string;
  readonly inputs: readonly Tensor[];
  /** Names of the outputs to give; empty = all. */
  readonly outputs: readonly string[];
  /** 1 = the most urgent; 0 = the model's default. */
  readonly priority: number;
  /** How long it may wait in the queue; 0 = the model's default. */
  readonly timeoutUs: number;
  /** What the client said beyond the above, for backends that pass it on. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

export interface InferResponse {
  readonly model: string;
  readonly version: string;
  readonly outputs: readonly Tensor[];
}

/** Called exactly once, never before `infer` has returned; one of the two is null. */
export type OnInfer = (error: InferError | null, response: InferResponse | null) => void;

export interface InferHandle {
  /** The client has gone: a request that still waits is dropped. `OnInfer` is called all the same (CANCELLED, or its result). */
  cancel(): void;
}

/** Triton's codes; serving/ maps them to HTTP and gRPC statuses. */
export type InferErrorCode =
  | 'INVALID_ARG'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'UNAVAILABLE'
  | 'UNSUPPORTED'
  | 'INTERNAL'
  | 'CANCELLED';

/** What a v2 client is told. The message is part of the protocol: clients match on it. */
export class InferError extends Error {
  constructor(
    readonly code: InferErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'InferError';
  }
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: DataType;
  /** −1 = variable; with the leading −1 of a model that batches. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  /** Ready versions, ascending. */
  readonly versions: readonly string[];
  /** Such as `onnxruntime_onnx`, `ensemble`. */
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export interface DurationStatistic {
  readonly count: number;
  readonly ns: number;
}

/** One entry of `model_stats[]`, named and shaped as on the wire (JSON); every key is always there. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since 1970 of the last inference; 0 = none yet. */
  readonly last_inference: number;
  /** Rows. */
  readonly inference_count: number;
  /** Batches. */
  readonly execution_count: number;
  readonly inference_stats: Readonly<
    Record<
      'success' | 'fail' | 'queue' | 'compute_input' | 'compute_infer' | 'compute_output' | 'cache_hit' | 'cache_miss',
      DurationStatistic
    >
  >;
  readonly response_stats: Readonly<Record<string, never>>;
  readonly batch_stats: readonly (Readonly<
    Record<'compute_input' | 'compute_infer' | 'compute_output', DurationStatistic>
  > & { readonly batch_size: number })[];
  readonly memory_usage: readonly never[];
}

export interface RepositoryEntry {
  readonly name: string;
  /** Absent for a model that has never been loaded. */
  readonly version?: string;
  readonly state: 'READY' | 'UNAVAILABLE' | 'LOADING' | 'UNLOADING';
  /** Why it is not ready; '' when it is. */
  readonly reason: string;
}

/** Config and files that a load call brings along; they replace what is on disk until the next load without them. */
export interface LoadOverride {
  /** The model configuration as JSON in Triton's snake_case; '' = the repository's. */
  readonly config: string;
  /** By path below the model's folder, such as `1/model.onnx`. With any file, `config` is required. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** What the v2 protocol can ask of the models. Everything but `infer` is cold; lookups throw InferError. */
export interface ModelServer {
  infer(request: InferRequest, done: OnInfer): InferHandle;
  /** Start-up models are loaded and warm, and the server does not drain. */
  ready(): boolean;
  /** @param version '' = any. @throws InferError for an unknown model */
  modelReady(model: string, version: string): boolean;
  metadata(model: string, version: string): ModelMetadata;
  /** The full configuration with defaults, in Triton's snake_case, enums as strings, int64 as numbers. */
  config(model: string, version: string): Readonly<Record<string, unknown>>;
  /** @param model '' = all of them */
  statistics(model: string, version: string): readonly ModelStatistics[];
  /** @param onlyReady leaves out what is not ready */
  index(onlyReady: boolean): readonly RepositoryEntry[];
  /** Loads or reloads; resolves when the new versions answer. Rejects with InferError; the old versions stay then. */
  load(model: string, override: LoadOverride | null): Promise<void>;
  /** Resolves when no new request reaches it; what it has accepted is answered. Rejects with InferError. */
  unload(model: string, withDependents: boolean): Promise<void>;
}
