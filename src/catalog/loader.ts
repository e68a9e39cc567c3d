import { compileAds } from './ads.js';
import { readCatalogFiles } from './files.js';
import { buildIndex } from './index-build.js';
import type { CompiledCatalog } from './layout.js';
import { LimitReached } from './limits.js';
import { Problems } from './problems.js';
import { resolveReferences } from './resolve.js';
import type { CatalogRecord } from './schema.js';
import { RecordStore } from './store.js';

/** A whole catalog, or everything that is wrong with it. Plain data: it crosses a thread border. */
export type LoadOutcome =
  | { readonly compiled: CompiledCatalog; readonly files: number }
  | { readonly problems: readonly string[]; readonly problemCount: number };

/**
 * Reads, checks and compiles every catalog file of a directory. Blocks its thread throughout.
 *
 * @param nowMs around which flights are precomputed; any other time is answered as correctly, only slower
 */
export function loadDirectory(directory: string, nowMs: number): LoadOutcome {
  return load((store) => readCatalogFiles(directory, store), nowMs);
}

/** The same from records in memory. */
export function loadRecords(records: Iterable<CatalogRecord>, nowMs: number): LoadOutcome {
  return load((store) => {
    store.beginFile('records', true);
    let position = 0;
    for (const record of records) store.add(record.kind, record, ++position);
    return 0;
  }, nowMs);
}

/** @param read fills the store and says how many files that took */
function load(read: (store: RecordStore) => number, nowMs: number): LoadOutcome {
  const problems = new Problems();
  try {
    const store = new RecordStore(problems);
    const files = read(store);
    resolveReferences(store);
    if (problems.count === 0) return { compiled: compile(store, nowMs), files };
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    problems.add('catalog', error.message);
  }
  return { problems: problems.listed, problemCount: problems.count };
}

function compile(store: RecordStore, nowMs: number): CompiledCatalog {
  const ads = compileAds(store);
  const counts = {
    advertisers: store.advertisers.count,
    campaigns: store.campaigns.count,
    lineItems: store.lineItems.count,
    creatives: store.creatives.count,
  };
  return { ...ads, index: buildIndex(store, ads, nowMs), counts };
}
