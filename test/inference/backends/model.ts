import type { DataType, ExecutorBatch, ModelConfig, Tensor } from '../../../src/contract/index.js';
import type { Executor } from '../../../src/inference/backends/make-executor.js';

const tensorConfig = (name: string, dataType: DataType, dims: readonly number[]) => ({
  name,
  dataType,
  dims,
  reshape: undefined,
  optional: false,
});

/** A model with input X and output Y of FP32 [rows, 2], and the given parameters. */
export function modelConfig(
  backend: 'identity' | 'remote',
  parameters: Record<string, string>,
  changes: Partial<ModelConfig> = {},
): ModelConfig {
  return {
    name: 'm',
    platform: backend,
    backend,
    maxBatchSize: 64,
    inputs: [tensorConfig('X', 'FP32', [2])],
    outputs: [tensorConfig('Y', 'FP32', [2])],
    instanceCount: undefined,
    queue: {
      dynamicBatching: true,
      maxBatchSize: 64,
      preferredBatchSizes: [],
      maxQueueDelayUs: 0,
      preserveOrdering: false,
      priorityLevels: 1,
      defaultPriorityLevel: 1,
      policies: [{ timeoutAction: 'REJECT', defaultTimeoutUs: 0, allowTimeoutOverride: false, maxQueueSize: 0 }],
      order: 'fifo',
    },
    session: {
      providers: [],
      graphOptimization: 'all',
      intraOpThreads: 1,
      interOpThreads: 1,
      executionMode: 'sequential',
    },
    warmUps: [],
    responseCache: false,
    ensemble: [],
    twoScope: undefined,
    metricTags: {},
    parameters,
    candidateRowsMax: 64,
    requestRowsMax: 64,
    json: {},
    ...changes,
  };
}

/** Rows of X counted up from 0. */
export function batchOf(rows: number, deadlineUs = Infinity): ExecutorBatch {
  const values = Float32Array.from({ length: rows * 2 }, (_, i) => i);
  return {
    inputs: [{ name: 'X', dataType: 'FP32', shape: [rows, 2], bytes: new Uint8Array(values.buffer) }],
    outputs: [{ name: 'Y', dataType: 'FP32' }],
    rows,
    deadlineUs,
  };
}

/** Rejects with the InferError; fails when `done` comes early. A second `done` is an unhandled rejection. */
export function run(executor: Executor, batch: ExecutorBatch): Promise<readonly Tensor[]> {
  return new Promise((resolve, reject) => {
    let returned = false;
    let calls = 0;
    executor.execute(batch, (error, outputs) => {
      if (!returned) reject(new Error('done was called before execute had returned'));
      if (++calls > 1) void Promise.reject(new Error('done was called twice'));
      if (error !== null) reject(error);
      else resolve(outputs!);
    });
    returned = true;
  });
}
