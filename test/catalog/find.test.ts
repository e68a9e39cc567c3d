import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CatalogRecord, snapshotOfRecords } from '../../src/catalog/index.js';
import { AuctionRequest, type CatalogSnapshot, hourOfWeek } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import { generateCatalog, generateRequests } from '../../world/index.js';
import { type Ask, askArbitrary, catalogArbitrary, LOADED_MS } from './market.js';
import { Oracle } from './oracle.js';

const OFFSET = 3;
const out = new Int32Array(10_000);

function found(snapshot: CatalogSnapshot, { request, hour, nowMs, limit }: Ask): string[] {
  out.fill(-7);
  const count = snapshot.find(request, request.imps[0], hour, nowMs, out, OFFSET, limit);
  expect(out[OFFSET - 1]).toBe(-7);
  expect(out[OFFSET + count]).toBe(-7);
  return Array.from(out.subarray(OFFSET, OFFSET + count), (ad) => {
    const { lineItemId, creativeId } = snapshot.texts(ad);
    return `${lineItemId}/${creativeId}`;
  });
}

test('find gives exactly the first matches in static rank order', () => {
  let matches = 0;
  fc.assert(
    fc.property(catalogArbitrary, fc.array(askArbitrary, { minLength: 5, maxLength: 20 }), (records, asks) => {
      const snapshot = snapshotOfRecords(records, LOADED_MS);
      const oracle = new Oracle(records);
      for (const ask of asks) {
        const expected = oracle.find(ask.request, ask.request.imps[0], ask.hour, ask.nowMs, ask.limit);
        expect(found(snapshot, ask)).toEqual(expected);
        matches += expected.length;
      }
    }),
    { numRuns: 300, seed: 20260302 },
  );
  expect(matches).toBeGreaterThan(20_000);
});

test('so it does for markets large enough to be read block by block, with values too rare for bitmaps', () => {
  let matches = 0;
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(20, 2000), (seed, limit) => {
      const records = [...generateCatalog({ seed, lineItems: 3000 })] as CatalogRecord[];
      const snapshot = snapshotOfRecords(records, LOADED_MS);
      const oracle = new Oracle(records);
      for (const { body, epochMs } of generateRequests({ seed: 1, day: seed % 1000, count: 12 })) {
        const request = new AuctionRequest();
        expect(decodeJson(Buffer.from(body), request)).toBe(true);
        const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
        const ask = { request, hour, nowMs: epochMs, limit };
        const expected = oracle.find(request, request.imps[0], hour, epochMs, limit);
        expect(found(snapshot, ask)).toEqual(expected);
        matches += expected.length;
      }
    }),
    { numRuns: 12, seed: 20260302 },
  );
  expect(matches).toBeGreaterThan(10_000);
});
