import { INVENTORY } from '../src/contract/index.js';
import { imp } from './imps.js';
import { COUNTRIES, COUNTRY_WEIGHTS, DEVICE } from './nouns.js';
import { PEOPLE, type Person, person } from './people.js';
import { PLACE_COUNTS, type Place, place } from './places.js';
import { Random, STREAM } from './random.js';

export interface RequestOptions {
  /** Of the market: its places and people. */
  readonly seed: number;
  /** Any integer; another day has other requests of the same market. Day 0 is Monday 2026-01-05. */
  readonly day: number;
  readonly count: number;
}

export interface WorldRequest {
  /** When it is sent, UTC; requests come in this order. */
  readonly epochMs: number;
  /** The OpenRTB 2.6 JSON. */
  readonly body: string;
}

export const DAY_ZERO_MS = Date.UTC(2026, 0, 5);
const DAY_MS = 86_400_000;
const EXCHANGES = ['agora', 'bazaar', 'forum'];
/** Traffic by hour of the day, UTC. */
const HOURLY = [7, 6, 5, 4, 3, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 9, 9, 9, 9, 10, 10, 10, 9, 8];

/** One day of bid requests, in order of time. The n-th is made without the n − 1 before it. */
export function* generateRequests({ seed, day, count }: RequestOptions): Generator<WorldRequest> {
  const random = new Random(seed, STREAM.request, 0, day);
  const personal = new Random(seed, STREAM.user, 0);
  for (let i = 0; i < count; i++) {
    random.reseed(seed, STREAM.request, i, day);
    const epochMs = DAY_ZERO_MS + day * DAY_MS + Math.floor(timeOfDay((i + random.uniform()) / count) * DAY_MS);
    yield { epochMs, body: JSON.stringify(bidRequest(seed, day, i, random, personal)) };
  }
}

/** The time by which that share of the day's traffic has passed; both in [0, 1). */
function timeOfDay(share: number): number {
  let left = share * HOURLY.reduce((sum, weight) => sum + weight, 0);
  let hour = 0;
  while (hour < 23 && left >= HOURLY[hour]) left -= HOURLY[hour++];
  return (hour + Math.min(left / HOURLY[hour], 0.999999)) / 24;
}

function bidRequest(seed: number, day: number, index: number, random: Random, personal: Random): object {
  const id = `${(day >>> 0).toString(16)}-${index.toString(16)}-${(random.word() >>> 0).toString(16).padStart(8, '0')}`;
  if (random.chance(0.03)) return streetRequest(seed, id, random);
  const u = random.uniform();
  // Density ∝ x^(−2/3): a few people send many requests, most send few.
  const who = person(seed, Math.floor(PEOPLE * u * u * u), personal);
  const kind = placeKind(who, random);
  const where = place(seed, kind, random.popular(PLACE_COUNTS[kind as keyof typeof PLACE_COUNTS]));
  return {
    id,
    imp: imps(where, who.device.type, who.country.value, random),
    [kind === INVENTORY.site ? 'site' : 'app']: inventory(where, random),
    device: device(who, kind, random),
    user: user(who, random),
    ...auctionTerms(id, random),
  };
}

function placeKind(who: Person, random: Random): number {
  switch (who.device.type) {
    case DEVICE.pc:
      return INVENTORY.site;
    case DEVICE.tv:
      return INVENTORY.app;
    default:
      return random.chance(0.45) ? INVENTORY.site : INVENTORY.app;
  }
}

/** A screen in the street: no user, and more than one person looks. */
function streetRequest(seed: number, id: string, random: Random): object {
  const where = place(seed, INVENTORY.dooh, random.popular(PLACE_COUNTS[INVENTORY.dooh]));
  const country = COUNTRIES[random.weighted(COUNTRY_WEIGHTS)];
  const region = random.pick(country.regions);
  return {
    id,
    imp: imps(where, DEVICE.dooh, country.value, random).map((one) => ({
      ...one,
      qty: { multiplier: 1 + random.below(12) },
    })),
    dooh: { id: where.key, name: where.name, domain: where.key, publisher: publisher(where), venuetype: ['transit'] },
    device: {
      devicetype: DEVICE.dooh,
      os: 'Linux',
      geo: { country: country.code, region, utcoffset: country.utcOffsetMinutes, type: 1 },
    },
    ...auctionTerms(id, random),
  };
}

function imps(where: Place, deviceType: number, countryValue: number, random: Random): object[] {
  const many = where.kind !== INVENTORY.dooh && deviceType !== DEVICE.tv && random.chance(0.08);
  const count = many ? 2 + random.below(2) : 1;
  return Array.from({ length: count }, (_, i) => imp(i + 1, where, deviceType, countryValue, random));
}

function publisher(where: Place): object {
  return { id: where.publisherId, name: where.publisherName };
}

function inventory(where: Place, random: Random): object {
  const { key, name, categories } = where;
  if (where.kind === INVENTORY.app) {
    const storeurl = `https://store.example/${key}`;
    return { id: key, name, bundle: key, storeurl, ver: '4.1.0', cat: categories, publisher: publisher(where) };
  }
  const page = `https://${key}/${categories[0].toLowerCase()}/${random.below(5000)}.html`;
  return { id: key, name, domain: key, page, cat: categories, publisher: publisher(where) };
}

function device(who: Person, kind: number, random: Random): object {
  const { device, country, region, language } = who;
  return {
    ua: device.agent,
    ip: `203.0.113.${random.below(256)}`,
    geo: { country: country.code, region, type: 2, utcoffset: country.utcOffsetMinutes },
    devicetype: device.type,
    make: device.make,
    ...(device.model === '' ? {} : { model: device.model }),
    os: device.os,
    osv: device.osVersion,
    language: language === 'en' && random.chance(0.2) ? 'en-US' : language,
    connectiontype: device.type === DEVICE.pc || device.type === DEVICE.tv ? 1 : random.pick([2, 2, 5, 6, 7]),
    ...(kind === INVENTORY.app ? { ifa: `${who.id}-ifa`, lmt: 0 } : {}),
    js: 1,
  };
}

function user(who: Person, random: Random): object {
  const segments = random.chance(0.9) ? who.segments : [];
  if (segments.length === 0) return { id: who.id };
  return { id: who.id, data: [{ id: 'dmp', name: 'audiences', segment: segments.map((id) => ({ id })) }] };
}

function auctionTerms(id: string, random: Random): object {
  return {
    at: random.chance(0.7) ? 1 : 2,
    tmax: 80 + 10 * random.below(23),
    cur: ['USD'],
    source: { tid: `${id}-t`, pchain: random.pick(EXCHANGES) },
    ...(random.chance(0.3) ? { bcat: ['IAB25', 'IAB26'] } : {}),
    ...(random.chance(0.5) ? { regs: { coppa: 0 } } : {}),
  };
}
