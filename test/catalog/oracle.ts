import { combine32, hashString } from '../../src/base/index.js';
import type { Campaign, CatalogRecord, Creative, LineItem } from '../../src/catalog/index.js';
import {
  type AuctionRequest,
  BANNER_SIZES_MAX,
  CATEGORIES_MAX,
  type Imp,
  packSize,
  SEGMENTS_MAX,
} from '../../src/contract/index.js';

type Rule = readonly (string | number)[] | { include?: (string | number)[]; exclude?: (string | number)[] } | undefined;

/** One ad as a plain object. */
interface Pair {
  readonly lineItem: LineItem;
  readonly campaign: Campaign;
  readonly creative: Creative;
  readonly ecpm: number;
  readonly tie: number;
}

/** What the index must answer, told from the records themselves: every ad is looked at, one rule after the other. */
export class Oracle {
  readonly pairs: Pair[] = [];

  constructor(records: readonly CatalogRecord[]) {
    const campaigns = new Map(records.filter((r) => r.kind === 'campaign').map((r) => [r.id, r]));
    const creatives = new Map(records.filter((r) => r.kind === 'creative').map((r) => [r.id, r]));
    for (const lineItem of records.filter((r) => r.kind === 'line_item')) {
      const campaign = campaigns.get(lineItem.campaign_id) as Campaign;
      for (const id of lineItem.creative_ids) {
        const creative = creatives.get(id) as Creative;
        const tie = combine32(hashString(lineItem.id), hashString(id));
        this.pairs.push({ lineItem, campaign, creative, ecpm: ecpm(lineItem), tie });
      }
    }
    this.pairs.sort((a, b) => b.ecpm - a.ecpm || a.tie - b.tie);
  }

  /** @returns `line item/creative` of each match, best static rank first */
  find(request: AuctionRequest, imp: Imp, hour: number, nowMs: number, limit: number): string[] {
    return this.pairs
      .filter((pair) => runs(pair, nowMs) && fits(pair.creative, imp) && targets(pair.lineItem, request, hour))
      .slice(0, limit)
      .map((pair) => `${pair.lineItem.id}/${pair.creative.id}`);
  }
}

function ecpm(item: LineItem): number {
  const ctr = item.expected_ctr ?? 0.01;
  const cvr = item.expected_cvr ?? 0.05;
  return { cpm: item.bid_micros, cpc: item.bid_micros * 1000 * ctr, cpa: item.bid_micros * 1000 * ctr * cvr }[
    item.goal
  ];
}

function runs({ lineItem, campaign }: Pair, nowMs: number): boolean {
  return [lineItem, campaign].every(
    ({ status, start, end }) =>
      status !== 'paused' &&
      (start === undefined || Date.parse(start) <= nowMs) &&
      (end === undefined || nowMs < Date.parse(end)),
  );
}

function fits(creative: Creative, imp: Imp): boolean {
  if (creative.format === 'native') return (imp.formatMask & (1 << 4)) !== 0;
  if (creative.format === 'banner') {
    const sizes = imp.bannerSizes.slice(0, BANNER_SIZES_MAX);
    if ((imp.formatMask & (1 << 1)) === 0) return false;
    return sizes.length === 0 || sizes.includes(packSize(creative.width, creative.height));
  }
  if ((imp.formatMask & (1 << (creative.format === 'video' ? 2 : 3))) === 0) return false;
  const seconds = creative.duration_seconds;
  if (seconds < imp.durationSecondsMin) return false;
  if (imp.durationSecondsMax > 0 && seconds > imp.durationSecondsMax) return false;
  const mimes = creative.format === 'video' ? imp.videoMimes : imp.audioMimes;
  if (mimes.length === 0 || creative.mime === undefined) return true;
  return mimes.some((mime) => mime.toLowerCase() === creative.mime?.toLowerCase());
}

function targets({ targeting }: LineItem, request: AuctionRequest, hour: number): boolean {
  if (targeting === undefined) return true;
  const one = (rule: Rule, value: string | number) => accepts(rule, [value], (a, b) => a === b);
  const folded = (rule: Rule, value: string) => accepts(rule, [value], (a, b) => String(a).toLowerCase() === b);
  return (
    one(targeting.country, request.country) &&
    one(targeting.region, request.region) &&
    one(targeting.device_type, request.deviceType) &&
    one(targeting.language, request.language) &&
    folded(targeting.os, request.os) &&
    folded(targeting.inventory, request.inventory) &&
    accepts(
      targeting.category,
      request.categories.slice(0, CATEGORIES_MAX),
      (named, asked) => asked === named || String(asked).startsWith(`${named}-`),
    ) &&
    accepts(targeting.segment, request.segments.slice(0, SEGMENTS_MAX), (a, b) => a === b) &&
    inDaypart(targeting.daypart, hour)
  );
}

function accepts(
  rule: Rule,
  values: readonly (string | number)[],
  means: (named: string | number, asked: string | number) => boolean,
): boolean {
  if (rule === undefined) return true;
  const { include, exclude = [] } = Array.isArray(rule)
    ? { include: rule }
    : (rule as Exclude<Rule, readonly unknown[]>)!;
  const hits = (list: readonly (string | number)[]) =>
    list.some((named) => values.some((value) => means(named, value)));
  return (include === undefined || hits(include)) && !hits(exclude);
}

function inDaypart(parts: NonNullable<LineItem['targeting']>['daypart'], hour: number): boolean {
  if (parts === undefined) return true;
  const day = (['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const)[Math.floor(hour / 24)];
  return parts.some((p) => (p.days?.includes(day) ?? true) && p.from <= hour % 24 && hour % 24 < p.to);
}
