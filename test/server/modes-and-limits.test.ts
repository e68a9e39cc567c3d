import { describe, expect, it } from 'vitest';
import { bannerRequest, bidsOf, startTestServer, type TestServer, worldBodies } from './support.js';

async function withServer(changes: object, test: (running: TestServer) => Promise<void>): Promise<void> {
  const running = await startTestServer(changes);
  try {
    await test(running);
  } finally {
    await running.stop();
  }
}

describe('pricing modes', () => {
  it('second_price never asks more than pass_through, has the same winner, and keeps the floor', async () => {
    const bodies = worldBodies(60);
    const collect = async (mode: string) => {
      const answers: Map<string, { crid: string; price: number }>[] = [];
      await withServer({ bidding: { mode } }, async (running) => {
        for (const body of bodies) {
          const bids = bidsOf((await running.post(body)).text);
          answers.push(new Map(bids.map(({ impid, crid, price }) => [impid, { crid, price }])));
        }
      });
      return answers;
    };
    const value = await collect('pass_through');
    const second = await collect('second_price');
    let lower = 0;
    second.forEach((answer, i) => {
      for (const [impid, bid] of answer) {
        const own = value[i].get(impid)!;
        expect(bid.crid).toBe(own.crid);
        expect(bid.price).toBeLessThanOrEqual(own.price);
        if (bid.price < own.price) lower++;
      }
    });
    expect(lower).toBeGreaterThan(20);
  });
});

describe('limits', () => {
  it('more requests in flight than slots: the surplus is a fast no-bid, everything is answered, nothing is kept', async () => {
    await withServer({ limits: { requests_in_flight_max: 4 } }, async (running) => {
      const answers = await Promise.all(Array.from({ length: 200 }, () => running.post(bannerRequest())));
      const statuses = new Set(answers.map(({ status }) => status));
      expect([...statuses].sort()).toEqual([200, 204]);
      expect((await running.post(bannerRequest())).status).toBe(200);
      expect(await running.metrics()).toMatch(/vickrey_requests_in_flight 0\n/);
    });
  });

  it('a slow phase does not make admission refuse for good: an idle engine takes one request and learns from it', async () => {
    await withServer({}, async ({ server, post }) => {
      const { batcher } = server.engine as unknown as {
        batcher: { costs: { observe(rows: number, us: number): void; predictUs(rows: number): number }[] };
      };
      // What a throttled processor leaves behind: every batch took a second.
      for (const cost of batcher.costs) for (let i = 0; i < 500; i++) cost.observe(64 + (i % 64), 1_000_000);
      expect(server.engine.estimateUs(0, 64)).toBeGreaterThan(500_000);
      expect((await post(bannerRequest())).status).toBe(200);
      for (let i = 0; i < 300; i++) await post(bannerRequest());
      expect(server.engine.estimateUs(0, 64)).toBeLessThan(100_000);
    });
  });

  it('works on node:http as well', async () => {
    await withServer({ http: { host: '127.0.0.1', port: 0, backend: 'node' } }, async (running) => {
      expect(running.server.http.backend).toBe('node');
      expect((await running.post(bannerRequest())).status).toBe(200);
      expect(await running.post('{')).toEqual({ status: 400, text: '' });
    });
  });
});
