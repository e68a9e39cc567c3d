import { INVENTORY } from '../src/contract/index.js';
import { CATEGORIES, SUBCATEGORIES_MAX } from './nouns.js';
import { Random, STREAM } from './random.js';

/** Where impressions happen: a site, an app or a screen in the street. */
export interface Place {
  /** One of INVENTORY. */
  readonly kind: number;
  /** Domain or bundle: what `site.domain` or `app.bundle` carries. */
  readonly key: string;
  readonly name: string;
  readonly publisherId: string;
  readonly publisherName: string;
  /** Tier-one category, its sub-category, sometimes another tier. */
  readonly categories: readonly string[];
  /** Log of the quality its publisher asks money for; moves floors. */
  readonly quality: number;
  /** OpenRTB position that most of its imps have. */
  readonly position: number;
}

export const PLACE_COUNTS = { [INVENTORY.site]: 1600, [INVENTORY.app]: 1000, [INVENTORY.dooh]: 60 };
const PUBLISHERS = 450;

const FIRST = ['north', 'blue', 'daily', 'open', 'prime', 'metro', 'quick', 'green', 'silver', 'home', 'next', 'true'];
const SECOND = ['news', 'kitchen', 'sport', 'motor', 'travel', 'games', 'health', 'music', 'money', 'garden', 'tech'];
const POSITIONS = [0, 1, 3, 4, 5, 6, 7];
const POSITION_WEIGHTS = [30, 32, 14, 8, 6, 6, 4];

const known = new Map<string, Place>();

/** The n-th place of its kind in the market of `seed`. */
export function place(seed: number, kind: number, index: number): Place {
  const key = `${seed}/${kind}/${index}`;
  let found = known.get(key);
  if (found === undefined) {
    found = makePlace(seed, kind, index);
    known.set(key, found);
  }
  return found;
}

function makePlace(seed: number, kind: number, index: number): Place {
  const random = new Random(seed, STREAM.place, index, kind);
  const name = `${random.pick(FIRST)}${random.pick(SECOND)}`;
  const tier = random.pick(CATEGORIES);
  const categories = [tier, `${tier}-${1 + random.below(SUBCATEGORIES_MAX)}`];
  if (random.chance(0.3)) categories.push(random.pick(CATEGORIES));
  const publisher = random.popular(PUBLISHERS);
  return {
    kind,
    key: keyOf(kind, name, index),
    name,
    publisherId: `pub-${publisher}`,
    publisherName: `${FIRST[publisher % FIRST.length]} media ${publisher}`,
    categories,
    quality: 0.35 * random.normal(),
    position: POSITIONS[random.weighted(POSITION_WEIGHTS)],
  };
}

function keyOf(kind: number, name: string, index: number): string {
  if (kind === INVENTORY.app) return `com.${name}.app${index}`;
  return kind === INVENTORY.dooh ? `${name}${index}.screens.example` : `${name}${index}.example`;
}
