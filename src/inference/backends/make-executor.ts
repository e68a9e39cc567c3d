import type { BatchExecutor, ModelConfig } from '../../contract/index.js';
import { IdentityExecutor } from './identity.js';
import { type RemoteDependencies, RemoteExecutor } from './remote.js';
import type { RemoteStats } from './remote-stats.js';

export interface Executor extends BatchExecutor {
  /** What there is to count about a remote; absent for other backends. */
  stats?(): RemoteStats;
}

/**
 * What runs the batches of a model that has no ONNX session of its own.
 *
 * @param config of backend `identity` or `remote`
 * @throws OperatingError VK_MODEL_CONFIG (model owner) naming the parameter
 */
export function makeExecutor(config: ModelConfig, dependencies: RemoteDependencies): Executor {
  if (config.backend === 'identity') return new IdentityExecutor(config);
  if (config.backend === 'remote') return new RemoteExecutor(config, dependencies);
  throw new Error(`backend ${config.backend} of model '${config.name}' has no executor`);
}
