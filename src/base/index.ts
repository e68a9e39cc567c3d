/**
 * base/: clock, hashing, the place of compiled files. It knows no room and no noun of the field.
 */
export * from './built-file.js';
export * from './clock.js';
export * from './hash.js';
