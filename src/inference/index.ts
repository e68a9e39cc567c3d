/**
 * inference/: model repository and registry, dynamic batcher, instances of ONNX models, remote Triton.
 *
 * Takes: a model repository directory; rows with a ticket and a deadline (the bid path), or requests that bring their
 *   tensors (`ModelRegistry.infer`, the v2 protocol). Both share instances, batches, costs and statistics.
 * Gives: raw scores per ticket, or a response per request, exactly once; an estimate of how long they would take.
 * Owns: the queues, the slabs (shared memory), the batches, the threads and their sessions, connections to remotes.
 * Never: knows what a feature means, turns a score into a probability, speaks to a client.
 * Fails: a full engine refuses at once; a lost worker, a refused batch or a passed deadline fails its requests and
 *   nothing else; a score that is not finite fails its own ticket only. A bad model is an OperatingError at load, and
 *   the version that was served before still is.
 */
export {
  Engine,
  type EngineListener,
  type EngineOptions,
} from './engine.js';
export type { EngineModel } from './engine-port.js';
export type { EngineStats } from './engine-stats.js';
export { directorySource } from './model-source.js';
export { ModelRegistry } from './registry.js';
export { loadRepository, type RepositoryModel } from './repository.js';
export { servingFamilies } from './serving-families.js';
