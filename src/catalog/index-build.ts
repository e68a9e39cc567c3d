import type { CompiledAds } from './ads.js';
import { DIMENSION, DIMENSION_COUNT, FIRST_LIST_DIMENSION } from './dimensions.js';
import { newShared } from './growable.js';
import { DENSE, MERGED, type TargetingIndex } from './layout.js';
import { INDEX_NUMBERS_MAX, LimitReached } from './limits.js';
import { CountryChoice, type Partitions, partitionAds } from './partitions.js';
import { classifyShapes } from './shapes.js';
import type { RecordStore } from './store.js';

/**
 * Ads whose flight covers this much time after the load need no look at their dates in that time. Catalogs are loaded
 * more often than weekly; after it, or before the load, every match's dates are read.
 */
const FLIGHT_WINDOW_MS = 7 * 24 * 3_600_000;

/**
 * A value that one entry in this many names gets a bitmap, the rarer ones a list. At 32 both take the same memory; a
 * bitmap four times as large as its list is still worth it, because a list must be searched for each partition.
 */
const DENSE_SHARE = 128;

/** Builds the targeting index of ads that are already numbered by rank. */
export function buildIndex(store: RecordStore, compiled: CompiledAds, nowMs: number): TargetingIndex {
  const { creativeOfAd, lineItemOfAd } = compiled.links;
  const { shapes, classOfCreative } = classifyShapes(store, creativeOfAd);
  const classOfAd = Uint8Array.from(creativeOfAd, (creative) => classOfCreative[creative]);
  const targetingOfAd = Int32Array.from(lineItemOfAd, (item) => store.lineItems.targeting.get(item));
  const { targetings } = store;
  const countryCount = targetings.valueCount(DIMENSION.country);
  const partitions = partitionAds(classOfAd, targetingOfAd, store.pool.values, countryCount);
  const lists = new ListBuilder(store, partitions, targetingOfAd);
  lists.count();
  lists.place();
  lists.fill();
  const windowEndMs = nowMs + FLIGHT_WINDOW_MS;
  lists.fillFlights(compiled.startMs, compiled.endMs, nowMs, windowEndMs);
  return {
    ...partitions,
    ...lists.result(),
    countryCount,
    shapes,
    vocabularies: targetings.vocabularies.map((vocabulary, dimension) =>
      dimension === DIMENSION.device_type || dimension === DIMENSION.hour ? null : vocabulary.toShared(),
    ),
    windowStartMs: nowMs,
    windowEndMs,
  };
}

const PRESENT_BITMAP = 0;

/** Counts the lists of all values, decides which become bitmaps, and fills them; one walk over the entries each time. */
class ListBuilder {
  private readonly valueCount = newShared(Int32Array, DIMENSION_COUNT);
  private readonly firstList = newShared(Int32Array, DIMENSION_COUNT);
  private readonly anyBitmap = newShared(Int32Array, DIMENSION_COUNT);
  private readonly anyCount = newShared(Int32Array, DIMENSION_COUNT);
  private readonly listAt: Int32Array;
  private readonly listLength: Int32Array;
  private readonly listCount: Int32Array;
  private readonly bitmapWords: number;
  /** Entries that include something, by dimension. */
  private readonly constrained = new Int32Array(DIMENSION_COUNT);
  private words = newShared(Int32Array, 0);
  private postings = newShared(Int32Array, 0);
  /** Excludes of values whose bitmap is merged: needed only until they are taken out of it. */
  private taken = new Int32Array(0);

  constructor(
    private readonly store: RecordStore,
    private readonly partitions: Partitions,
    private readonly targetingOfAd: Int32Array,
  ) {
    this.bitmapWords = partitions.entryCount / 32;
    let lists = 0;
    for (let dimension = 0; dimension < DIMENSION_COUNT; dimension++) {
      this.firstList[dimension] = lists;
      this.valueCount[dimension] = store.targetings.valueCount(dimension);
      lists += this.valueCount[dimension] * 2;
    }
    this.listAt = newShared(Int32Array, lists);
    this.listLength = newShared(Int32Array, lists);
    this.listCount = newShared(Int32Array, lists);
  }

  count(): void {
    this.eachRule((_, dimension, exclude, pool, from, to) => {
      if (exclude === 0) this.constrained[dimension]++;
      const first = this.firstList[dimension] + exclude;
      for (let p = from; p < to; p++) this.listLength[first + pool[p] * 2]++;
    });
  }

  /** Gives each bitmap and each list its place, now that all sizes are known. */
  place(): void {
    let words = this.bitmapWords * 3;
    let postings = 0;
    let taken = 0;
    const { listAt, listLength } = this;
    this.listCount.set(listLength);
    const bitmap = () => {
      words += this.bitmapWords;
      return words - this.bitmapWords;
    };
    for (let dimension = 0; dimension < DIMENSION_COUNT; dimension++) {
      this.anyBitmap[dimension] = this.constrained[dimension] === 0 ? -1 : bitmap();
      for (let value = 0; value < this.valueCount[dimension]; value++) {
        const include = this.firstList[dimension] + value * 2;
        const exclude = include + 1;
        if (dimension < FIRST_LIST_DIMENSION && (this.isDense(include) || this.isDense(exclude))) {
          listAt[include] = bitmap();
          listLength[include] = MERGED;
          listAt[exclude] = taken;
          taken += listLength[exclude];
          continue;
        }
        for (const list of [include, exclude]) {
          const dense = this.isDense(list);
          listAt[list] = dense ? bitmap() : postings;
          if (dense) listLength[list] = DENSE;
          else postings += listLength[list];
        }
      }
    }
    if (Math.max(words, postings) > INDEX_NUMBERS_MAX) {
      throw new LimitReached(`an index of ${words} words and ${postings} postings, more than ${INDEX_NUMBERS_MAX}`);
    }
    this.words = newShared(Int32Array, words);
    this.postings = newShared(Int32Array, postings);
    this.taken = new Int32Array(taken);
  }

  fill(): void {
    const { words, postings, taken, listAt, listLength } = this;
    this.fillAny();
    const next = Int32Array.from(listAt);
    this.eachRule((entry, dimension, exclude, pool, from, to) => {
      const any = this.anyBitmap[dimension];
      if (exclude === 0) words[any + (entry >>> 5)] &= ~(1 << (entry & 31));
      for (let p = from; p < to; p++) {
        const include = this.firstList[dimension] + pool[p] * 2;
        const list = include + exclude;
        if (listLength[include] === MERGED && exclude === 1) taken[next[list]++] = entry;
        else if (listLength[list] < 0) words[listAt[list] + (entry >>> 5)] |= 1 << (entry & 31);
        else postings[next[list]++] = entry;
      }
    });
    this.mergeBitmaps();
  }

  fillFlights(startMs: Float64Array, endMs: Float64Array, windowStartMs: number, windowEndMs: number): void {
    const { words, bitmapWords } = this;
    const { adOfEntry, entryCount } = this.partitions;
    for (let entry = 0; entry < entryCount; entry++) {
      const ad = adOfEntry[entry];
      if (ad < 0) continue;
      const word = entry >>> 5;
      const bit = 1 << (entry & 31);
      if (startMs[ad] < windowEndMs && endMs[ad] > windowStartMs) words[bitmapWords + word] |= bit;
      if (startMs[ad] <= windowStartMs && endMs[ad] >= windowEndMs) words[bitmapWords * 2 + word] |= bit;
    }
  }

  result() {
    const { words, postings, anyBitmap, anyCount, firstList, valueCount, listAt, listLength, listCount } = this;
    const flightBitmaps = { overlapsBitmap: this.bitmapWords, coversBitmap: this.bitmapWords * 2 };
    const lists = { firstList, valueCount, listAt, listLength, listCount, words, postings };
    return { ...lists, anyBitmap, anyCount, presentBitmap: PRESENT_BITMAP, ...flightBitmaps };
  }

  private isDense(list: number): boolean {
    return this.listLength[list] * DENSE_SHARE > this.partitions.entryCount;
  }

  private fillAny(): void {
    const { words, bitmapWords } = this;
    const { adOfEntry, entryCount } = this.partitions;
    for (let entry = 0; entry < entryCount; entry++) {
      if (adOfEntry[entry] >= 0) words[PRESENT_BITMAP + (entry >>> 5)] |= 1 << (entry & 31);
    }
    const present = countBits(words, PRESENT_BITMAP, bitmapWords);
    for (let dimension = 0; dimension < DIMENSION_COUNT; dimension++) {
      const any = this.anyBitmap[dimension];
      if (any >= 0) words.copyWithin(any, PRESENT_BITMAP, PRESENT_BITMAP + bitmapWords);
      this.anyCount[dimension] = present - this.constrained[dimension];
    }
  }

  /** Turns the include bitmap of a single-valued dimension into (any or included) and not excluded. */
  private mergeBitmaps(): void {
    const { words, bitmapWords, listAt, listLength, taken } = this;
    for (let dimension = 0; dimension < FIRST_LIST_DIMENSION; dimension++) {
      const any = this.anyBitmap[dimension] < 0 ? PRESENT_BITMAP : this.anyBitmap[dimension];
      for (let value = 0; value < this.valueCount[dimension]; value++) {
        const include = this.firstList[dimension] + value * 2;
        if (listLength[include] !== MERGED) continue;
        const at = listAt[include];
        for (let word = 0; word < bitmapWords; word++) words[at + word] |= words[any + word];
        const from = listAt[include + 1];
        for (let p = from; p < from + listLength[include + 1]; p++) {
          words[at + (taken[p] >>> 5)] &= ~(1 << (taken[p] & 31));
        }
        this.listCount[include] = countBits(words, at, bitmapWords);
        listAt[include + 1] = 0;
        listLength[include + 1] = 0;
      }
    }
  }

  /** Calls back for every rule of every entry that the entry's partition does not already settle. */
  private eachRule(
    visit: (entry: number, dimension: number, exclude: number, pool: Int32Array, from: number, to: number) => void,
  ): void {
    const pool = this.store.pool.values;
    const { adOfEntry, entryCount } = this.partitions;
    const choice = new CountryChoice();
    for (let entry = 0; entry < entryCount; entry++) {
      const ad = adOfEntry[entry];
      const at = ad < 0 ? 0 : this.targetingOfAd[ad];
      if (at === 0) continue;
      choice.read(pool, at);
      for (let p = at + 1; p <= at + pool[at]; p += 2 + pool[p + 1]) {
        const dimension = pool[p] >> 1;
        if (dimension === DIMENSION.country && !choice.isAny) continue;
        visit(entry, dimension, pool[p] & 1, pool, p + 2, p + 2 + pool[p + 1]);
      }
    }
  }
}

function countBits(words: Int32Array, from: number, length: number): number {
  let count = 0;
  for (let i = from; i < from + length; i++) {
    let w = words[i];
    w -= (w >>> 1) & 0x55555555;
    w = (w & 0x33333333) + ((w >>> 2) & 0x33333333);
    count += Math.imul((w + (w >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}
