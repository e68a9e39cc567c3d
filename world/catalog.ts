import type { CatalogRecord } from '../src/catalog/index.js';
import type { FormatName, GoalName } from '../src/contract/index.js';
import { markup } from './markup.js';
import { BANNER_SIZE_WEIGHTS, BANNER_SIZES, CATEGORIES, SUBCATEGORIES_MAX } from './nouns.js';
import { Random, STREAM } from './random.js';
import { targeting } from './targeting.js';

type AdvertiserRecord = Extract<CatalogRecord, { kind: 'advertiser' }>;
type CampaignRecord = Extract<CatalogRecord, { kind: 'campaign' }>;
type CreativeRecord = Extract<CatalogRecord, { kind: 'creative' }>;
type LineItemRecord = Extract<CatalogRecord, { kind: 'line_item' }>;

export interface CatalogOptions {
  readonly seed: number;
  /** How many; there is one campaign and four creatives to four of them, one advertiser to twenty. */
  readonly lineItems: number;
}

const LINE_ITEMS_PER_CAMPAIGN = 4;
const CREATIVES_PER_CAMPAIGN = 4;
const LINE_ITEMS_PER_ADVERTISER = 20;

const FORMATS: readonly FormatName[] = ['banner', 'video', 'native', 'audio'];
const FORMAT_WEIGHTS = [70, 15, 10, 5];
/** What an impression is worth to its advertiser, relative to a banner's. */
const FORMAT_WORTH = { banner: 1, video: 2.5, native: 1.2, audio: 1.6 };
/** What a media planner believes; the truth is in truth.ts, and differs from ad to ad. */
const EXPECTED_CTR = { banner: 0.02, video: 0.035, native: 0.025, audio: 0.01 };
const EXPECTED_CVR = 0.07;
const ECPM_MEDIAN_USD = 1.2;
const ECPM_SPREAD = 0.55;
const ECPM_MIN_USD = 0.2;
const ECPM_MAX_USD = 15;
const GOALS: readonly GoalName[] = ['cpm', 'cpc', 'cpa'];
const GOAL_WEIGHTS = [40, 40, 20];
const VIDEO_SECONDS = [6, 10, 15, 20, 30];
const BRANDS = [
  'Northwind',
  'Contoso',
  'Aldera',
  'Bluepeak',
  'Kestrel',
  'Lumen',
  'Marlow',
  'Orchard',
  'Quill',
  'Vireo',
];

/**
 * A catalog of any size, one record at a time: advertisers, campaigns, creatives, line items. The n-th record of a kind
 * depends on the seed, n and, for what it belongs to, on the number of line items; nothing is held in memory.
 */
export function* generateCatalog(options: CatalogOptions): Generator<CatalogRecord> {
  const { lineItems } = options;
  const counts = catalogCounts(lineItems);
  for (let i = 0; i < counts.advertisers; i++) yield advertiser(options.seed, i);
  for (let i = 0; i < counts.campaigns; i++) yield campaignRecord(campaign(options.seed, i, counts.advertisers));
  for (let i = 0; i < counts.campaigns; i++) {
    yield* creatives(options.seed, campaign(options.seed, i, counts.advertisers));
  }
  for (let i = 0; i < lineItems; i++) {
    const owner = campaign(options.seed, Math.floor(i / LINE_ITEMS_PER_CAMPAIGN), counts.advertisers);
    yield lineItem(options.seed, i, owner);
  }
}

/** How many records of each kind a catalog of that many line items has. */
export function catalogCounts(lineItems: number): { advertisers: number; campaigns: number; creatives: number } {
  const campaigns = Math.ceil(lineItems / LINE_ITEMS_PER_CAMPAIGN);
  return {
    advertisers: Math.ceil(lineItems / LINE_ITEMS_PER_ADVERTISER),
    campaigns,
    creatives: campaigns * CREATIVES_PER_CAMPAIGN,
  };
}

function advertiser(seed: number, index: number): AdvertiserRecord {
  const random = new Random(seed, STREAM.advertiser, index);
  const brand = `${random.pick(BRANDS)} ${index}`;
  const tier = random.pick(CATEGORIES);
  return {
    kind: 'advertiser',
    id: `adv-${index}`,
    name: brand,
    domain: `${brand.toLowerCase().replace(' ', '')}.example`,
    categories: random.chance(0.3) ? [tier, `${tier}-${1 + random.below(SUBCATEGORIES_MAX)}`] : [tier],
  };
}

/** A campaign buys one format; its four creatives differ in size or length. */
interface Campaign {
  readonly index: number;
  readonly advertiser: AdvertiserRecord;
  readonly format: FormatName;
  readonly creatives: readonly Shape[];
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly durationSeconds: number;
}

function campaign(seed: number, index: number, advertisers: number): Campaign {
  const random = new Random(seed, STREAM.campaign, index);
  const owner = random.popular(advertisers);
  const format = FORMATS[random.weighted(FORMAT_WEIGHTS)];
  const shapes = Array.from({ length: CREATIVES_PER_CAMPAIGN }, () => shape(format, random));
  return { index, advertiser: advertiser(seed, owner), format, creatives: shapes };
}

function shape(format: FormatName, random: Random): Shape {
  if (format === 'banner') {
    const { width, height } = BANNER_SIZES[random.weighted(BANNER_SIZE_WEIGHTS)];
    return { width, height, durationSeconds: 0 };
  }
  if (format === 'native') return { width: 0, height: 0, durationSeconds: 0 };
  const durationSeconds = random.pick(VIDEO_SECONDS);
  return format === 'audio' ? { width: 0, height: 0, durationSeconds } : { width: 1280, height: 720, durationSeconds };
}

function campaignRecord({ index, advertiser }: Campaign): CampaignRecord {
  const record = {
    kind: 'campaign',
    id: `cmp-${index}`,
    advertiser_id: advertiser.id,
    name: `${advertiser.name} #${index}`,
  } as const;
  // One in ten has flight dates; they hold whenever the demo may be started.
  return index % 10 === 3 ? { ...record, start: '2025-01-01T00:00:00Z', end: '2099-12-31T23:59:59Z' } : record;
}

function* creatives(seed: number, { index, advertiser, format, creatives }: Campaign): Generator<CreativeRecord> {
  for (let k = 0; k < CREATIVES_PER_CAMPAIGN; k++) {
    const random = new Random(seed, STREAM.creative, index * CREATIVES_PER_CAMPAIGN + k);
    const { width, height, durationSeconds } = creatives[k];
    const id = creativeId(index, k);
    const any = {
      kind: 'creative' as const,
      id,
      advertiser_id: advertiser.id,
      ...(random.chance(0.2) ? { categories: [random.pick(CATEGORIES)] } : {}),
      markup: markup(format, { id, brand: advertiser.name, domain: advertiser.domain, width, height, durationSeconds }),
    };
    switch (format) {
      case 'banner':
        yield { ...any, format, width, height };
        break;
      case 'video':
        yield { ...any, format, width, height, duration_seconds: durationSeconds, mime: 'video/mp4' };
        break;
      case 'audio':
        yield { ...any, format, duration_seconds: durationSeconds, mime: 'audio/mpeg' };
        break;
      case 'native':
        yield { ...any, format };
    }
  }
}

function creativeId(campaignIndex: number, k: number): string {
  return `cr-${campaignIndex}-${k}`;
}

function lineItem(seed: number, index: number, { index: campaignIndex, format, creatives }: Campaign): LineItemRecord {
  const random = new Random(seed, STREAM.lineItem, index);
  const goal = GOALS[random.weighted(GOAL_WEIGHTS)];
  const worth = FORMAT_WORTH[format] * ECPM_MEDIAN_USD * Math.exp(ECPM_SPREAD * random.normal());
  const ecpmUsd = Math.min(ECPM_MAX_USD, Math.max(ECPM_MIN_USD, worth));
  const expectedCtr = round(EXPECTED_CTR[format] * Math.exp(0.2 * random.normal()), 5);
  const expectedCvr = round(EXPECTED_CVR * Math.exp(0.2 * random.normal()), 4);
  const perMille = goal === 'cpm' ? 1 : 1000 * expectedCtr * (goal === 'cpa' ? expectedCvr : 1);
  const slots = random
    .sample(
      creatives.map((_, k) => k),
      1 + random.below(3),
    )
    .sort();
  const targets = targeting(random, format);
  return {
    kind: 'line_item',
    id: `li-${index}`,
    campaign_id: `cmp-${campaignIndex}`,
    name: `${format} ${goal} ${index}`,
    ...(random.chance(0.02) ? { status: 'paused' as const } : {}),
    goal,
    bid_micros: Math.max(1, Math.round((ecpmUsd * 1e6) / perMille)),
    creative_ids: slots.map((k) => creativeId(campaignIndex, k)),
    expected_ctr: expectedCtr,
    expected_cvr: expectedCvr,
    ...(Object.keys(targets).length > 0 ? { targeting: targets } : {}),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
