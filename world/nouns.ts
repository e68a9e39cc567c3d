import { packSize } from '../src/contract/index.js';

/**
 * The things of the market that have names: countries, devices, categories, segments, sizes. Weights are shares of
 * traffic, not normalised; they are plausible, not measured.
 */
export interface Country {
  readonly code: string;
  readonly language: string;
  readonly utcOffsetMinutes: number;
  readonly weight: number;
  /** Added to the log of the market price. */
  readonly value: number;
  readonly regions: readonly string[];
}

function country(
  code: string,
  language: string,
  utcOffsetMinutes: number,
  weight: number,
  value: number,
  regions: string,
): Country {
  return { code, language, utcOffsetMinutes, weight, value, regions: regions.split(' ') };
}

export const COUNTRIES: readonly Country[] = [
  country('USA', 'en', -300, 38, 0.45, 'CA TX FL NY IL PA OH GA NC MI NJ VA WA AZ MA CO'),
  country('GBR', 'en', 0, 9, 0.3, 'ENG SCT WLS NIR'),
  country('DEU', 'de', 60, 8, 0.3, 'BY BW NW BE HE HH NI SN'),
  country('FRA', 'fr', 60, 6, 0.1, 'IDF ARA PAC NAQ OCC HDF'),
  country('CAN', 'en', -300, 5, 0.3, 'ON QC BC AB MB'),
  country('JPN', 'ja', 540, 5, 0.2, '13 14 27 23 11 40'),
  country('AUS', 'en', 600, 4, 0.25, 'NSW VIC QLD WA SA'),
  country('BRA', 'pt', -180, 5, -0.5, 'SP RJ MG RS PR BA'),
  country('IND', 'en', 330, 6, -0.9, 'MH DL KA TN UP WB'),
  country('ESP', 'es', 60, 4, -0.05, 'MD CT AN VC GA'),
  country('ITA', 'it', 60, 4, 0, '25 62 82 21 52'),
  country('NLD', 'nl', 60, 3, 0.2, 'NH ZH NB UT GE'),
  country('MEX', 'es', -360, 3, -0.45, 'CMX JAL NLE MEX PUE'),
];
export const COUNTRY_WEIGHTS = COUNTRIES.map((c) => c.weight);
const BY_CODE = new Map(COUNTRIES.map((c) => [c.code, c]));

export function countryOf(code: string): Country | undefined {
  return BY_CODE.get(code);
}

/** IAB content taxonomy 1, the tier-one categories that carry ordinary advertising. */
export const CATEGORIES: readonly string[] = Array.from({ length: 24 }, (_, i) => `IAB${i + 1}`);
export const SUBCATEGORIES_MAX = 4;

/** `IAB2-3` → 1, the place of its tier in CATEGORIES; −1 where it is not one. */
export function tierOf(category: string): number {
  if (!category.startsWith('IAB')) return -1;
  const tier = Number.parseInt(category.slice(3), 10);
  return tier >= 1 && tier <= CATEGORIES.length ? tier - 1 : -1;
}

/** Audience segments: four kinds of interest in every category. `2-intent` is interest in IAB2. */
export const SEGMENT_KINDS = ['intent', 'reader', 'owner', 'lapsed'] as const;
export const SEGMENTS: readonly string[] = CATEGORIES.flatMap((_, i) =>
  SEGMENT_KINDS.map((kind) => `${i + 1}-${kind}`),
);

/** The place in CATEGORIES of the category that a segment is interested in; −1 where it is not one of SEGMENTS. */
export function tierOfSegment(segment: string): number {
  const tier = Number.parseInt(segment, 10);
  return tier >= 1 && tier <= CATEGORIES.length ? tier - 1 : -1;
}

/** OpenRTB device types. */
export const DEVICE = { pc: 2, tv: 3, phone: 4, tablet: 5, dooh: 8 } as const;

export interface Size {
  readonly width: number;
  readonly height: number;
  readonly weight: number;
}

/** Banner sizes, with their share among creatives. */
export const BANNER_SIZES: readonly Size[] = [
  { width: 300, height: 250, weight: 34 },
  { width: 320, height: 50, weight: 20 },
  { width: 728, height: 90, weight: 13 },
  { width: 300, height: 600, weight: 8 },
  { width: 160, height: 600, weight: 7 },
  { width: 320, height: 480, weight: 7 },
  { width: 970, height: 250, weight: 6 },
  { width: 336, height: 280, weight: 5 },
];
export const BANNER_SIZE_WEIGHTS = BANNER_SIZES.map((s) => s.weight);

/** Effect of a banner's size on the logit of a click. */
export const SIZE_EFFECT: ReadonlyMap<number, number> = new Map(
  [0.1, -0.25, -0.1, 0.3, -0.15, 0.35, 0.25, 0].map((effect, i) => [
    packSize(BANNER_SIZES[i].width, BANNER_SIZES[i].height),
    effect,
  ]),
);
