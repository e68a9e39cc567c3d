import type { Targeting } from '../src/catalog/index.js';
import { type FormatName, INVENTORY } from '../src/contract/index.js';
import { CATEGORIES, COUNTRIES, COUNTRY_WEIGHTS, DEVICE, SEGMENTS } from './nouns.js';
import { PLACE_COUNTS, place } from './places.js';
import type { Random } from './random.js';

type Daypart = NonNullable<Targeting['daypart']>;
type Rule<T> = T[] | { include?: T[]; exclude?: T[] };

const WEEKDAYS: Daypart[number]['days'] = ['mon', 'tue', 'wed', 'thu', 'fri'];
const LANGUAGES = [...new Set(COUNTRIES.map((c) => c.language))];
/** Places that line items name: the market of seed 1's, so that catalogs of any seed meet the demo's traffic. */
const PLACES_SEED = 1;

/** Draws a rule for each dimension with the probability beside it; the dimensions are independent. */
export function targeting(random: Random, format: FormatName): Targeting {
  const rules: Targeting = {};
  if (random.chance(0.45)) geo(random, rules);
  if (random.chance(0.3)) rules.device_type = devices(random, format);
  if (random.chance(0.12))
    rules.os = random.chance(0.5) ? ['android', 'ios'] : random.pick([['ios'], ['android'], ['windows', 'macos']]);
  if (random.chance(0.1)) rules.inventory = inventory(random);
  if (random.chance(0.2)) rules.category = categories(random);
  if (random.chance(0.15)) rules.segment = segments(random);
  if (random.chance(0.12)) rules.language = random.chance(0.6) ? ['en'] : random.sample(LANGUAGES, 3);
  if (random.chance(0.1)) rules.daypart = daypart(random);
  return rules;
}

function geo(random: Random, rules: Targeting): void {
  if (random.chance(0.12)) {
    const country = COUNTRIES[random.weighted(COUNTRY_WEIGHTS)];
    rules.country = [country.code];
    rules.region = random.sample(country.regions, 2 + random.below(3));
    return;
  }
  if (random.chance(0.2)) {
    rules.country = { exclude: random.sample(COUNTRIES, 3).map((c) => c.code) };
    return;
  }
  const codes = new Set<string>();
  for (let i = 1 + random.below(4); i > 0; i--) codes.add(COUNTRIES[random.weighted(COUNTRY_WEIGHTS)].code);
  rules.country = [...codes];
}

function devices(random: Random, format: FormatName): number[] {
  const mobile: number[] = [DEVICE.phone, DEVICE.tablet];
  if (format === 'video') return random.pick([mobile, [DEVICE.tv, DEVICE.pc], [DEVICE.pc, ...mobile]]);
  return random.pick([mobile, mobile, [DEVICE.pc], [DEVICE.pc, ...mobile]]);
}

function inventory(random: Random): Rule<string> {
  const keys = new Set<string>();
  const blocks = random.chance(0.6);
  for (let i = blocks ? 5 : 60; i > 0; i--) {
    const kind = random.chance(0.55) ? INVENTORY.site : INVENTORY.app;
    keys.add(place(PLACES_SEED, kind, random.popular(PLACE_COUNTS[kind])).key);
  }
  return blocks ? { exclude: [...keys] } : [...keys];
}

function categories(random: Random): Rule<string> {
  if (random.chance(0.3)) return { exclude: random.sample(CATEGORIES, 2) };
  return random.sample(CATEGORIES, 4 + random.below(5));
}

function segments(random: Random): Rule<string> {
  if (random.chance(0.3)) return { exclude: random.sample(SEGMENTS, 6) };
  return random.sample(SEGMENTS, 10 + random.below(20));
}

function daypart(random: Random): Daypart {
  const from = 5 + random.below(6);
  const hours = { from, to: Math.min(24, from + 8 + random.below(8)) };
  return [random.chance(0.5) ? { days: WEEKDAYS, ...hours } : hours];
}
