import fc from 'fast-check';
import type { CatalogRecord } from '../../src/catalog/index.js';
import { AuctionRequest, packSize } from '../../src/contract/index.js';

/** The time that random catalogs are loaded at; flights begin and end around it. */
export const LOADED_MS = Date.UTC(2026, 2, 2);

// Few values each, so that targeting and requests meet; and for every dimension one that no request or no rule has.
const COUNTRIES = ['USA', 'CAN', 'GBR', 'DEU', 'FRA', 'ITA', 'ESP', 'JPN', 'BRA', 'IND', 'MEX'];
const REGIONS = ['CA', 'NY', 'TX'];
const OSES = ['ios', 'android', 'windows'];
const PLACES = ['news.example', 'play.example', 'com.game', 'shop.example'];
const CATEGORIES = ['IAB1', 'IAB1-2', 'IAB1-2-3', 'IAB2', 'IAB12', 'IAB2-1'];
const SEGMENTS = ['s1', 's2', 's3', 's4', 'ß-🎯'];
const LANGUAGES = ['en', 'de', 'fr'];
const SIZES = [
  [300, 250],
  [728, 90],
  [320, 50],
] as const;
const MIMES = ['video/mp4', 'video/webm', 'audio/mpeg'];

const DATES = Array.from({ length: 7 }, (_, i) => new Date(LOADED_MS + (i * 3 - 9) * 86_400_000).toISOString());

function rule<T extends string | number>(values: readonly T[]) {
  const list = fc.subarray([...values], { minLength: 1 });
  return fc.option(
    fc.oneof(
      list,
      fc.record({ include: list }),
      fc.record({ exclude: list }),
      fc.record({ include: list, exclude: list }),
    ),
    { nil: undefined, freq: 2 },
  );
}

const targeting = fc.record({
  country: rule(COUNTRIES),
  region: rule(REGIONS),
  device_type: rule([1, 2, 4]),
  os: rule(['iOS', 'android', 'windows']),
  inventory: rule(['News.example', 'play.example', 'com.game', 'shop.example']),
  category: rule(CATEGORIES),
  segment: rule(SEGMENTS),
  language: rule(LANGUAGES),
  daypart: fc.option(
    fc.array(
      fc
        .record({
          days: fc.option(fc.subarray(['mon', 'wed', 'sun'] as const, { minLength: 1 }), { nil: undefined }),
          from: fc.constantFrom(0, 6, 12),
          length: fc.integer({ min: 1, max: 12 }),
        })
        .map(({ days, from, length }) => ({
          ...(days === undefined ? {} : { days: [...days] }),
          from,
          to: from + length,
        })),
      { minLength: 1, maxLength: 3 },
    ),
    { nil: undefined, freq: 2 },
  ),
});

/** Most line items have one or two rules: with nine, nothing would ever match. */
const someTargeting = fc
  .tuple(
    targeting,
    fc.subarray(['country', 'region', 'device_type', 'os', 'inventory'] as const, { maxLength: 2 }),
    fc.subarray(['category', 'segment', 'language', 'daypart'] as const, { maxLength: 1 }),
  )
  .map(([all, a, b]) => clean(Object.fromEntries([...a, ...b].map((key) => [key, all[key]]))));

const flight = fc.option(
  fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 6 })).map(([from, days]) => ({
    start: DATES[from],
    end: DATES[Math.min(6, from + days)],
  })),
  { nil: {}, freq: 2 },
);
const status = fc.constantFrom(undefined, undefined, undefined, undefined, 'active' as const, 'paused' as const);

const creativeShape = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(...SIZES).map(([width, height]) => ({ format: 'banner' as const, width, height })),
  },
  // Sizes that hardly repeat end up in the class of rare shapes.
  {
    weight: 6,
    arbitrary: fc.integer({ min: 1, max: 200 }).map((width) => ({ format: 'banner' as const, width, height: 7 })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        duration_seconds: fc.constantFrom(6, 15, 30),
        mime: fc.constantFrom(undefined, 'video/mp4', 'Video/WebM'),
      })
      .map((v) => ({ format: 'video' as const, ...v })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(15, 30)
      .map((s) => ({ format: 'audio' as const, duration_seconds: s, mime: 'audio/mpeg' })),
  },
  { weight: 1, arbitrary: fc.constant({ format: 'native' as const }) },
);

const lineItem = fc.record({
  campaign: fc.nat(3),
  creatives: fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 3, selector: (n) => n % 1000 }),
  status,
  flight,
  goal: fc.constantFrom('cpm' as const, 'cpc' as const, 'cpa' as const),
  // Few bids, so that ranks tie.
  bid_micros: fc.constantFrom(1_000_000, 1_500_000, 2_000_000, 999),
  expected_ctr: fc.constantFrom(undefined, 0.001, 0.02),
  targeting: fc.option(someTargeting, { nil: undefined, freq: 5 }),
});

/** A valid catalog of up to a few hundred ads. */
export const catalogArbitrary: fc.Arbitrary<CatalogRecord[]> = fc
  .record({
    shapes: fc.array(creativeShape, { minLength: 1, maxLength: 250, size: 'max' }),
    campaigns: fc.array(fc.record({ status, flight }), { minLength: 4, maxLength: 4 }),
    lineItems: fc.array(lineItem, { maxLength: 250, size: 'max' }),
  })
  .map(({ shapes, campaigns, lineItems }) => [
    ...lineItems.map(({ campaign, creatives, flight, ...rest }, i) =>
      clean({
        kind: 'line_item',
        id: `li${i}`,
        campaign_id: `c${campaign}`,
        creative_ids: [...new Set(creatives.map((n) => `cr${n % shapes.length}`))],
        ...flight,
        ...rest,
      }),
    ),
    ...shapes.map((shape, i) =>
      clean({ kind: 'creative', id: `cr${i}`, advertiser_id: 'a', markup: `<i>${i % 5}</i>`, ...shape }),
    ),
    ...campaigns.map(({ status, flight }, i) =>
      clean({ kind: 'campaign', id: `c${i}`, advertiser_id: 'a', status, ...flight }),
    ),
    { kind: 'advertiser' as const, id: 'a', name: 'A', domain: 'a.example' },
  ]) as fc.Arbitrary<CatalogRecord[]>;

export interface Ask {
  readonly request: AuctionRequest;
  readonly hour: number;
  readonly nowMs: number;
  readonly limit: number;
}

export const askArbitrary: fc.Arbitrary<Ask> = fc
  .record({
    formatMask: fc.integer({ min: 1, max: 15 }).map((bits) => bits << 1),
    sizes: fc.array(
      fc.oneof(
        fc.constantFrom(...SIZES).map(([w, h]) => packSize(w, h)),
        fc.integer({ min: 1, max: 200 }).map((w) => packSize(w, 7)),
      ),
      { maxLength: 4 },
    ),
    durationMin: fc.constantFrom(0, 6, 10),
    durationMax: fc.constantFrom(0, 15, 30),
    mimes: fc.subarray([...MIMES, 'VIDEO/WEBM']),
    country: fc.constantFrom('', 'USA', 'CAN', 'GBR', 'IND', 'ZWE'),
    region: fc.constantFrom('', ...REGIONS, 'XX'),
    deviceType: fc.constantFrom(0, 1, 2, 4, 9, 1000),
    os: fc.constantFrom('', ...OSES, 'other'),
    inventory: fc.constantFrom('', ...PLACES, 'elsewhere.example'),
    categories: fc.subarray([...CATEGORIES, 'IAB1-9', 'IAB99', '-', '']),
    segments: fc.subarray([...SEGMENTS, 'unknown']),
    language: fc.constantFrom('', ...LANGUAGES, 'xx'),
    hour: fc.integer({ min: 0, max: 167 }),
    nowMs: fc.integer({ min: -12, max: 12 }).map((days) => LOADED_MS + days * 86_400_000),
    limit: fc.constantFrom(1, 3, 64, 1000),
  })
  .map(({ hour, nowMs, limit, formatMask, sizes, durationMin, durationMax, mimes, ...rest }) => {
    const request = new AuctionRequest();
    const { categories, segments, ...plain } = rest;
    Object.assign(request, plain);
    request.categories.push(...categories);
    request.segments.push(...segments);
    request.impCount = 1;
    const imp = request.impAt(0);
    imp.formatMask = formatMask;
    imp.bannerSizes.push(...sizes);
    imp.durationSecondsMin = durationMin;
    imp.durationSecondsMax = durationMax;
    imp.videoMimes.push(...mimes);
    imp.audioMimes.push(...mimes);
    return { request, hour, nowMs, limit };
  });

function clean<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}
