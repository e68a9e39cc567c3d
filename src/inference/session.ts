/** Creates the ONNX session of one instance. Runs in the worker thread. */
import { InferenceSession } from 'onnxruntime-node';
import { OperatingError } from '../contract/index.js';
import type { WorkerModel } from './worker-protocol.js';

/** @throws OperatingError VK_MODEL_LOAD (model owner) */
export async function createSession({ name, file, session }: WorkerModel): Promise<InferenceSession> {
  const isCpuAllowed = session.providers.some((provider) => provider.name === 'cpu');
  const options: InferenceSession.SessionOptions = {
    executionProviders: session.providers.map((provider) => ({
      name: provider.name,
      ...provider.options,
    })) as unknown as InferenceSession.ExecutionProviderConfig[],
    intraOpNumThreads: session.intraOpThreads,
    interOpNumThreads: session.interOpThreads,
    executionMode: session.executionMode,
    graphOptimizationLevel: session.graphOptimization,
    // A spinning thread would burn the core that the event loop needs.
    extra: {
      session: {
        intra_op: { allow_spinning: '0' },
        inter_op: { allow_spinning: '0' },
        // Else the runtime places what the accelerator cannot run, or everything, on the CPU without a word.
        disable_cpu_ep_fallback: isCpuAllowed ? '0' : '1',
      },
    },
  };
  try {
    return await InferenceSession.create(file, options);
  } catch (error) {
    const message = `Model '${name}': ONNX Runtime cannot load ${file}: ${(error as Error).message}`;
    throw new OperatingError('VK_MODEL_LOAD', 'model owner', message);
  }
}
