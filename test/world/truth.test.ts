import { describe, expect, it } from 'vitest';
import { snapshotOfRecords } from '../../src/catalog/index.js';
import { AuctionRequest, FORMAT, hourOfWeek } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import {
  adFacts,
  DAY_ZERO_MS,
  generateCatalog,
  generateRequests,
  MARKET_SIGMA,
  Market,
  Random,
  STREAM,
} from '../../world/index.js';

const snapshot = snapshotOfRecords(generateCatalog({ seed: 1, lineItems: 2000 }), DAY_ZERO_MS);

/** Sums over a day's candidates, by ad format. */
function survey(seed: number) {
  const market = new Market(seed);
  const request = new AuctionRequest();
  const out = new Int32Array(8);
  const sums = Array.from({ length: 5 }, () => ({ shown: 0, clicks: 0, conversions: 0 }));
  for (const { epochMs, body } of generateRequests({ seed: 1, day: 6, count: 3000 })) {
    decodeJson(Buffer.from(body), request);
    const hour = hourOfWeek(epochMs, request.utcOffsetMinutes);
    for (let i = 0; i < request.impCount; i++) {
      const truth = market.impTruth(request, request.imps[i], epochMs);
      const found = snapshot.find(request, request.imps[i], hour, epochMs, out, 0, out.length);
      for (let k = 0; k < found; k++) {
        const facts = adFacts(snapshot, out[k]);
        const click = truth.clickProbability(facts);
        const sum = sums[facts.format];
        sum.shown++;
        sum.clicks += click;
        sum.conversions += click * truth.conversionProbability(facts);
      }
    }
  }
  return sums;
}

describe('the truth', () => {
  const sums = survey(1);

  it('clicks on banners about twice in a hundred, on video more, on audio less', () => {
    const ctr = sums.map((s) => s.clicks / s.shown);
    expect(ctr[FORMAT.banner]).toBeGreaterThan(0.013);
    expect(ctr[FORMAT.banner]).toBeLessThan(0.028);
    expect(ctr[FORMAT.video]).toBeGreaterThan(ctr[FORMAT.banner]);
    expect(ctr[FORMAT.audio]).toBeLessThan(ctr[FORMAT.banner]);
  });

  it('converts five to ten clicks in a hundred', () => {
    const clicks = sums.reduce((total, s) => total + s.clicks, 0);
    const conversions = sums.reduce((total, s) => total + s.conversions, 0);
    expect(conversions / clicks).toBeGreaterThan(0.05);
    expect(conversions / clicks).toBeLessThan(0.1);
  });

  it('is the same for the same seed and another for another', () => {
    expect(survey(1)).toEqual(sums);
    expect(survey(2)).not.toEqual(sums);
  });

  it('draws prices whose log is normal around the mean it tells', () => {
    const request = new AuctionRequest();
    const { epochMs, body } = [...generateRequests({ seed: 1, day: 0, count: 1 })][0];
    decodeJson(Buffer.from(body), request);
    const truth = new Market(1).impTruth(request, request.imps[0], epochMs);
    const random = new Random(9, STREAM.impression, 0);
    const logs = Array.from({ length: 20_000 }, () => Math.log(truth.marketPrice(random.normal())));
    const mean = logs.reduce((sum, x) => sum + x, 0) / logs.length;
    const deviation = Math.sqrt(logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / logs.length);
    expect(mean).toBeCloseTo(truth.marketLogMean, 1);
    expect(deviation).toBeCloseTo(MARKET_SIGMA, 1);
  });
});
