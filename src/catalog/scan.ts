import type { Imp } from '../contract/index.js';
import { CLASS_COUNT, type CompiledCatalog, SHAPE_CLASSES_MAX, type TargetingIndex } from './layout.js';
import { type Query, STEP, STEPS_MAX } from './query.js';
import type { ShapeMatcher } from './shape-match.js';

/**
 * Words of 32 entries that are evaluated at once: few at first, because a request with common matches needs no more of
 * each partition, then twice as many each time, because one with rare matches is going to read on.
 */
const FIRST_BLOCK_WORDS = 2;
const BLOCK_WORDS = 16;
/** One partition of the request's country and one of all countries, for each shape class. */
const CURSORS_MAX = 2 * CLASS_COUNT;
/** Stands for "no further ad" and sorts behind every ad. */
const END = 0x7fffffff;

/**
 * Walks the partitions that a query admits side by side, always in the one whose next match has the best rank, and
 * stops at the limit. A partition is evaluated block by block and only as far as it is needed, so what a request costs
 * depends on how rare its matches are and not on how large the catalog is.
 */
export class Scan {
  private cursorCount = 0;
  /** The entries of a cursor that are still to be evaluated, in words; `lastWord` is exclusive. */
  private readonly nextWord = new Int32Array(CURSORS_MAX);
  private readonly lastWord = new Int32Array(CURSORS_MAX);
  private readonly needsShape = new Uint8Array(CURSORS_MAX);
  /** The evaluated block of each cursor: where it begins, which word is being read, the bits left of each word. */
  private readonly blockWord = new Int32Array(CURSORS_MAX);
  private readonly blockRead = new Uint8Array(CURSORS_MAX);
  private readonly blockLength = new Uint8Array(CURSORS_MAX);
  private readonly blockMax = new Uint8Array(CURSORS_MAX);
  private readonly bits = new Int32Array(CURSORS_MAX * BLOCK_WORDS);
  /** Next unread posting of each step, by cursor. */
  private readonly posting = new Int32Array(CURSORS_MAX * STEPS_MAX);
  /** Heap of cursors, the best next ad on top. */
  private readonly heap = new Int32Array(CURSORS_MAX);
  private readonly nextAd = new Int32Array(CURSORS_MAX);
  private readonly term = new Int32Array(BLOCK_WORDS);

  private index!: TargetingIndex;
  private query!: Query;
  private matcher!: ShapeMatcher;
  private imp!: Imp;
  private startMs!: Float64Array;
  private endMs!: Float64Array;
  private nowMs = 0;
  private isInWindow = false;

  find(
    catalog: CompiledCatalog,
    query: Query,
    matcher: ShapeMatcher,
    imp: Imp,
    nowMs: number,
    out: Int32Array,
    offset: number,
    limit: number,
  ): number {
    const { index } = catalog;
    this.index = index;
    this.query = query;
    this.matcher = matcher;
    this.imp = imp;
    this.startMs = catalog.startMs;
    this.endMs = catalog.endMs;
    this.nowMs = nowMs;
    this.isInWindow = nowMs >= index.windowStartMs && nowMs < index.windowEndMs;
    this.open();
    let written = 0;
    while (written < limit && this.cursorCount > 0) {
      const cursor = this.heap[0];
      const ad = this.nextAd[cursor];
      if (ad === END) break;
      out[offset + written++] = ad;
      this.nextAd[cursor] = this.advance(cursor);
      this.siftDown(0);
    }
    return written;
  }

  private open(): void {
    const { index, matcher, query } = this;
    this.cursorCount = 0;
    for (let i = 0; i < matcher.classCount; i++) {
      const shapeClass = matcher.classes[i];
      const any = shapeClass * (index.countryCount + 1);
      this.openPartition(any, shapeClass);
      if (query.country >= 0) this.openPartition(any + query.country + 1, shapeClass);
    }
    for (let i = (this.cursorCount >> 1) - 1; i >= 0; i--) this.siftDown(i);
  }

  private openPartition(partition: number, shapeClass: number): void {
    const { index } = this;
    const length = index.partitionLength[partition];
    if (length === 0) return;
    const cursor = this.cursorCount;
    const start = index.partitionStart[partition];
    this.nextWord[cursor] = start >>> 5;
    this.lastWord[cursor] = (start + length + 31) >>> 5;
    this.needsShape[cursor] = shapeClass >= SHAPE_CLASSES_MAX ? 1 : 0;
    this.blockMax[cursor] = FIRST_BLOCK_WORDS;
    this.blockLength[cursor] = 0;
    this.blockRead[cursor] = 0;
    this.seekPostings(cursor, start);
    const ad = this.advance(cursor);
    if (ad === END) return;
    this.nextAd[cursor] = ad;
    this.heap[cursor] = cursor;
    this.cursorCount++;
  }

  /** Puts the cursor's place in every list of postings at the first that is not before `entry`. */
  private seekPostings(cursor: number, entry: number): void {
    const { query, posting } = this;
    const { postings } = this.index;
    for (let step = 0; step < query.stepCount; step++) {
      if ((query.stepKind[step] & 1) === 0) continue;
      let low = query.stepAt[step];
      let high = query.stepEnd[step];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (postings[middle] < entry) low = middle + 1;
        else high = middle;
      }
      posting[cursor * STEPS_MAX + step] = low;
    }
  }

  /** @returns the cursor's next match, or END */
  private advance(cursor: number): number {
    const { bits, blockRead, blockLength, blockWord } = this;
    const { adOfEntry } = this.index;
    for (;;) {
      while (blockRead[cursor] < blockLength[cursor]) {
        const at = cursor * BLOCK_WORDS + blockRead[cursor];
        const word = bits[at];
        if (word === 0) {
          blockRead[cursor]++;
          continue;
        }
        bits[at] = word & (word - 1);
        const bit = 31 - Math.clz32(word & -word);
        const entryWord = blockWord[cursor] + blockRead[cursor];
        const ad = adOfEntry[entryWord * 32 + bit];
        if (
          this.isInFlight(ad, entryWord, bit) &&
          (this.needsShape[cursor] === 0 || this.matcher.fitsAd(this.imp, ad))
        ) {
          return ad;
        }
      }
      if (this.nextWord[cursor] >= this.lastWord[cursor]) return END;
      this.evaluateBlock(cursor);
    }
  }

  private isInFlight(ad: number, entryWord: number, bit: number): boolean {
    const { words, coversBitmap } = this.index;
    if (this.isInWindow && ((words[coversBitmap + entryWord] >>> bit) & 1) !== 0) return true;
    return this.startMs[ad] <= this.nowMs && this.nowMs < this.endMs[ad];
  }

  private evaluateBlock(cursor: number): void {
    const { query, bits } = this;
    const { words, presentBitmap, overlapsBitmap } = this.index;
    const from = this.nextWord[cursor];
    const length = Math.min(this.blockMax[cursor], this.lastWord[cursor] - from);
    this.blockMax[cursor] = Math.min(BLOCK_WORDS, this.blockMax[cursor] * 2);
    this.nextWord[cursor] = from + length;
    this.blockWord[cursor] = from;
    this.blockRead[cursor] = 0;
    this.blockLength[cursor] = length;
    const at = cursor * BLOCK_WORDS;
    const alive = (this.isInWindow ? overlapsBitmap : presentBitmap) + from;
    for (let i = 0; i < length; i++) bits[at + i] = words[alive + i];
    for (let term = 0; term < query.termCount; term++) {
      const bitmap = query.termBitmap[term] + from;
      let left = 0;
      if (query.termFrom[term] === query.termEnd[term]) {
        for (let i = 0; i < length; i++) left |= bits[at + i] &= words[bitmap + i];
      } else {
        for (let i = 0; i < length; i++) this.term[i] = words[bitmap + i];
        this.runSteps(cursor, term, from, length);
        for (let i = 0; i < length; i++) left |= bits[at + i] &= this.term[i];
      }
      if (left === 0) {
        this.blockLength[cursor] = 0;
        return;
      }
    }
  }

  private runSteps(cursor: number, number: number, from: number, length: number): void {
    const { query, term } = this;
    const { words } = this.index;
    for (let step = query.termFrom[number]; step < query.termEnd[number]; step++) {
      const kind = query.stepKind[step];
      const bitmap = query.stepAt[step] + from;
      if (kind === STEP.orBitmap) for (let i = 0; i < length; i++) term[i] |= words[bitmap + i];
      else if (kind === STEP.notBitmap) for (let i = 0; i < length; i++) term[i] &= ~words[bitmap + i];
      else this.runPostings(cursor, step, kind === STEP.orPostings, from * 32, (from + length) * 32);
    }
  }

  /** Blocks are skipped when a term left nothing of them, so postings before this one may still be unread. */
  private runPostings(cursor: number, step: number, isInclude: boolean, fromEntry: number, endEntry: number): void {
    const { term } = this;
    const { postings } = this.index;
    const end = this.query.stepEnd[step];
    let p = this.posting[cursor * STEPS_MAX + step];
    for (; p < end && postings[p] < endEntry; p++) {
      const entry = postings[p] - fromEntry;
      if (entry < 0) continue;
      if (isInclude) term[entry >>> 5] |= 1 << (entry & 31);
      else term[entry >>> 5] &= ~(1 << (entry & 31));
    }
    this.posting[cursor * STEPS_MAX + step] = p;
  }

  private siftDown(start: number): void {
    const { heap, nextAd, cursorCount } = this;
    const moving = heap[start];
    const ad = nextAd[moving];
    let at = start;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= cursorCount) break;
      if (child + 1 < cursorCount && nextAd[heap[child + 1]] < nextAd[heap[child]]) child++;
      if (nextAd[heap[child]] >= ad) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moving;
  }
}
