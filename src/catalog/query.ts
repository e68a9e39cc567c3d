import { type AuctionRequest, CATEGORIES_MAX, SEGMENTS_MAX } from '../contract/index.js';
import { DIMENSION } from './dimensions.js';
import { DENSE, MERGED, type TargetingIndex } from './layout.js';
import { findValue, type VocabularyColumns } from './vocabulary.js';

/** Levels of a category that are looked up: `IAB1-2` is also `IAB1`. */
const CATEGORY_LEVELS_MAX = 4;
const TERMS_MAX = 9;
/** Two lists of each value: seven single-valued dimensions, categories with their levels, segments. */
export const STEPS_MAX = 2 * (7 + CATEGORIES_MAX * CATEGORY_LEVELS_MAX + SEGMENTS_MAX);

/** What a step does with the bits of a block. */
export const STEP = { orBitmap: 0, orPostings: 1, notBitmap: 2, notPostings: 3 } as const;

/**
 * What a request asks of the index, as terms that are ANDed. A term begins with a bitmap and goes on with steps:
 *
 *     term      = bitmap | include … | include & ~exclude … & ~exclude
 *     candidate = shape and country partition & term & term & …
 *
 * A dimension nobody targets makes no term, and a common value has the whole term as one finished bitmap. One instance
 * serves a thread: it is filled by `read` and holds until the next.
 */
export class Query {
  termCount = 0;
  readonly termBitmap = new Int32Array(TERMS_MAX);
  /** Term `t` has the steps from `termFrom[t]` up to `termEnd[t]`. */
  readonly termFrom = new Int32Array(TERMS_MAX);
  readonly termEnd = new Int32Array(TERMS_MAX);
  /** About how many entries the term admits. */
  private readonly termAdmits = new Float64Array(TERMS_MAX);
  stepCount = 0;
  readonly stepKind = new Uint8Array(STEPS_MAX);
  /** First word of the bitmap, or the range of postings. */
  readonly stepAt = new Int32Array(STEPS_MAX);
  readonly stepEnd = new Int32Array(STEPS_MAX);
  /** Number of the request's country, or -1 where no ad targets it. */
  country = -1;

  private readonly values = new Int32Array(Math.max(CATEGORIES_MAX * CATEGORY_LEVELS_MAX, SEGMENTS_MAX));
  private valueCount = 0;

  read(index: TargetingIndex, request: AuctionRequest, hour: number): void {
    this.termCount = 0;
    this.stepCount = 0;
    this.country = lookUp(index, DIMENSION.country, request.country);
    this.addTerm(index, DIMENSION.device_type, request.deviceType);
    this.addTerm(index, DIMENSION.os, lookUp(index, DIMENSION.os, request.os));
    this.addTerm(index, DIMENSION.region, lookUp(index, DIMENSION.region, request.region));
    this.addTerm(index, DIMENSION.inventory, lookUp(index, DIMENSION.inventory, request.inventory));
    this.addTerm(index, DIMENSION.hour, hour);
    this.addTerm(index, DIMENSION.country, this.country);
    this.addTerm(index, DIMENSION.language, lookUp(index, DIMENSION.language, request.language));
    this.readCategories(index.vocabularies[DIMENSION.category], request.categories);
    this.addListTerm(index, DIMENSION.category);
    this.readSegments(index.vocabularies[DIMENSION.segment], request.segments);
    this.addListTerm(index, DIMENSION.segment);
    this.sortTerms();
  }

  private addTerm(index: TargetingIndex, dimension: number, value: number): void {
    if (value < 0 || value >= index.valueCount[dimension]) {
      if (index.anyBitmap[dimension] >= 0) this.beginTerm(index.anyBitmap[dimension], index.anyCount[dimension]);
      return;
    }
    const include = index.firstList[dimension] + value * 2;
    if (index.listLength[include] === MERGED) {
      this.beginTerm(index.listAt[include], index.listCount[include]);
      return;
    }
    this.values[0] = value;
    this.valueCount = 1;
    this.addListTerm(index, dimension);
  }

  /** The term of the values gathered in `values`. */
  private addListTerm(index: TargetingIndex, dimension: number): void {
    const { values, valueCount } = this;
    const first = index.firstList[dimension];
    const any = index.anyBitmap[dimension];
    const term = this.termCount;
    this.beginTerm(any >= 0 ? any : index.presentBitmap, index.anyCount[dimension]);
    // Where every entry includes no value, the includes are empty: only excludes can follow.
    for (let i = 0; i < valueCount; i++) this.addStep(index, first + values[i] * 2, STEP.orBitmap);
    for (let i = 0; i < valueCount; i++) this.addStep(index, first + values[i] * 2 + 1, STEP.notBitmap);
    this.termEnd[term] = this.stepCount;
    if (any < 0 && this.stepCount === this.termFrom[term]) this.termCount = term;
  }

  private beginTerm(bitmap: number, admits: number): void {
    const term = this.termCount++;
    this.termBitmap[term] = bitmap;
    this.termFrom[term] = this.stepCount;
    this.termEnd[term] = this.stepCount;
    this.termAdmits[term] = admits;
  }

  /** The term that admits least first: where two of them leave nothing of a block, the others are not evaluated. */
  private sortTerms(): void {
    const { termBitmap, termFrom, termEnd, termAdmits } = this;
    for (let i = 1; i < this.termCount; i++) {
      const bitmap = termBitmap[i];
      const from = termFrom[i];
      const end = termEnd[i];
      const admits = termAdmits[i];
      let at = i;
      for (; at > 0 && termAdmits[at - 1] > admits; at--) {
        termBitmap[at] = termBitmap[at - 1];
        termFrom[at] = termFrom[at - 1];
        termEnd[at] = termEnd[at - 1];
        termAdmits[at] = termAdmits[at - 1];
      }
      termBitmap[at] = bitmap;
      termFrom[at] = from;
      termEnd[at] = end;
      termAdmits[at] = admits;
    }
  }

  private addStep(index: TargetingIndex, list: number, kind: number): void {
    const length = index.listLength[list];
    if (length === 0) return;
    const step = this.stepCount++;
    this.stepKind[step] = length === DENSE ? kind : kind + 1;
    this.stepAt[step] = index.listAt[list];
    this.stepEnd[step] = index.listAt[list] + length;
    const count = index.listCount[list];
    this.termAdmits[this.termCount - 1] += kind === STEP.orBitmap ? count : -count;
  }

  private readSegments(vocabulary: VocabularyColumns | null, segments: readonly string[]): void {
    this.valueCount = 0;
    if (vocabulary === null) return;
    const count = Math.min(segments.length, SEGMENTS_MAX);
    for (let i = 0; i < count; i++) {
      const value = findValue(vocabulary, segments[i], segments[i].length);
      if (value >= 0) this.values[this.valueCount++] = value;
    }
  }

  /** Each category and the wider ones it lies in: `IAB1-2-3` also means `IAB1-2` and `IAB1`. */
  private readCategories(vocabulary: VocabularyColumns | null, categories: readonly string[]): void {
    this.valueCount = 0;
    if (vocabulary === null) return;
    const count = Math.min(categories.length, CATEGORIES_MAX);
    for (let i = 0; i < count; i++) {
      const category = categories[i];
      let end = category.length;
      for (let level = 0; level < CATEGORY_LEVELS_MAX && end > 0; level++) {
        const value = findValue(vocabulary, category, end);
        if (value >= 0) this.values[this.valueCount++] = value;
        end = category.lastIndexOf('-', end - 1);
      }
    }
  }
}

function lookUp(index: TargetingIndex, dimension: number, text: string): number {
  const vocabulary = index.vocabularies[dimension];
  return vocabulary === null || text === '' ? -1 : findValue(vocabulary, text, text.length);
}
