import { DIMENSION } from './dimensions.js';
import { newShared } from './growable.js';
import { CLASS_COUNT } from './layout.js';
import { ENTRIES_MAX, LimitReached } from './limits.js';

/**
 * An ad that includes at most this many countries gets an entry in each; one with more is checked like one with none.
 * Eight entries of an ad cost what one line of its markup does.
 */
const COUNTRIES_PER_AD_MAX = 8;

export interface Partitions {
  readonly entryCount: number;
  readonly adOfEntry: Int32Array;
  readonly partitionStart: Int32Array;
  readonly partitionLength: Int32Array;
}

/** Which countries an ad has entries in. Reused from ad to ad. */
export class CountryChoice {
  readonly countries = new Int32Array(COUNTRIES_PER_AD_MAX);
  count = 0;
  /** The entry lies in the partition of all countries, and its country rules are checked by bitmap. */
  isAny = true;

  /** @param at a targeting in `pool`, see `TargetingPool` */
  read(pool: Int32Array, at: number): void {
    this.isAny = true;
    this.count = 0;
    let include = 0;
    let exclude = 0;
    for (let p = at + 1; p <= at + pool[at]; p += 2 + pool[p + 1]) {
      if (pool[p] === DIMENSION.country << 1) include = p + 1;
      if (pool[p] === ((DIMENSION.country << 1) | 1)) exclude = p + 1;
    }
    if (include === 0 || pool[include] > COUNTRIES_PER_AD_MAX) return;
    this.isAny = false;
    for (let i = 1; i <= pool[include]; i++) this.add(pool, pool[include + i], exclude);
  }

  /** A country that is also excluded, or named before, gets no entry. */
  private add(pool: Int32Array, country: number, exclude: number): void {
    if (exclude !== 0) for (let i = 1; i <= pool[exclude]; i++) if (pool[exclude + i] === country) return;
    for (let i = 0; i < this.count; i++) if (this.countries[i] === country) return;
    this.countries[this.count++] = country;
  }
}

/**
 * Spreads the ads over partitions by two passes of a counting sort; ads keep their order within each.
 *
 * @param targetingOfAd where the targeting of each ad lies in `pool`; 0 = none
 */
export function partitionAds(
  classOfAd: Uint8Array,
  targetingOfAd: Int32Array,
  pool: Int32Array,
  countryCount: number,
): Partitions {
  const width = countryCount + 1;
  const partitionLength = newShared(Int32Array, CLASS_COUNT * width);
  const partitionStart = newShared(Int32Array, CLASS_COUNT * width);
  const choice = new CountryChoice();
  for (let ad = 0; ad < classOfAd.length; ad++) {
    choice.read(pool, targetingOfAd[ad]);
    if (choice.isAny) partitionLength[classOfAd[ad] * width]++;
    for (let i = 0; i < choice.count; i++) partitionLength[classOfAd[ad] * width + choice.countries[i] + 1]++;
  }
  let entryCount = 0;
  for (let partition = 0; partition < partitionLength.length; partition++) {
    partitionStart[partition] = entryCount;
    entryCount += Math.ceil(partitionLength[partition] / 32) * 32;
  }
  if (entryCount > ENTRIES_MAX) throw new LimitReached(`${entryCount} index entries, more than ${ENTRIES_MAX}`);

  const adOfEntry = newShared(Int32Array, entryCount).fill(-1);
  const next = Int32Array.from(partitionStart);
  for (let ad = 0; ad < classOfAd.length; ad++) {
    choice.read(pool, targetingOfAd[ad]);
    if (choice.isAny) adOfEntry[next[classOfAd[ad] * width]++] = ad;
    for (let i = 0; i < choice.count; i++) adOfEntry[next[classOfAd[ad] * width + choice.countries[i] + 1]++] = ad;
  }
  return { entryCount, adOfEntry, partitionStart, partitionLength };
}
