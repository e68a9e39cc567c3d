import { hashString } from '../src/base/index.js';
import {
  type AuctionRequest,
  type CatalogSnapshot,
  FORMAT,
  hourOfWeek,
  type Imp,
  INVENTORY,
  packSize,
} from '../src/contract/index.js';
import { countryOf, DEVICE, SIZE_EFFECT, tierOf, tierOfSegment } from './nouns.js';
import { deviate, STREAM } from './random.js';

/** What the truth needs to know of an ad. */
export interface AdFacts {
  readonly advertiserId: string;
  readonly campaignId: string;
  readonly creativeId: string;
  /** The creative's first category, else the advertiser's; '' = none. */
  readonly category: string;
  /** One of FORMAT. */
  readonly format: number;
  readonly width: number;
  readonly height: number;
}

/** The facts of an ad of a loaded catalog. */
export function adFacts(snapshot: CatalogSnapshot, ad: number): AdFacts {
  const { advertiserId, campaignId, creativeId, categories } = snapshot.texts(ad);
  const { format, width, height } = snapshot.ads;
  return {
    advertiserId,
    campaignId,
    creativeId,
    category: categories[0] ?? '',
    format: format[ad],
    width: width[ad],
    height: height[ad],
  };
}

/** Spread of the log of the highest competing bid around `marketLogMean`. */
export const MARKET_SIGMA = 0.55;

// The market's laws. Each number is an effect on a logit (or on the log of a price): a table, or the standard deviation
// of deviates that hang on a hash of the thing, so that the effect of anything is known without a list of everything.
const CLICK_BASE = { [FORMAT.banner]: -4.3, [FORMAT.video]: -3.75, [FORMAT.audio]: -5.0, [FORMAT.native]: -4.05 };
const CLICK = {
  place: 0.35,
  publisher: 0.2,
  country: 0.15,
  os: 0.1,
  advertiser: 0.3,
  adCategory: 0.15,
  creative: 0.12,
  /** The part nobody can see: the person's own. */
  person: 0.2,
  sameCategory: 0.5,
  otherCategory: 0.2,
  deviceCategory: 0.12,
  sameInterest: 0.35,
  otherInterest: 0.06,
  interstitial: 0.2,
};
const CLICK_DEVICE: Readonly<Record<number, number>> = {
  [DEVICE.phone]: 0.1,
  [DEVICE.tablet]: 0.2,
  [DEVICE.pc]: -0.15,
  [DEVICE.tv]: -0.5,
  [DEVICE.dooh]: -1.2,
};
const CLICK_POSITION: Readonly<Record<number, number>> = { 1: 0.2, 3: -0.3, 4: 0.05, 5: -0.1, 6: -0.15, 7: 0.3 };

const CONVERSION_BASE = -2.9;
const CONVERSION = {
  place: 0.15,
  country: 0.15,
  advertiser: 0.4,
  adCategory: 0.3,
  campaign: 0.15,
  person: 0.2,
  sameInterest: 0.3,
};
const CONVERSION_DEVICE: Readonly<Record<number, number>> = {
  [DEVICE.pc]: 0.3,
  [DEVICE.tablet]: 0.1,
  [DEVICE.phone]: -0.1,
};

/** Log USD for a thousand impressions by the most that is asked for. */
const PRICE_BASE = { video: 1.6, audio: 0.9, native: 0.4, banner: 0 };
const PRICE = { place: 0.3, publisher: 0.2, position: 0.35, perSegment: 0.06, weekend: -0.1, app: -0.15, tv: 0.5 };

/** At most this many segments of a request matter to a person's mood. */
const SEGMENTS_FELT_MAX = 6;
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const EVENING = HOURS.map((hour) => 0.15 * Math.cos((2 * Math.PI * (hour - 21)) / 24));
const OFFICE = HOURS.map((hour) => 0.12 * Math.cos((2 * Math.PI * (hour - 13)) / 24));

/**
 * The market of one seed: it knows the true probability of every click and conversion, and the price of every imp.
 * A pure function of the seed and the texts in a request; nothing is drawn but by the caller's random.
 */
export class Market {
  constructor(readonly seed: number) {}

  /** What is true of one imp at that time; holds no reference to the pooled objects. */
  impTruth(request: AuctionRequest, imp: Imp, epochMs: number): ImpTruth {
    return new ImpTruth(this.seed, request, imp, hourOfWeek(epochMs, request.utcOffsetMinutes));
  }
}

export class ImpTruth {
  /** The log of the highest competing bid, USD per thousand, is normal around this, with MARKET_SIGMA. */
  readonly marketLogMean: number;
  private readonly clickLogit: number;
  private readonly conversionLogit: number;
  private readonly tiers: readonly number[];
  private readonly segments: readonly string[];
  private readonly deviceType: number;
  private readonly videoWidth: number;

  constructor(
    private readonly seed: number,
    request: AuctionRequest,
    imp: Imp,
    weekHour: number,
  ) {
    this.deviceType = request.deviceType;
    this.videoWidth = imp.videoWidth;
    this.segments = request.segments.slice(0, SEGMENTS_FELT_MAX);
    this.tiers = [...new Set(request.categories.map(tierOf))].filter((tier) => tier >= 0);
    this.clickLogit = clickLogit(seed, request, imp, weekHour % 24);
    this.conversionLogit = conversionLogit(seed, request, weekHour % 24);
    this.marketLogMean = marketLogMean(seed, request, imp, weekHour);
  }

  /** P(click | the ad is shown here). */
  clickProbability(ad: AdFacts): number {
    const { seed } = this;
    let logit = this.clickLogit + (CLICK_BASE[ad.format as keyof typeof CLICK_BASE] ?? CLICK_BASE[FORMAT.banner]);
    logit += effect(seed, 'click/advertiser', ad.advertiserId, CLICK.advertiser);
    logit += effect(seed, 'click/creative', ad.creativeId, CLICK.creative);
    logit += effect(seed, 'click/ad category', ad.category, CLICK.adCategory);
    logit += effect(seed, 'click/device', `${this.deviceType} ${ad.category}`, CLICK.deviceCategory);
    if (ad.format === FORMAT.banner) logit += SIZE_EFFECT.get(packSize(ad.width, ad.height)) ?? 0;
    if (ad.format === FORMAT.video && this.videoWidth >= 1280) logit += 0.15;
    return logistic(logit + this.affinity(ad.category) + this.interest(ad.category));
  }

  /** P(conversion | the ad was clicked here). */
  conversionProbability(ad: AdFacts): number {
    const { seed } = this;
    let logit = this.conversionLogit;
    logit += effect(seed, 'conversion/advertiser', ad.advertiserId, CONVERSION.advertiser);
    logit += effect(seed, 'conversion/ad category', ad.category, CONVERSION.adCategory);
    logit += effect(seed, 'conversion/campaign', ad.campaignId, CONVERSION.campaign);
    const tier = tierOf(ad.category);
    if (this.segments.some((segment) => tierOfSegment(segment) === tier)) logit += CONVERSION.sameInterest;
    return logistic(logit);
  }

  /**
   * Draws the highest competing bid, USD per thousand.
   * @param normal a standard normal draw
   */
  marketPrice(normal: number): number {
    return Math.exp(this.marketLogMean + MARKET_SIGMA * normal);
  }

  /** How well the ad's category fits the page: its first category counts most. */
  private affinity(adCategory: string): number {
    const adTier = tierOf(adCategory);
    if (adTier < 0) return 0;
    let sum = 0;
    for (let i = 0; i < this.tiers.length; i++) {
      const weight = i === 0 ? 1 : 0.3;
      const tier = this.tiers[i];
      sum += weight * (tier === adTier ? CLICK.sameCategory : CLICK.otherCategory * pair(this.seed, tier, adTier));
    }
    return sum;
  }

  /** How well the ad's category fits the person's segments. */
  private interest(adCategory: string): number {
    const adTier = tierOf(adCategory);
    let sum = 0;
    for (const segment of this.segments) {
      sum +=
        tierOfSegment(segment) === adTier
          ? CLICK.sameInterest
          : effect(this.seed, 'click/segment', `${segment} ${adTier}`, CLICK.otherInterest);
    }
    return sum;
  }
}

function clickLogit(seed: number, request: AuctionRequest, imp: Imp, hour: number): number {
  const { deviceType } = request;
  let logit = effect(seed, 'click/place', request.inventory, CLICK.place);
  logit += effect(seed, 'click/publisher', request.publisherId, CLICK.publisher);
  logit += effect(seed, 'click/country', request.country, CLICK.country);
  logit += effect(seed, 'click/os', request.os, CLICK.os);
  logit += effect(seed, 'click/person', request.userId, CLICK.person);
  logit += (CLICK_DEVICE[deviceType] ?? 0) + (CLICK_POSITION[imp.position] ?? 0);
  logit += deviceType === DEVICE.pc ? OFFICE[hour] : EVENING[hour];
  return imp.interstitial ? logit + CLICK.interstitial : logit;
}

function conversionLogit(seed: number, request: AuctionRequest, hour: number): number {
  let logit = CONVERSION_BASE + (CONVERSION_DEVICE[request.deviceType] ?? 0) + EVENING[hour];
  logit += effect(seed, 'conversion/place', request.inventory, CONVERSION.place);
  logit += effect(seed, 'conversion/country', request.country, CONVERSION.country);
  return logit + effect(seed, 'conversion/person', request.userId, CONVERSION.person);
}

function marketLogMean(seed: number, request: AuctionRequest, imp: Imp, weekHour: number): number {
  let mean = EVENING[weekHour % 24] + (countryOf(request.country)?.value ?? -0.5);
  if ((imp.formatMask & (1 << FORMAT.video)) !== 0) mean += PRICE_BASE.video;
  else if ((imp.formatMask & (1 << FORMAT.audio)) !== 0) mean += PRICE_BASE.audio;
  else if ((imp.formatMask & (1 << FORMAT.banner)) === 0) mean += PRICE_BASE.native;
  mean += effect(seed, 'price/place', request.inventory, PRICE.place);
  mean += effect(seed, 'price/publisher', request.publisherId, PRICE.publisher);
  mean += PRICE.position * (CLICK_POSITION[imp.position] ?? 0);
  mean += PRICE.perSegment * Math.min(request.segments.length, SEGMENTS_FELT_MAX);
  if (weekHour >= 120) mean += PRICE.weekend;
  if (request.inventoryKind === INVENTORY.app) mean += PRICE.app;
  if (request.deviceType === DEVICE.tv) mean += PRICE.tv;
  return mean;
}

/** The fixed effect of a named thing: mean 0 over things, the given standard deviation; 0 where it is not named. */
function effect(seed: number, kind: string, thing: string, spread: number): number {
  return thing === '' ? 0 : spread * deviate(kindSeed(seed, kind), hashString(thing));
}

function pair(seed: number, tier: number, adTier: number): number {
  return deviate(kindSeed(seed, 'click/category'), tier * 64 + adTier + 1);
}

const kindCodes = new Map<string, number>();

function kindSeed(seed: number, kind: string): number {
  let code = kindCodes.get(kind);
  if (code === undefined) {
    code = hashString(kind);
    kindCodes.set(kind, code);
  }
  return code ^ Math.imul(seed + STREAM.effect, 0x9e3779b1);
}

function logistic(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
