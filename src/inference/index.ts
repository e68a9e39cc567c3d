/**
 * inference/: model repository, dynamic batcher, pool of ONNX workers.
 *
 * Takes: a model repository directory; per model its signature; rows, a ticket and a deadline per request.
 * Gives: raw scores per ticket, exactly once; an estimate of how long they would take.
 * Owns: the slabs (shared memory), the batches, the threads and their sessions.
 * Never: touches a socket, knows what a feature means, turns a score into a probability, sets a timer on the hot path.
 * Fails: a full engine refuses at once (null); a lost worker, a refused batch or a passed deadline fails its tickets
 *   and nothing else; a score that is not finite fails its own ticket only. A bad model is an OperatingError at start.
 */
export {
  Engine,
  type EngineListener,
  type EngineOptions,
} from './engine.js';
export type { EngineModel } from './engine-port.js';
export type { EngineStats } from './engine-stats.js';
export { loadRepository, type RepositoryModel } from './repository.js';
