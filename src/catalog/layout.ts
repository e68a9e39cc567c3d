import type { AdColumns } from '../contract/index.js';
import type { TextColumns } from './text-table.js';
import type { VocabularyColumns } from './vocabulary.js';

/** Facts of ads that only this room reads, and the way from an ad to its texts. Numbers are text numbers or lists. */
export interface TextLinks {
  readonly texts: TextColumns;
  /** Lists of numbers: the length, then the values. List 0 is empty. */
  readonly lists: Int32Array;
  /** By ad. */
  readonly lineItemOfAd: Uint32Array;
  readonly creativeOfAd: Uint32Array;
  /** By line item. */
  readonly lineItemId: Int32Array;
  readonly campaignOfLineItem: Int32Array;
  /** By campaign. */
  readonly campaignId: Int32Array;
  readonly advertiserOfCampaign: Int32Array;
  /** By advertiser. */
  readonly advertiserId: Int32Array;
  readonly advertiserDomain: Int32Array;
  readonly advertiserCategories: Int32Array;
  /** By creative. */
  readonly creativeId: Int32Array;
  readonly creativeMime: Int32Array;
  readonly creativeCategories: Int32Array;
  readonly creativeAttributes: Int32Array;
  readonly creativeBundle: Int32Array;
  readonly creativeMarkup: Int32Array;
}

/** The most common shapes get a class each; the rest of a format share one. */
export const SHAPE_CLASSES_MAX = 64;
/** Classes `SHAPE_CLASSES_MAX + FORMAT.x` hold the rare shapes; FORMAT starts at 1. */
export const CLASS_COUNT = SHAPE_CLASSES_MAX + 5;

/**
 * What must fit between a creative and an imp: format, and size or length and MIME type. Shapes are few, so the index
 * is cut by them: a banner imp of one size never looks at a video, nor at a banner of another size.
 */
export interface ShapeClasses {
  readonly classCount: number;
  /** By class: one of FORMAT, the packed size, the length in seconds, the text number of the MIME type (0 = not said). */
  readonly format: Int32Array;
  readonly size: Int32Array;
  readonly durationSeconds: Int32Array;
  readonly mime: Int32Array;
}

/** Length of a value list that is stored as a bitmap of its own. */
export const DENSE = -1;
/** Length of an include list that is stored as the finished bitmap of who accepts the value. */
export const MERGED = -2;

/**
 * The targeting index over *entries*. An entry is an ad within one partition; a partition is one shape class and one
 * country, or all countries. Entries of a partition are consecutive, in ad order:
 *
 *     entry      0 ─────────── 95 │ 96 ──────── 159 │ …          partitions start at multiples of 32
 *     partition  300×250, any     │ 300×250, USA    │ …
 *     ad         3  9  12  40  …  │ 0  1  7  11  …  │ …
 *
 * An ad that includes two countries has an entry in each; every ad has at most one entry in {any, country X}, so a
 * request that merges those two partitions of each of its shapes meets every possible ad once, best first.
 */
export interface TargetingIndex {
  readonly entryCount: number;
  readonly adOfEntry: Int32Array;
  /** First entry of partition `class * (countryCount + 1) + country + 1`, country -1 = any; and how many. */
  readonly partitionStart: Int32Array;
  readonly partitionLength: Int32Array;
  readonly countryCount: number;
  /** Bitmaps of `entryCount` bits one behind the other; a bitmap is named by the index of its first word. */
  readonly words: Int32Array;
  /** Sorted entries of rare values, list behind list. */
  readonly postings: Int32Array;
  /** By dimension: the bitmap of the entries that include no value; -1 = that is all of them. */
  readonly anyBitmap: Int32Array;
  /** How many entries that is: what tells a selective dimension from a loose one. */
  readonly anyCount: Int32Array;
  /** First list of each dimension: value `v` has lists `+ 2v` (include) and `+ 2v + 1` (exclude). */
  readonly firstList: Int32Array;
  readonly valueCount: Int32Array;
  /** By list: where it starts in `postings` or `words`, and its length, DENSE, MERGED or 0. */
  readonly listAt: Int32Array;
  readonly listLength: Int32Array;
  /** By list: how many entries are in it, or in the MERGED bitmap. */
  readonly listCount: Int32Array;
  /** By dimension; null where values are integers. */
  readonly vocabularies: readonly (VocabularyColumns | null)[];
  readonly shapes: ShapeClasses;
  /** Bitmap of the entries that are ads at all: partitions are padded to whole words. */
  readonly presentBitmap: number;
  /** Flights in the window after the load: bitmaps of those that overlap it, and of those that cover it. */
  readonly overlapsBitmap: number;
  readonly coversBitmap: number;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

/** A whole catalog as the loader thread hands it over: nothing but numbers in shared memory. */
export interface CompiledCatalog {
  readonly ads: AdColumns;
  /** [start, end) of the ad: where its line item's and its campaign's flights overlap. */
  readonly startMs: Float64Array;
  readonly endMs: Float64Array;
  readonly links: TextLinks;
  readonly index: TargetingIndex;
  readonly counts: {
    readonly advertisers: number;
    readonly campaigns: number;
    readonly lineItems: number;
    readonly creatives: number;
  };
}
