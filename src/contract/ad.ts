import type { AuctionRequest, Imp } from './auction-request.js';

/** What an advertiser pays for; the number is also a feature value. */
export const GOAL = { cpm: 1, cpc: 2, cpa: 3 } as const;
export type GoalName = keyof typeof GOAL;

/** At most this many ads are scored for one imp. */
export const CANDIDATES_PER_IMP_MAX = 64;

/**
 * The facts of every ad that the hot path reads, one typed array a fact, indexed by *ad*: a dense integer that stands
 * for one (line item, creative) pair within one snapshot. The arrays are immutable and shared between threads.
 *
 * A `…Code` is the base hash (`base/hash.ts`, `hashString`) of an identifier: what feature programs hash further.
 */
export interface AdColumns {
  readonly count: number;
  readonly advertiserCode: Uint32Array;
  readonly campaignCode: Uint32Array;
  readonly lineItemCode: Uint32Array;
  readonly creativeCode: Uint32Array;
  /** Base hash of the creative's first category, else of the advertiser's; 0 = none. */
  readonly categoryCode: Uint32Array;
  /** Base hash of the advertiser's domain. */
  readonly domainCode: Uint32Array;
  /** One of FORMAT. */
  readonly format: Uint8Array;
  /** Pixels; 0 where the format has no size. */
  readonly width: Uint16Array;
  readonly height: Uint16Array;
  /** Seconds; 0 where the format has no length. */
  readonly durationSeconds: Uint16Array;
  /** One of GOAL. */
  readonly goal: Uint8Array;
  /** What the advertiser pays in micros of the account currency: per mille (cpm), per click (cpc), per action (cpa). */
  readonly bidMicros: Float64Array;
}

/** The texts of one ad, read only for a winner. */
export interface AdTexts {
  readonly advertiserId: string;
  readonly campaignId: string;
  readonly lineItemId: string;
  readonly creativeId: string;
  readonly advertiserDomains: readonly string[];
  readonly categories: readonly string[];
  /** OpenRTB creative attributes. */
  readonly attributes: readonly number[];
  /** The app bundle or store id where the ad promotes one. */
  readonly bundle: string;
  /** The ad markup as it goes into `adm`. */
  readonly markup: string;
}

/** One immutable catalog: everything a request reads comes from the snapshot it started with. */
export interface CatalogSnapshot {
  /** Grows by one with every successful load in this process. */
  readonly generation: number;
  readonly ads: AdColumns;
  /** Number of line items, creatives, campaigns and advertisers, for logs and metrics. */
  readonly counts: { readonly advertisers: number; readonly campaigns: number; lineItems: number; creatives: number };
  /**
   * Writes the ads that may enter `imp` to `out[offset …]`, best static rank first, at most `limit`.
   * @param hour hour of the week, 0…167, in the user's local time
   * @returns how many were written
   */
  find(
    request: AuctionRequest,
    imp: Imp,
    hour: number,
    nowMs: number,
    out: Int32Array,
    offset: number,
    limit: number,
  ): number;
  texts(ad: number): AdTexts;
}
