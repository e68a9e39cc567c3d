/**
 * admission/: decides in O(1) whether an answer can still be in time.
 *
 * Takes: arrival, tmax, the engine's estimate. Gives: a deadline and an outcome. Owns: nothing.
 * Never: waits, queues or computes anything per candidate. Fails: never; it refuses.
 */
export { admit, deadlineUs, type TimeBudget } from './admission.js';
