/**
 * An operating error: something outside the code is wrong and somebody can fix it. It has a stable code, names who
 * can fix it, and its message says what to change. Outcomes (see outcome.ts) are not errors; bugs are plain `Error`s.
 */
export type Fixer = 'operator' | 'catalog owner' | 'model owner';

export class OperatingError extends Error {
  /** @param code stable and machine readable, such as `VK_CATALOG_INVALID`. */
  constructor(
    readonly code: string,
    readonly fixedBy: Fixer,
    message: string,
    /** Every single finding, where there can be several (one line each). */
    readonly details: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'OperatingError';
  }
}
