import { LRUCache } from 'lru-cache';
import type { AdTextSource, AuctionRequest, BidOffer } from '../contract/index.js';
import type { BidIdSource } from './bid-id.js';

export interface BidResponseEncoderOptions {
  /** Our seat at the exchange. */
  readonly seat: string;
  /** Gives each response its id. */
  readonly ids: BidIdSource;
  /** Ads whose constant part is kept rendered. */
  readonly adsCachedMax?: number;
  /** Bound on all the rendered parts together, in characters. */
  readonly cacheCharsMax?: number;
}

/** A demo catalog's 20 k ads fit; at 2 kB of markup each they would take 40 MB, so the characters are bounded too. */
const ADS_CACHED_MAX = 32_768;
const CACHE_CHARS_MAX = 64 * 1024 * 1024;

/**
 * Writes bid responses. All that is constant for an ad (ids, domains, categories, markup) is rendered and escaped once
 * and kept; per bid there remain an id, the imp, the price and the size.
 *
 * Ad numbers change their meaning with the snapshot's generation. The cache holds the newest generation it has seen; a
 * request still in flight on an older snapshot is rendered past the cache.
 */
export class BidResponseEncoder {
  private readonly seat: string;
  private readonly ids: BidIdSource;
  private readonly fragments: LRUCache<number, string>;
  private generation = Number.NEGATIVE_INFINITY;

  constructor(options: BidResponseEncoderOptions) {
    this.seat = JSON.stringify(options.seat);
    this.ids = options.ids;
    this.fragments = new LRUCache({
      max: options.adsCachedMax ?? ADS_CACHED_MAX,
      maxSize: options.cacheCharsMax ?? CACHE_CHARS_MAX,
      sizeCalculation: (fragment) => fragment.length,
    });
  }

  /**
   * @param offers the first `offerCount` are encoded; at least one. Their prices are whole micros > 0
   * @param currency ISO-4217; every price is in it
   * @returns the body. A new id becomes `bidid` (what `${AUCTION_BID_ID}` means) and, with a number behind it, each
   * `bid.id`; macros are left for the exchange to replace
   */
  encode(
    request: AuctionRequest,
    offers: readonly BidOffer[],
    offerCount: number,
    source: AdTextSource,
    currency: string,
  ): string {
    const id = JSON.stringify(this.ids.next());
    const idOpen = id.slice(0, -1);
    let body = `{"id":${JSON.stringify(request.id)},"bidid":${id},"cur":${JSON.stringify(currency)},"seatbid":[{"seat":${this.seat},"bid":[`;
    for (let i = 0; i < offerCount; i++) {
      const offer = offers[i];
      if (i > 0) body += ',';
      body += `{"id":${idOpen}-${i + 1}","impid":${JSON.stringify(request.imps[offer.impIndex].id)},"price":`;
      body += formatMicros(offer.priceMicros) + this.fragment(source, offer.ad);
      if (offer.width > 0 && offer.height > 0) body += `,"w":${offer.width},"h":${offer.height}`;
      if (offer.durationSeconds > 0) body += `,"dur":${offer.durationSeconds}`;
      body += `,"mtype":${offer.format}}`;
    }
    return `${body}]}]}`;
  }

  private fragment(source: AdTextSource, ad: number): string {
    const generation = source.generation;
    if (generation < this.generation) return renderAd(source, ad);
    if (generation > this.generation) {
      this.fragments.clear();
      this.generation = generation;
    }
    let fragment = this.fragments.get(ad);
    if (fragment === undefined) {
      fragment = renderAd(source, ad);
      this.fragments.set(ad, fragment);
    }
    return fragment;
  }
}

/**
 * The shortest exact decimal. The double nearest to n/10⁶ prints as that decimal as long as it has at most 15 digits,
 * so this is exact up to 10⁹ currency units.
 */
function formatMicros(micros: number): string {
  return String(micros / 1_000_000);
}

/** `,"adid":…` up to the markup. `adid` is the line item: what is billed; `crid` the creative. */
function renderAd(source: AdTextSource, ad: number): string {
  const texts = source.texts(ad);
  let fragment = `,"adid":${JSON.stringify(texts.lineItemId)},"cid":${JSON.stringify(texts.campaignId)}`;
  fragment += `,"crid":${JSON.stringify(texts.creativeId)}`;
  if (texts.advertiserDomains.length > 0) fragment += `,"adomain":${JSON.stringify(texts.advertiserDomains)}`;
  if (texts.categories.length > 0) fragment += `,"cat":${JSON.stringify(texts.categories)}`;
  if (texts.attributes.length > 0) fragment += `,"attr":${JSON.stringify(texts.attributes)}`;
  if (texts.bundle !== '') fragment += `,"bundle":${JSON.stringify(texts.bundle)}`;
  return `${fragment},"adm":${JSON.stringify(texts.markup)}`;
}
