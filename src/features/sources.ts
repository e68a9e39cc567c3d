import { type AdColumns, type AdTexts, type AuctionRequest, type Imp, packSize } from '../contract/index.js';

/**
 * The values a feature program may name. One table a scope: the hot path reads them by position, data sets and
 * documentation by name. Adding a source here makes it available to `features.json`, to training data and to the docs.
 */
export type SourceKind = 'string' | 'strings' | 'integer' | 'number';
export type SourceValue = string | readonly string[] | number;

interface RequestSource {
  readonly name: string;
  readonly kind: SourceKind;
  readonly read: (request: AuctionRequest, imp: Imp, hourOfWeek: number) => SourceValue;
}

interface AdSource {
  readonly name: string;
  readonly kind: 'string' | 'integer' | 'number';
  /** The columns hold strings as their base hash, numbers as they are. */
  readonly read: (ads: AdColumns, ad: number) => number;
  /** The text behind a string source, for data sets; undefined where `read` is the value. */
  readonly text?: (texts: AdTexts) => string;
}

const MICROS = 1e-6;
const NO_SIZE = 0;

function impSize(imp: Imp): number {
  if (imp.bannerSizes.length > 0) return imp.bannerSizes[0];
  return imp.videoWidth > 0 ? packSize(imp.videoWidth, imp.videoHeight) : NO_SIZE;
}

export const REQUEST_SOURCES: readonly RequestSource[] = [
  { name: 'inventory', kind: 'string', read: (r) => r.inventory },
  { name: 'inventory.kind', kind: 'integer', read: (r) => r.inventoryKind },
  { name: 'publisher', kind: 'string', read: (r) => r.publisherId },
  { name: 'category', kind: 'strings', read: (r) => r.categories },
  { name: 'device.type', kind: 'integer', read: (r) => r.deviceType },
  { name: 'device.os', kind: 'string', read: (r) => r.os },
  { name: 'device.make', kind: 'string', read: (r) => r.make },
  { name: 'device.connection_type', kind: 'integer', read: (r) => r.connectionType },
  { name: 'geo.country', kind: 'string', read: (r) => r.country },
  { name: 'geo.region', kind: 'string', read: (r) => r.region },
  { name: 'language', kind: 'string', read: (r) => r.language },
  { name: 'user', kind: 'string', read: (r) => r.userId },
  { name: 'segment', kind: 'strings', read: (r) => r.segments },
  { name: 'imp.format', kind: 'integer', read: (_r, imp) => imp.formatMask },
  { name: 'imp.width', kind: 'integer', read: (_r, imp) => impSize(imp) >>> 16 },
  { name: 'imp.height', kind: 'integer', read: (_r, imp) => impSize(imp) & 0xffff },
  { name: 'imp.size', kind: 'integer', read: (_r, imp) => impSize(imp) },
  { name: 'imp.position', kind: 'integer', read: (_r, imp) => imp.position },
  { name: 'imp.interstitial', kind: 'integer', read: (_r, imp) => (imp.interstitial ? 1 : 0) },
  { name: 'imp.floor', kind: 'number', read: (_r, imp) => imp.floorMicros * MICROS },
  { name: 'auction.type', kind: 'integer', read: (r) => r.auctionType },
  { name: 'time.hour_of_day', kind: 'integer', read: (_r, _imp, hour) => hour % 24 },
  { name: 'time.day_of_week', kind: 'integer', read: (_r, _imp, hour) => Math.floor(hour / 24) },
];

export const AD_SOURCES: readonly AdSource[] = [
  { name: 'ad.advertiser', kind: 'string', read: (a, i) => a.advertiserCode[i], text: (t) => t.advertiserId },
  { name: 'ad.campaign', kind: 'string', read: (a, i) => a.campaignCode[i], text: (t) => t.campaignId },
  { name: 'ad.line_item', kind: 'string', read: (a, i) => a.lineItemCode[i], text: (t) => t.lineItemId },
  { name: 'ad.creative', kind: 'string', read: (a, i) => a.creativeCode[i], text: (t) => t.creativeId },
  { name: 'ad.category', kind: 'string', read: (a, i) => a.categoryCode[i], text: (t) => t.categories[0] ?? '' },
  { name: 'ad.domain', kind: 'string', read: (a, i) => a.domainCode[i], text: (t) => t.advertiserDomains[0] ?? '' },
  { name: 'ad.format', kind: 'integer', read: (a, i) => a.format[i] },
  { name: 'ad.width', kind: 'integer', read: (a, i) => a.width[i] },
  { name: 'ad.height', kind: 'integer', read: (a, i) => a.height[i] },
  { name: 'ad.size', kind: 'integer', read: (a, i) => packSize(a.width[i], a.height[i]) },
  { name: 'ad.duration', kind: 'integer', read: (a, i) => a.durationSeconds[i] },
  { name: 'ad.goal', kind: 'integer', read: (a, i) => a.goal[i] },
  { name: 'ad.bid', kind: 'number', read: (a, i) => a.bidMicros[i] * MICROS },
];

/** Every request-scope source of one imp by name: what training data and traces hold. */
export function requestSourceValues(
  request: AuctionRequest,
  imp: Imp,
  hourOfWeek: number,
): Record<string, SourceValue> {
  return Object.fromEntries(
    REQUEST_SOURCES.map(({ name, kind, read }) => {
      const value = read(request, imp, hourOfWeek);
      return [name, kind === 'strings' ? [...(value as readonly string[])] : value];
    }),
  );
}

/** Every candidate-scope source of one ad by name, strings as texts. */
export function adSourceValues(ads: AdColumns, texts: AdTexts, ad: number): Record<string, SourceValue> {
  return Object.fromEntries(AD_SOURCES.map((s) => [s.name, s.text ? s.text(texts) : s.read(ads, ad)]));
}
