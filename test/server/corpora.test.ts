import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bidsOf, startTestServer, type TestServer } from './support.js';

/** Requests that real adapters send and the specification's samples; they lie beside a checkout and in no commit. */
const CORPUS = new URL('../../../shared/corpora/openrtb/', import.meta.url);
const present = existsSync(CORPUS);

describe.runIf(present)('the corpora (where ../shared/corpora is present)', () => {
  let running: TestServer;
  beforeAll(async () => {
    running = await startTestServer({ bidding: { rates: { EUR: 1.1, GBP: 1.3, JPY: 0.0066, BRL: 0.18, CAD: 0.7 } } });
  });
  afterAll(() => running?.stop());

  const read = (name: string) => readFileSync(new URL(name, CORPUS), 'utf8');
  const adapters = () =>
    read('prebid-adapters.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).request);
  const samples = () =>
    (JSON.parse(read('iab-2.6-samples.json')) as { kind: string; body: unknown }[])
      .filter((s) => s.kind === 'request')
      .map((s) => s.body);

  it.each([
    ['what prebid adapters send', adapters, 549],
    ["the specification's samples", samples, 1],
  ])('%s: 200 or 204, every bid well formed and not below its floor', async (_name, requests, countMin) => {
    let bids = 0;
    const all = requests();
    expect(all.length).toBeGreaterThanOrEqual(countMin);
    for (const request of all) {
      const { status, text } = await running.post(JSON.stringify(request));
      expect([200, 204], JSON.stringify(request).slice(0, 300)).toContain(status);
      if (status === 200) bids += checkResponse(request, text);
    }
    expect(bids).toBeGreaterThan(0);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: requests as the world sends them.
function checkResponse(request: any, text: string): number {
  const response = JSON.parse(text);
  expect(response.id).toBe(request.id);
  expect(response.cur).toMatch(/^[A-Z]{3}$/);
  if (request.cur?.length > 0) expect(request.cur).toContain(response.cur);
  else expect(response.cur).toBe('USD');
  const bids = bidsOf(text);
  expect(bids.length).toBeGreaterThan(0);
  for (const bid of bids) {
    const imp = request.imp.find((candidate: { id: string }) => String(candidate.id) === bid.impid);
    expect(imp).toBeDefined();
    expect(bid.price).toBeGreaterThan(0);
    if ((imp.bidfloorcur ?? 'USD') === response.cur)
      expect(bid.price).toBeGreaterThanOrEqual(Number(imp.bidfloor ?? 0));
    const format = ['banner', 'video', 'audio', 'native'][bid.mtype - 1];
    expect(imp[format]).toBeDefined();
    expect(bid.crid.length * bid.adid.length * bid.cid.length * bid.adm.length * bid.adomain.length).toBeGreaterThan(0);
    if (format === 'banner') expect(bid.w! * bid.h!).toBeGreaterThan(0);
    if (format === 'video' || format === 'audio') expect(bid.dur).toBeGreaterThan(0);
  }
  return bids.length;
}
