/**
 * world/: the seeded ad market. Advertisers and catalogs of any size, days of OpenRTB requests, and the truth behind
 * them: who clicks, who converts, what the competition bids.
 *
 * Takes: a seed, a day, a size. Gives: records, requests, probabilities, prices, and files of them.
 * Owns: the files it writes, nothing else. Never: is imported by src/, looks at the clock, draws unseeded chance.
 * Fails: only where the file system does.
 */
export { catalogCounts, generateCatalog } from './catalog.js';
export {
  DEMO_DAY,
  DEMO_LINE_ITEMS,
  DEMO_SEED,
  ensureDemo,
  writeCatalog,
} from './demo.js';
export { Random, STREAM } from './random.js';
export { DAY_ZERO_MS, generateRequests } from './requests.js';
export { type AdFacts, adFacts, ImpTruth, MARKET_SIGMA, Market } from './truth.js';
