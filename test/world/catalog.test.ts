import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { snapshotOfRecords } from '../../src/catalog/index.js';
import { AuctionRequest, CANDIDATES_PER_IMP_MAX, FORMAT, hourOfWeek } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import { catalogCounts, DAY_ZERO_MS, generateCatalog, generateRequests } from '../../world/index.js';

const LINE_ITEMS = 10_000;
const records = [...generateCatalog({ seed: 1, lineItems: LINE_ITEMS })];
const snapshot = snapshotOfRecords(records, DAY_ZERO_MS);

describe('a catalog of the world', () => {
  it('is the same wherever it is made', () => {
    // A changed hash is a changed market: raise WORLD_VERSION and train the models again.
    const hash = createHash('sha256');
    for (const record of generateCatalog({ seed: 1, lineItems: 200 })) hash.update(JSON.stringify(record));
    expect(hash.digest('hex').slice(0, 16)).toBe('625c44f2cc9853de');
  });

  it('is accepted by the catalog room, with as many of everything as announced', () => {
    const { advertisers, campaigns, creatives } = catalogCounts(LINE_ITEMS);
    expect(snapshot.counts).toEqual({ advertisers, campaigns, creatives, lineItems: LINE_ITEMS });
    expect(snapshot.ads.count).toBeGreaterThan(1.5 * LINE_ITEMS);
  });

  it('mixes formats and goals, and its bids are comparable across goals', () => {
    const formats = [0, 0, 0, 0, 0];
    for (let ad = 0; ad < snapshot.ads.count; ad++) formats[snapshot.ads.format[ad]]++;
    expect(formats[FORMAT.banner] / snapshot.ads.count).toBeCloseTo(0.7, 1);
    for (const format of [FORMAT.video, FORMAT.native, FORMAT.audio]) expect(formats[format]).toBeGreaterThan(300);
    const goals = { cpm: 0, cpc: 0, cpa: 0 };
    for (const record of records) {
      if (record.kind !== 'line_item') continue;
      goals[record.goal]++;
      const { bid_micros: bid, expected_ctr: ctr = 0, expected_cvr: cvr = 0 } = record;
      const ecpmMicros = record.goal === 'cpm' ? bid : 1000 * bid * ctr * (record.goal === 'cpa' ? cvr : 1);
      expect(ecpmMicros).toBeGreaterThan(0.19e6);
      expect(ecpmMicros).toBeLessThan(15.1e6);
    }
    expect(goals.cpm / LINE_ITEMS).toBeCloseTo(0.4, 1);
    expect(goals.cpc / LINE_ITEMS).toBeCloseTo(0.4, 1);
    expect(goals.cpa / LINE_ITEMS).toBeCloseTo(0.2, 1);
  });

  it('targets each dimension with a twelfth to a half of its line items', () => {
    const counts = new Map<string, number>();
    for (const record of records) {
      if (record.kind !== 'line_item') continue;
      for (const name of Object.keys(record.targeting ?? {})) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    for (const name of ['country', 'device_type', 'os', 'inventory', 'category', 'segment', 'language', 'daypart']) {
      expect(counts.get(name)! / LINE_ITEMS, name).toBeGreaterThan(1 / 12);
      expect(counts.get(name)! / LINE_ITEMS, name).toBeLessThan(0.5);
    }
  });

  it('has more ads for nearly every banner, video and native imp than may be scored', () => {
    const request = new AuctionRequest();
    const out = new Int32Array(CANDIDATES_PER_IMP_MAX);
    let imps = 0;
    let full = 0;
    for (const { epochMs, body } of generateRequests({ seed: 1, day: 5, count: 1000 })) {
      decodeJson(Buffer.from(body), request);
      const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
      for (let i = 0; i < request.impCount; i++) {
        imps++;
        const found = snapshot.find(request, request.imps[i], hour, epochMs, out, 0, CANDIDATES_PER_IMP_MAX);
        if (found === CANDIDATES_PER_IMP_MAX) full++;
      }
    }
    expect(full / imps).toBeGreaterThan(0.95);
  });
});
