import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AuctionRequest } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';

const folder = new URL('../../../shared/corpora/openrtb/', import.meta.url);
const here = existsSync(folder);

// The corpora lie beside the repository and are not part of it: a clone elsewhere has none.
describe.runIf(here)('corpora (run where ../shared/corpora exists)', () => {
  const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');

  it('every request that the Prebid adapters send is decoded', () => {
    const lines = here ? read('prebid-adapters.jsonl').trim().split('\n') : [];
    const into = new AuctionRequest();
    const refused: string[] = [];
    let biddable = 0;
    for (const line of lines) {
      const { source, request } = JSON.parse(line);
      if (!decodeJson(Buffer.from(JSON.stringify(request)), into)) refused.push(source);
      else if (into.id !== request.id || into.impCount !== Math.min(8, request.imp.length))
        refused.push(`${source}: lost`);
      else if (into.imps.slice(0, into.impCount).some((imp) => imp.formatMask !== 0)) biddable++;
    }
    expect(refused).toEqual([]);
    expect(lines.length).toBe(549);
    // The rest has native requests that do not parse, a video without mimes, a banner without a size in `{}`, twin imps.
    expect(biddable).toBeGreaterThan(520);
  });

  it("every request of the specification's samples is decoded and biddable", () => {
    const samples: { kind: string; body: unknown }[] = here ? JSON.parse(read('iab-2.6-samples.json')) : [];
    const requests = samples.filter((sample) => sample.kind === 'request');
    expect(requests.length).toBeGreaterThan(3);
    for (const { body } of requests) {
      const into = new AuctionRequest();
      expect(decodeJson(Buffer.from(JSON.stringify(body)), into)).toBe(true);
      expect(into.imps.slice(0, into.impCount).filter((imp) => imp.formatMask === 0)).toEqual([]);
    }
  });
});
