import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { snapshotOfRecords } from '../src/catalog/index.js';
import { AuctionRequest, CANDIDATES_PER_IMP_MAX, type CatalogSnapshot, hourOfWeek } from '../src/contract/index.js';
import { AD_SOURCES, adSourceValues, REQUEST_SOURCES, requestSourceValues } from '../src/features/index.js';
import { decodeJson } from '../src/openrtb/index.js';
import { generateCatalog } from './catalog.js';
import { WORLD_VERSION } from './demo.js';
import { LineFile } from './line-file.js';
import { Random, STREAM } from './random.js';
import { DAY_ZERO_MS, generateRequests } from './requests.js';
import { type AdFacts, adFacts, type ImpTruth, Market } from './truth.js';

export interface DatasetOptions {
  readonly dir: string;
  readonly seed: number;
  readonly lineItems: number;
  /** Days 0 … days − 1 of the market. */
  readonly days: number;
  readonly requestsPerDay: number;
  /** At most this many of an imp's candidates are shown; each is an impression. */
  readonly impressionsPerImp: number;
}

/** Further candidates of each imp that are only looked at for a click, see `moreClicks`. */
const CLICK_TRIES_PER_IMP = 12;
/** Above the click probabilities of the market (0.61 was the largest of ten million); what `moreClicks` divides by. */
const CLICK_PROBABILITY_MAX = 0.8;

/**
 * Writes training data: what a bidder would have logged that shows its own candidates at random, and beside it the
 * truth, for the model cards only.
 *
 * The feature sources come from the server's own decoder, and the ads from its own retrieval: training cannot differ
 * from serving in either. Transforms are left to `native-models/train/encoder.py`.
 *
 *     dataset.json          what the files hold
 *     ads.jsonl             an array of AD_SOURCES values a line; line n is ad n
 *     requests-DAY.jsonl    a line per imp: REQUEST_SOURCES values, then market price and its true log mean
 *     impressions-DAY.bin   24 bytes a row, see `ImpressionFile`
 *     clicks-DAY.bin        the same, clicked rows only: for the conversion model
 */
export function writeDataset(options: DatasetOptions): object {
  const { dir, seed, lineItems, days } = options;
  mkdirSync(dir, { recursive: true });
  const snapshot = snapshotOfRecords(generateCatalog({ seed, lineItems }), DAY_ZERO_MS);
  const ads = writeAds(join(dir, 'ads.jsonl'), snapshot);
  const totals = { requests: 0, imps: 0, impressions: 0, clicks: 0, extraClicks: 0, conversions: 0 };
  const perDay = [];
  for (let day = 0; day < days; day++) {
    const figures = writeDay(options, day, snapshot, ads);
    perDay.push({ day, ...figures });
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += figures[key];
  }
  const description = {
    version: WORLD_VERSION,
    seed,
    lineItems,
    ads: ads.length,
    request_sources: [...REQUEST_SOURCES.map((s) => s.name), 'market.price', 'market.log_mean'],
    ad_sources: AD_SOURCES.map((s) => s.name),
    days: perDay,
  };
  writeFileSync(join(dir, 'dataset.json'), `${JSON.stringify(description, null, 1)}\n`);
  return { dir, ads: ads.length, days, ...totals };
}

function writeAds(path: string, snapshot: CatalogSnapshot): AdFacts[] {
  const file = new LineFile(path);
  const facts: AdFacts[] = [];
  for (let ad = 0; ad < snapshot.ads.count; ad++) {
    file.write(JSON.stringify(Object.values(adSourceValues(snapshot.ads, snapshot.texts(ad), ad))));
    facts.push(adFacts(snapshot, ad));
  }
  file.close();
  return facts;
}

function writeDay(options: DatasetOptions, day: number, snapshot: CatalogSnapshot, ads: readonly AdFacts[]) {
  const { dir, seed, requestsPerDay, impressionsPerImp } = options;
  const figures = { requests: 0, imps: 0, impressions: 0, clicks: 0, extraClicks: 0, conversions: 0 };
  const market = new Market(seed);
  const request = new AuctionRequest();
  const random = new Random(seed, STREAM.impression, 0, day);
  const candidates = new Int32Array(CANDIDATES_PER_IMP_MAX);
  const rows = new LineFile(join(dir, `requests-${day}.jsonl`));
  const impressions = new ImpressionFile(join(dir, `impressions-${day}.bin`));
  const clicks = new ImpressionFile(join(dir, `clicks-${day}.bin`));
  for (const { epochMs, body } of generateRequests({ seed, day, count: requestsPerDay })) {
    if (!decodeJson(Buffer.from(body), request)) throw new Error(`The world made a malformed request: ${body}`);
    random.reseed(seed, STREAM.impression, figures.requests++, day);
    const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
    for (let i = 0; i < request.impCount; i++) {
      const imp = request.imps[i];
      const truth = market.impTruth(request, imp, epochMs);
      const price = truth.marketPrice(random.normal());
      const values = Object.values(requestSourceValues(request, imp, hour));
      rows.write(JSON.stringify([...values, price, truth.marketLogMean]));
      const found = snapshot.find(request, imp, hour, epochMs, candidates, 0, CANDIDATES_PER_IMP_MAX);
      shuffle(candidates, found, random);
      const shown = Math.min(found, impressionsPerImp);
      for (let k = 0; k < shown; k++) {
        const ad = candidates[k];
        const clicked = show(impressions, figures.imps, ad, ads[ad], truth, random);
        figures.impressions++;
        if (clicked) figures.clicks++;
      }
      figures.extraClicks += moreClicks(clicks, figures.imps, candidates, shown, found, ads, truth, random);
      figures.imps++;
    }
  }
  rows.close();
  impressions.close();
  clicks.close();
  figures.conversions = impressions.conversions + clicks.conversions;
  return figures;
}

function shuffle(values: Int32Array, count: number, random: Random): void {
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const value = values[i];
    values[i] = values[j];
    values[j] = value;
  }
}

function show(file: ImpressionFile, row: number, ad: number, facts: AdFacts, truth: ImpTruth, random: Random): boolean {
  const clickProbability = truth.clickProbability(facts);
  const conversionProbability = truth.conversionProbability(facts);
  const clicked = random.chance(clickProbability);
  file.write(
    row,
    ad,
    clickProbability,
    conversionProbability,
    clicked,
    clicked && random.chance(conversionProbability),
  );
  return clicked;
}

/**
 * Clicks are rare and conversions rarer. Accepting a candidate with probability p / CLICK_PROBABILITY_MAX gives rows
 * distributed as clicks are, several times as many as showing the same candidates would.
 */
function moreClicks(
  file: ImpressionFile,
  row: number,
  candidates: Int32Array,
  from: number,
  to: number,
  ads: readonly AdFacts[],
  truth: ImpTruth,
  random: Random,
): number {
  const end = Math.min(to, from + CLICK_TRIES_PER_IMP);
  let clicks = 0;
  for (let k = from; k < end; k++) {
    const ad = candidates[k];
    const clickProbability = truth.clickProbability(ads[ad]);
    if (!random.chance(clickProbability / CLICK_PROBABILITY_MAX)) continue;
    const conversionProbability = truth.conversionProbability(ads[ad]);
    file.write(row, ad, clickProbability, conversionProbability, true, random.chance(conversionProbability));
    clicks++;
  }
  return clicks;
}

const ROW_BYTES = 24;
const BUFFER_ROWS = 4096;

/**
 * Impressions as little-endian rows of six 4-byte numbers: request row and ad (int32), true click and conversion
 * probability (float32), clicked and converted (int32, 0 or 1).
 */
class ImpressionFile {
  private readonly fd: number;
  private readonly buffer = Buffer.alloc(ROW_BYTES * BUFFER_ROWS);
  private used = 0;
  conversions = 0;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
  }

  write(row: number, ad: number, click: number, conversion: number, clicked: boolean, converted: boolean): void {
    const { buffer, used } = this;
    buffer.writeInt32LE(row, used);
    buffer.writeInt32LE(ad, used + 4);
    buffer.writeFloatLE(click, used + 8);
    buffer.writeFloatLE(conversion, used + 12);
    buffer.writeInt32LE(clicked ? 1 : 0, used + 16);
    buffer.writeInt32LE(converted ? 1 : 0, used + 20);
    if (converted) this.conversions++;
    this.used += ROW_BYTES;
    if (this.used === buffer.length) this.flush();
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }

  private flush(): void {
    let offset = 0;
    while (offset < this.used) offset += writeSync(this.fd, this.buffer, offset, this.used - offset);
    this.used = 0;
  }
}
