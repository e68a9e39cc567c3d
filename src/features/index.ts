/**
 * features/: runs a model's compiled feature program and writes rows straight into the batch.
 *
 * Takes: an imp of a normalised request, ad columns, candidate numbers. Gives: rows of int32 and float32 values.
 * Owns: the compiled programs, and per snapshot the part of each candidate row that depends on the ad alone.
 * Never: does I/O after load, allocates per row, sees an encoding or a probability.
 * Fails: only at load, with every problem of the file listed by name.
 */
export { compileProgram } from './compile.js';
export { type AdRows, FeatureProgram } from './program.js';
export { SourceRow } from './source-row.js';
export { AD_SOURCES, adSourceValues, REQUEST_SOURCES, requestSourceValues, type SourceValue } from './sources.js';
