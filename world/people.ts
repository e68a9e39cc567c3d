import { CATEGORIES, COUNTRIES, COUNTRY_WEIGHTS, type Country, DEVICE, SEGMENT_KINDS, SEGMENTS } from './nouns.js';
import { type Random, STREAM } from './random.js';

/** A person with one device: what the exchange knows about them. */
export interface Person {
  readonly id: string;
  readonly country: Country;
  readonly region: string;
  readonly language: string;
  readonly device: Device;
  readonly segments: readonly string[];
}

interface Device {
  /** OpenRTB device type. */
  readonly type: number;
  readonly os: string;
  readonly osVersion: string;
  readonly make: string;
  readonly model: string;
  readonly agent: string;
  readonly weight: number;
}

export const PEOPLE = 400_000;

const ANDROID_AGENT = 'Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile';
const IOS_AGENT = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148';
const PC_AGENT = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0';
const MAC_AGENT = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1';
const TV_AGENT = 'Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36';

const DEVICES: readonly Device[] = [
  device(DEVICE.phone, 'Android', '14', 'Samsung', 'SM-S921B', ANDROID_AGENT, 24),
  device(DEVICE.phone, 'Android', '13', 'Xiaomi', 'Redmi 12', ANDROID_AGENT, 12),
  device(DEVICE.phone, 'Android', '14', 'Google', 'Pixel 8', ANDROID_AGENT, 5),
  device(DEVICE.phone, 'iOS', '17.5', 'Apple', 'iPhone15,2', IOS_AGENT, 22),
  device(DEVICE.pc, 'Windows', '10', 'PC', '', PC_AGENT, 19),
  device(DEVICE.pc, 'macOS', '10.15.7', 'Apple', 'Macintosh', MAC_AGENT, 8),
  device(DEVICE.tablet, 'iOS', '17.4', 'Apple', 'iPad13,18', IOS_AGENT, 4),
  device(DEVICE.tablet, 'Android', '13', 'Samsung', 'SM-X200', ANDROID_AGENT, 2),
  device(DEVICE.tv, 'Tizen', '7.0', 'Samsung', 'QN90', TV_AGENT, 4),
];
const DEVICE_WEIGHTS = DEVICES.map((d) => d.weight);

function device(
  type: number,
  os: string,
  osVersion: string,
  make: string,
  model: string,
  agent: string,
  weight: number,
): Device {
  return { type, os, osVersion, make, model, agent, weight };
}

/** The n-th person of the market of `seed`. */
export function person(seed: number, index: number, random: Random): Person {
  random.reseed(seed, STREAM.user, index);
  const country = COUNTRIES[random.weighted(COUNTRY_WEIGHTS)];
  const region = random.pick(country.regions);
  const language = random.chance(0.9) ? country.language : 'en';
  const device = DEVICES[random.weighted(DEVICE_WEIGHTS)];
  return { id: `u${index.toString(36)}`, country, region, language, device, segments: interests(random) };
}

/** Two people in five are strangers; the others have one main interest and stray ones. */
function interests(random: Random): string[] {
  if (random.chance(0.4)) return [];
  const count = 1 + random.below(6);
  const main = random.below(CATEGORIES.length);
  const segments: string[] = [];
  for (let i = 0; i < count; i++) {
    const segment = random.chance(0.5) ? `${main + 1}-${random.pick(SEGMENT_KINDS)}` : random.pick(SEGMENTS);
    if (!segments.includes(segment)) segments.push(segment);
  }
  return segments;
}
