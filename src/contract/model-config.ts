/**
 * A model's configuration (Triton's config.pbtxt), read, checked and completed with defaults. inference/ makes it from
 * the file, from the graph or from a load call.
 */
import type { DataType } from './data-type.js';

export interface TensorConfig {
  readonly name: string;
  readonly dataType: DataType;
  /** What clients send, −1 = variable; without the batch dimension where `maxBatchSize` > 0. */
  readonly dims: readonly number[];
  /** What the graph takes or gives in place of `dims`; undefined = the same. [] = no dimension but the batch's. */
  readonly reshape: readonly number[] | undefined;
  /** Inputs only: a request may leave it out. */
  readonly optional: boolean;
}

/** What one priority level does with requests that wait. */
export interface QueuePolicy {
  readonly timeoutAction: 'REJECT' | 'DELAY';
  /** 0 = none. */
  readonly defaultTimeoutUs: number;
  /** A request's own timeout counts when it is shorter than the default, which must not be 0. */
  readonly allowTimeoutOverride: boolean;
  /** Requests; 0 = only the server's own bound. */
  readonly maxQueueSize: number;
}

export interface QueueSettings {
  /** False: every request is a batch of its own (Triton's default scheduler). */
  readonly dynamicBatching: boolean;
  /** Rows; 0 = the model does not batch, a request counts as one row. */
  readonly maxBatchSize: number;
  /** Ascending. */
  readonly preferredBatchSizes: readonly number[];
  readonly maxQueueDelayUs: number;
  readonly preserveOrdering: boolean;
  /** Levels 1 … n, 1 the most urgent; 1 where the file has none. */
  readonly priorityLevels: number;
  readonly defaultPriorityLevel: number;
  /** By level − 1. */
  readonly policies: readonly QueuePolicy[];
  /** `earliest_deadline_first` (parameter `queue_order`): by deadline within a level, and what would be late is refused. */
  readonly order: 'fifo' | 'earliest_deadline_first';
}

/** How a model's ONNX session is made. */
export interface SessionSettings {
  /** In order of preference; `cpu` stands last only where falling back to it is allowed. */
  readonly providers: readonly {
    readonly name: string;
    readonly options: Readonly<Record<string, ParameterLiteral>>;
  }[];
  readonly graphOptimization: 'disabled' | 'basic' | 'extended' | 'all';
  readonly intraOpThreads: number;
  readonly interOpThreads: number;
  readonly executionMode: 'sequential' | 'parallel';
}

type ParameterLiteral = string | number | boolean;

/** One `model_warmup` entry: `count` runs of one batch. */
export interface WarmUp {
  readonly name: string;
  readonly batchSize: number;
  readonly count: number;
  /** By input; shape without the batch dimension. A file is already read; random and zero data are made by the runner. */
  readonly inputs: readonly {
    readonly name: string;
    readonly dataType: DataType;
    readonly shape: readonly number[];
    readonly data: 'zero' | 'random' | Uint8Array;
  }[];
}

export interface EnsembleStep {
  readonly model: string;
  /** −1 = the highest. */
  readonly version: number;
  /** The step's input by name → ensemble tensor. */
  readonly inputMap: ReadonlyMap<string, string>;
  /** The step's output by name → ensemble tensor. */
  readonly outputMap: ReadonlyMap<string, string>;
}

/** Two-scope models: which inputs have one row per request part, and which one maps candidate rows to them. */
export interface TwoScope {
  readonly requestInputs: readonly string[];
  /** int32 [N], values counted from the request's own first row. */
  readonly requestIndexInput: string;
}

export interface ModelConfig {
  /** The folder's name. */
  readonly name: string;
  /** Such as `onnxruntime_onnx`, `ensemble`, `identity`, `remote`. */
  readonly platform: string;
  readonly backend: 'onnxruntime' | 'identity' | 'remote' | 'ensemble';
  readonly maxBatchSize: number;
  readonly inputs: readonly TensorConfig[];
  readonly outputs: readonly TensorConfig[];
  /** Sum over the instance groups; undefined when the file has none. */
  readonly instanceCount: number | undefined;
  readonly queue: QueueSettings;
  readonly session: SessionSettings;
  readonly warmUps: readonly WarmUp[];
  readonly responseCache: boolean;
  /** Empty unless `backend` is `ensemble`. */
  readonly ensemble: readonly EnsembleStep[];
  readonly twoScope: TwoScope | undefined;
  readonly metricTags: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, string>>;
  /** Bounds of one two-scope batch: `max_batch_size`, else the parameters `candidate_rows_max`, `request_rows_max`. */
  readonly candidateRowsMax: number;
  readonly requestRowsMax: number;
  /** The whole configuration with defaults as the protocol shows it: snake_case, enums as strings. */
  readonly json: Readonly<Record<string, unknown>>;
}
