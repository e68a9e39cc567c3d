import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogRecord } from '../src/catalog/index.js';
import { generateCatalog } from './catalog.js';
import { LineFile } from './line-file.js';
import { generateRequests } from './requests.js';

/** Grows whenever the same seed gives another market: what was written by another version is made anew. */
export const WORLD_VERSION = 1;
/** The market that the shipped models were trained on: its effects are what they know. */
export const DEMO_SEED = 1;
export const DEMO_LINE_ITEMS = 10_000;
/** The day of the sample requests; training used the days from 0 on, so this one is new to the models. */
export const DEMO_DAY = 100;
const DEMO_REQUESTS = 2_000;
const SHARD_RECORDS_MAX = 100_000;
const MARKER = 'world.json';

export interface DemoOptions {
  readonly seed?: number;
  readonly lineItems?: number;
  readonly requests?: number;
  readonly day?: number;
}

export interface Demo {
  /** The directory to load as a catalog. */
  readonly catalogDir: string;
  /** One OpenRTB bid request a line. */
  readonly requestsFile: string;
  /** False where a demo of the same version and options was there already. */
  readonly generated: boolean;
}

/**
 * Makes sure that `dir` holds the demo catalog and sample requests: writes them only where they are missing or were
 * made by another version or with other options. What was in `dir` before is then removed.
 */
export function ensureDemo(dir: string, options: DemoOptions = {}): Demo {
  const wanted = {
    version: WORLD_VERSION,
    seed: options.seed ?? DEMO_SEED,
    lineItems: options.lineItems ?? DEMO_LINE_ITEMS,
    requests: options.requests ?? DEMO_REQUESTS,
    day: options.day ?? DEMO_DAY,
  };
  const demo = { catalogDir: join(dir, 'catalog'), requestsFile: join(dir, 'requests.jsonl') };
  const marker = `${JSON.stringify(wanted)}\n`;
  if (existsSync(join(dir, MARKER)) && readFileSync(join(dir, MARKER), 'utf8') === marker) {
    return { ...demo, generated: false };
  }
  // Built aside and renamed, so that an interrupted run leaves nothing that looks finished.
  const aside = `${dir}.${process.pid}.partial`;
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true });
  writeCatalog(join(aside, 'catalog'), wanted.seed, wanted.lineItems);
  writeRequests(join(aside, 'requests.jsonl'), wanted.seed, wanted.day, wanted.requests);
  writeFileSync(join(aside, MARKER), marker);
  rmSync(dir, { recursive: true, force: true });
  renameSync(aside, dir);
  return { ...demo, generated: true };
}

const FILE_NAMES: Readonly<Record<CatalogRecord['kind'], string>> = {
  advertiser: '1-advertisers',
  campaign: '2-campaigns',
  creative: '3-creatives',
  line_item: '4-line-items',
};

/** Writes a catalog directory: JSONL files, one kind each, at most SHARD_RECORDS_MAX records a file. */
export function writeCatalog(dir: string, seed: number, lineItems: number): void {
  mkdirSync(dir, { recursive: true });
  let file: LineFile | undefined;
  let kind = '';
  let shard = 0;
  for (const record of generateCatalog({ seed, lineItems })) {
    if (file === undefined || record.kind !== kind || file.lines >= SHARD_RECORDS_MAX) {
      file?.close();
      shard = record.kind === kind ? shard + 1 : 0;
      kind = record.kind;
      file = new LineFile(join(dir, `${FILE_NAMES[record.kind]}-${String(shard).padStart(3, '0')}.jsonl`));
    }
    file.write(JSON.stringify(record));
  }
  file?.close();
}

/** Writes one day's requests, one OpenRTB JSON a line. */
function writeRequests(path: string, seed: number, day: number, count: number): void {
  const file = new LineFile(path);
  for (const request of generateRequests({ seed, day, count })) file.write(request.body);
  file.close();
}
