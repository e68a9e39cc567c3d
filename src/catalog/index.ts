/**
 * catalog/: advertisers, campaigns, line items and creatives as one immutable snapshot, and the candidates for an imp.
 *
 * Takes   a directory of YAML, JSON and JSONL files (`schema.ts` says what may stand in them)
 * Gives   a `CatalogSnapshot`: columns by ad number, `find`, and the texts of a winner
 * Owns    the current snapshot, and a loader thread while a load runs
 * Never   scores or prices, touches money, or changes a snapshot that somebody holds
 * Fails   a bad catalog is refused with every finding as OperatingError `VK_CATALOG_INVALID`; the old snapshot stays
 */
export { Catalog, type LoadReport, snapshotOfRecords } from './catalog.js';
export type { Campaign, CatalogRecord, Creative, LineItem, Targeting } from './schema.js';
