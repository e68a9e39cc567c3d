/**
 * What the registry needs of the engine. The engine knows handles, queues and batches; the registry knows names,
 * versions and who may ask for what.
 */
import type {
  BatchExecutor,
  InferHandle,
  InferRequest,
  ModelConfig,
  ModelSignature,
  ModelStatistics,
  OnInfer,
} from '../contract/index.js';

export interface EngineModel {
  readonly name: string;
  readonly version: number;
  /** The .onnx file; '' with an executor. */
  readonly file: string;
  readonly config?: ModelConfig;
  /** The bid path's view of the model, where it has one. */
  readonly signature?: ModelSignature;
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** At most this many of its batches run at once; undefined = the engine's own default. */
  readonly instanceCount?: number;
  /** Runs the batches in place of ONNX sessions; the engine closes it when the model is removed. */
  readonly executor?: BatchExecutor;
}

export interface EnginePort {
  /** Resolves with a handle when its instances are loaded and warm. Rejects with OperatingError; nothing is left behind. */
  addModel(model: EngineModel): Promise<number>;
  /** Takes no more; resolves when what waited and ran is answered and sessions are freed. */
  removeModel(handle: number): Promise<void>;
  /** The request is checked already. Calls `done` exactly once, never before it has returned. */
  infer(handle: number, request: InferRequest, rows: number, done: OnInfer): InferHandle;
  statistics(handle: number): ModelStatistics;
  /** Requests of this model that wait for an instance. */
  pendingRequests?(handle: number): number;
}
