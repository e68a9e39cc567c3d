import { combine32, hashInteger, mix32 } from '../base/index.js';
import type { AdColumns, TensorData } from '../contract/index.js';
import type { SourceRow } from './source-row.js';
import { AD_SOURCES } from './sources.js';

/** Operations of a compiled column. */
export const OP = { hash: 0, vocabulary: 1, bucketize: 2, cross: 3, number: 4, log: 5, lookup: 6 } as const;

/** Where a column's values come from, which decides when they can be computed. */
export const ORIGIN = { request: 0, ad: 1, cross: 2 } as const;

/**
 * One compiled column: where it reads, what it computes, where it writes. All columns have the same fields whatever
 * their operation, so that the loops over them stay monomorphic.
 */
export interface Column {
  readonly op: number;
  readonly origin: number;
  /** Position in REQUEST_SOURCES or AD_SOURCES, by origin; of a cross: the request source. */
  readonly source: number;
  /** Second source of a cross; an ad source where the origin is `cross`, else in the scope of `source`. -1 = none. */
  readonly secondSource: number;
  /** Values of this column in a row; list sources may have several. */
  readonly length: number;
  readonly isList: boolean;
  /** Position of the first value in the tensor's row. */
  readonly position: number;
  readonly buckets: number;
  readonly seed: number;
  readonly offset: number;
  readonly multiply: number;
  readonly add: number;
  readonly boundaries: Float64Array;
  /** code → index (vocabulary) or code → number (lookup). */
  readonly table: ReadonlyMap<number, number>;
  readonly fallback: number;
}

/** Applies a column's transform to one code and value. */
function transform(column: Column, code: number, value: number): number {
  switch (column.op) {
    case OP.hash:
    case OP.cross:
      return hashColumn(column, code);
    case OP.vocabulary:
      return column.offset + (column.table.get(code) ?? 0);
    case OP.bucketize:
      return column.offset + upperBound(column.boundaries, value);
    case OP.number:
      return value * column.multiply + column.add;
    case OP.log:
      return Math.log1p(Math.max(value, 0)) * column.multiply + column.add;
    default:
      return column.table.get(code) ?? column.fallback;
  }
}

/** The transform of `hash` and `cross`: a bucket in [1, buckets), 0 for a missing value. */
export function hashColumn(column: Column, code: number): number {
  return column.offset + (code === 0 ? 0 : 1 + (mix32(code ^ column.seed) % (column.buckets - 1)));
}

/** How many of the ascending `boundaries` are ≤ value. */
function upperBound(boundaries: Float64Array, value: number): number {
  let low = 0;
  let high = boundaries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (boundaries[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Writes a request-origin column at `out[at …]`. */
export function writeRequestColumn(column: Column, row: SourceRow, out: TensorData, at: number): void {
  if (column.isList) {
    const codes = row.lists[column.source];
    const count = row.listCounts[column.source];
    for (let k = 0; k < column.length; k++) out[at + k] = transform(column, k < count ? codes[k] : 0, 0);
    return;
  }
  const s = column.source;
  const code = column.secondSource < 0 ? row.codes[s] : combine32(row.codes[s], row.codes[column.secondSource]);
  out[at] = transform(column, code, row.values[s]);
}

/** Writes an ad-origin column at `out[at]`. */
export function writeAdColumn(column: Column, ads: AdColumns, ad: number, out: TensorData, at: number): void {
  const first = adCode(column.source, ads, ad);
  const code = column.secondSource < 0 ? first : combine32(first, adCode(column.secondSource, ads, ad));
  out[at] = transform(column, code, AD_SOURCES[column.source].read(ads, ad));
}

/** The code of an ad source: columns hold strings as codes already. */
export function adCode(source: number, ads: AdColumns, ad: number): number {
  const { kind, read } = AD_SOURCES[source];
  const value = read(ads, ad);
  return kind === 'string' ? value : hashInteger(value);
}
