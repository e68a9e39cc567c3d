/**
 * config/: configuration, read once and frozen.
 *
 * Takes: a YAML file (or nothing) and environment variables. Gives: one frozen object with every value filled in.
 * Owns: the schema, which is also the documentation of every option, its unit, bound and default.
 * Never: reads anything after start. Fails: at start, with every problem listed by its path.
 */
export { type Config, limitSums, loadConfig } from './config.js';
