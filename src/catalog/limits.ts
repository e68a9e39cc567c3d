/**
 * What one catalog may hold. Each limit keeps an offset within 32 bits or the memory within what a pod has; together
 * they admit about five times the million line items that are measured.
 */
export const ADS_MAX = 1 << 24;
/** Index entries: an ad counts once for each country that it names, so this is above ADS_MAX. */
export const ENTRIES_MAX = 1 << 26;
/** Numbers in all bitmaps, and in all postings: 4 GiB each. */
export const INDEX_NUMBERS_MAX = 1 << 30;
/** UTF-8 bytes of all distinct texts, markup included. */
export const TEXT_BYTES_MAX = 2 ** 31;
/** One line of a JSONL file: the longest markup, fully escaped, beside a full record. */
export const LINE_BYTES_MAX = 1 << 20;
/** One YAML or JSON document; larger catalogs come as JSONL, which is read as a stream. */
export const DOCUMENT_BYTES_MAX = 64 << 20;
/** Uses of a YAML anchor, nested ones multiplied: shared targeting is welcome, a document bomb is not. */
export const YAML_ALIASES_MAX = 10_000;
/** Heap of the loader thread: 45 MiB for each MiB of YAML. A million line items as JSONL need 200 MiB. */
export const LOADER_HEAP_MIB = 4096;

/** A limit above stopped the load. It becomes a finding beside the others, not a crash. */
export class LimitReached extends Error {}
