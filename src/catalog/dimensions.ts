import type { NumberList } from './growable.js';
import type { Targeting, TargetingRule } from './schema.js';
import { VocabularyBuilder } from './vocabulary.js';

/** What targeting can name, beside the format and size that come from the creative. */
export const DIMENSION = {
  country: 0,
  region: 1,
  device_type: 2,
  os: 3,
  inventory: 4,
  language: 5,
  hour: 6,
  category: 7,
  segment: 8,
} as const;
export const DIMENSION_COUNT = 9;
/** From here on a request can have several values of a dimension at once. */
export const FIRST_LIST_DIMENSION = DIMENSION.category;
/** Dimensions whose values are small integers and need no vocabulary. */
const DEVICE_TYPES = 256;
const HOURS = 168;

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const TEXT_DIMENSIONS = ['country', 'region', 'os', 'inventory', 'language', 'category', 'segment'] as const;

/**
 * Targeting as numbers in one pool, one rule after the other: `dimension << 1 | exclude`, how many values, the values.
 * The first number of a targeting is its whole length after itself.
 */
export class TargetingPool {
  readonly vocabularies = Array.from({ length: DIMENSION_COUNT }, () => new VocabularyBuilder());

  constructor(readonly pool: NumberList<Int32Array>) {}

  /** How many values the dimension can have. */
  valueCount(dimension: number): number {
    if (dimension === DIMENSION.device_type) return DEVICE_TYPES;
    if (dimension === DIMENSION.hour) return HOURS;
    return this.vocabularies[dimension].count;
  }

  /** @returns where the targeting lies in the pool; 0 = none */
  add(targeting: Targeting | undefined): number {
    if (targeting === undefined) return 0;
    const at = this.pool.push(0);
    for (const name of TEXT_DIMENSIONS) this.addRule(DIMENSION[name], targeting[name]);
    this.addRule(DIMENSION.device_type, targeting.device_type);
    if (targeting.daypart !== undefined) this.addList(DIMENSION.hour << 1, hoursOf(targeting.daypart));
    this.pool.set(at, this.pool.length - at - 1);
    return at;
  }

  private addRule(dimension: number, rule: TargetingRule | undefined): void {
    if (rule === undefined) return;
    const { include, exclude } = 'length' in rule ? { include: rule, exclude: undefined } : rule;
    if (include !== undefined) this.addList(dimension << 1, include);
    if (exclude !== undefined) this.addList((dimension << 1) | 1, exclude);
  }

  private addList(header: number, values: readonly (string | number)[]): void {
    this.pool.push(header);
    this.pool.push(values.length);
    for (const value of values) this.pool.push(typeof value === 'number' ? value : this.number(header >> 1, value));
  }

  private number(dimension: number, value: string): number {
    const folds = dimension === DIMENSION.inventory || dimension === DIMENSION.os;
    return this.vocabularies[dimension].intern(folds ? value.toLowerCase() : value);
  }
}

function hoursOf(parts: NonNullable<Targeting['daypart']>): number[] {
  const hours = new Set<number>();
  for (const part of parts) {
    for (const day of part.days ?? DAYS) {
      for (let hour = part.from; hour < part.to; hour++) hours.add(DAYS.indexOf(day) * 24 + hour);
    }
  }
  return [...hours];
}
