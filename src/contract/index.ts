/**
 * contract/: the shared nouns, units and codes. Every room may import this room; it imports none.
 *
 * Takes nothing, gives types and tables, owns nothing, never does I/O.
 */
export * from './ad.js';
export * from './auction-request.js';
export * from './batch.js';
export * from './batch-executor.js';
export * from './bid-response.js';
export * from './data-type.js';
export * from './http-handler.js';
export * from './model-config.js';
export * from './model-serving.js';
export * from './operating-error.js';
export * from './outcome.js';
export * from './pricing-mode.js';
export * from './stage.js';
