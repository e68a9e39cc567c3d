import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STAGES } from '../../src/contract/index.js';
import { bannerRequest, bidsOf, JSON_TYPE, startTestServer, type TestServer, worldBodies } from './support.js';

let running: TestServer;
beforeAll(async () => {
  running = await startTestServer({ bidding: { rates: { EUR: 1.25 } }, exchanges: ['demo'] });
});
afterAll(() => running.stop());

describe('an exchange', () => {
  it('gets a bid with everything it asks for', async () => {
    const { status, text } = await running.post(bannerRequest());
    expect(status).toBe(200);
    const response = JSON.parse(text);
    expect(response).toMatchObject({ id: 'request-1', cur: 'USD', seatbid: [{ seat: 'vickrey' }] });
    const [bid] = bidsOf(text);
    expect(bid).toMatchObject({ impid: 'imp-1', mtype: 1, w: 300, h: 250 });
    expect(bid.price).toBeGreaterThan(0);
    for (const field of ['id', 'adid', 'crid', 'cid', 'adm'] as const) expect(bid[field]).not.toBe('');
    expect(bid.adomain).toHaveLength(1);
  });

  it('gets the same answer to the same request, response ids aside', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => running.post(bannerRequest())));
    const winners = answers.map(({ text }) => bidsOf(text).map(({ crid, price }) => ({ crid, price })));
    expect(winners[1]).toEqual(winners[0]);
    expect(winners[2]).toEqual(winners[0]);
    expect(new Set(answers.map(({ text }) => JSON.parse(text).bidid)).size).toBe(3);
  });

  it('gets one bid per imp, never below the floor, in the format that was asked for', async () => {
    let bids = 0;
    for (const body of worldBodies(400)) {
      const request = JSON.parse(body);
      const { status, text } = await running.post(body);
      expect([200, 204]).toContain(status);
      const answered = bidsOf(text);
      bids += answered.length;
      expect(new Set(answered.map((bid) => bid.impid)).size).toBe(answered.length);
      for (const bid of answered) {
        const imp = request.imp.find((candidate: { id: string }) => candidate.id === bid.impid);
        expect(bid.price).toBeGreaterThanOrEqual(imp.bidfloor ?? 0);
        const format = ['banner', 'video', 'audio', 'native'][bid.mtype - 1];
        expect(imp[format]).toBeDefined();
      }
    }
    expect(bids).toBeGreaterThan(200);
  });

  it.each([
    ['the floor is above every value', bannerRequest({}, { bidfloor: 5_000 })],
    ['no imp has a format', bannerRequest({}, { banner: undefined })],
    ['only deals may bid', bannerRequest({}, { pmp: { private_auction: 1 } })],
    ['the floor is in a currency without a rate', bannerRequest({}, { bidfloor: 1, bidfloorcur: 'JPY' })],
    ['no allowed currency has a rate', bannerRequest({ cur: ['JPY', 'GBP'] })],
    ['there is no time', bannerRequest({ tmax: 1 })],
    ['no ad has the size', bannerRequest({}, { banner: { w: 1, h: 1 } })],
  ])('gets 204 where %s', async (_name, body) => {
    expect(await running.post(body)).toEqual({ status: 204, text: '' });
  });

  it.each([
    ['not JSON', '{'],
    ['no imp', '{"id":"1","imp":[]}'],
    ['an imp without an id', '{"id":"1","imp":[{"banner":{}}]}'],
    ['no id', '{"imp":[{"id":"a"}]}'],
    ['not an object', '7'],
    ['nothing', ''],
  ])('gets 400 with an empty body for %s', async (_name, body) => {
    expect(await running.post(body)).toEqual({ status: 400, text: '' });
  });

  it('gets prices in a currency it allows, at the rate of the configuration', async () => {
    const usd = bidsOf((await running.post(bannerRequest())).text)[0];
    const { text } = await running.post(bannerRequest({ cur: ['JPY', 'EUR'] }));
    expect(JSON.parse(text).cur).toBe('EUR');
    expect(bidsOf(text)[0].price).toBeCloseTo(usd.price / 1.25, 5);
  });

  it('gets a bid at a floor in another currency only where the value reaches it', async () => {
    const usd = bidsOf((await running.post(bannerRequest())).text)[0];
    const below = { bidfloor: Math.floor((usd.price / 1.25) * 100) / 100, bidfloorcur: 'EUR' };
    expect((await running.post(bannerRequest({}, below))).status).toBe(200);
    const above = { bidfloor: Math.ceil((usd.price / 1.25) * 100) / 100, bidfloorcur: 'EUR' };
    expect((await running.post(bannerRequest({}, above))).status).toBe(204);
  });

  it('is known by its path, and another is not', async () => {
    const post = (path: string) =>
      fetch(running.url.replace('/bid', path), { method: 'POST', headers: JSON_TYPE, body: bannerRequest() });
    expect((await post('/bid/demo')).status).toBe(200);
    expect((await post('/bid/nobody')).status).toBe(404);
  });

  it('can have imps of every format in one request', async () => {
    const video = { mimes: ['video/mp4'], minduration: 5, maxduration: 60, w: 640, h: 360, protocols: [2, 3, 7] };
    const audio = { mimes: ['audio/mpeg', 'audio/mp4'], minduration: 5, maxduration: 60 };
    const native = { request: JSON.stringify({ ver: '1.2', assets: [{ id: 1, required: 1, title: { len: 90 } }] }) };
    const body = JSON.stringify({
      ...JSON.parse(bannerRequest()),
      imp: [
        {
          id: 'b',
          banner: {
            format: [
              { w: 300, h: 250 },
              { w: 728, h: 90 },
            ],
          },
        },
        { id: 'v', video },
        { id: 'a', audio },
        { id: 'n', native },
      ],
    });
    const { status, text } = await running.post(body);
    expect(status).toBe(200);
    const formats = Object.fromEntries(bidsOf(text).map((bid) => [bid.impid, bid.mtype]));
    expect(formats).toEqual({ b: 1, v: 2, a: 3, n: 4 });
  });
});

describe('operations', () => {
  it('counts outcomes, candidates and stages', async () => {
    const text = await running.metrics();
    for (const outcome of [
      'bid',
      'malformed',
      'below_floor',
      'unbiddable_imps',
      'private_auction',
      'currency',
      'insufficient_time',
      'no_candidate',
    ]) {
      expect(text).toMatch(new RegExp(`vickrey_requests_total\\{outcome="${outcome}"\\} [1-9]`));
    }
    for (const stage of STAGES) {
      expect(text).toMatch(new RegExp(`vickrey_stage_duration_seconds_count\\{stage="${stage}"\\} [1-9]`));
    }
    expect(text).toMatch(/vickrey_batch_rows_count\{model="pctr_dlrm",version="1"\} [1-9]/);
    expect(text).toMatch(/vickrey_requests_in_flight 0/);
    expect(text).toMatch(/vickrey_batches_waiting\{model="pctr_dlrm",version="1"\} 0/);
  });

  it('is ready and alive', async () => {
    const base = `http://127.0.0.1:${running.server.operations.port}`;
    expect((await fetch(`${base}/healthz/live`)).status).toBe(200);
    expect((await fetch(`${base}/healthz/ready`)).status).toBe(200);
  });
});
