import { once } from 'node:events';
import { type Client, credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bannerRequest, bidsOf, startTestServer, type TestServer, worldBodies } from './support.js';

interface Reply {
  call_id: number;
  status: string;
  nbr: number;
  openrtb: Buffer;
}
// biome-ignore lint/suspicious/noExplicitAny: the methods of a service loaded at run time.
type BidClient = Client & Record<string, any>;

let running: TestServer;
let client: BidClient;
beforeAll(async () => {
  running = await startTestServer({}, 2_000);
  const file = new URL('../../proto/vickrey/v1/bid.proto', import.meta.url).pathname;
  const loaded = loadPackageDefinition(loadSync(file, { keepCase: true, enums: String, defaults: true }));
  const { BidService } = (loaded.vickrey as { v1: unknown }).v1 as {
    BidService: ServiceClientConstructor;
  };
  client = new BidService(`127.0.0.1:${running.server.grpc!.port}`, credentials.createInsecure()) as BidClient;
});
afterAll(async () => {
  client.close();
  await running.stop();
});

const winners = (text: string) => bidsOf(text).map(({ impid, crid, price }) => ({ impid, crid, price }));

it('a unary call gives the same decision as HTTP', async () => {
  for (const body of worldBodies(20)) {
    const reply = await new Promise<Reply>((resolve, reject) =>
      client.Bid({ openrtb: Buffer.from(body) }, (error: Error | null, answer: Reply) =>
        error ? reject(error) : resolve(answer),
      ),
    );
    const { status, text } = await running.post(body);
    expect(reply.status).toBe(status === 200 ? 'STATUS_BID' : 'STATUS_NO_BID');
    expect(winners(reply.openrtb.toString())).toEqual(winners(text));
  }
});

it('a stream answers every call once, with the same decisions, and says why there is no bid', async () => {
  const bodies = [...worldBodies(300), bannerRequest({}, { bidfloor: 9_000 }), '{'];
  const stream = client.BidStream();
  const replies = new Map<number, Reply>();
  stream.on('data', (reply: Reply) => {
    expect(replies.has(reply.call_id)).toBe(false);
    replies.set(reply.call_id, reply);
    if (replies.size === bodies.length) stream.end();
  });
  for (const [call_id, body] of bodies.entries()) stream.write({ call_id, openrtb: Buffer.from(body) });
  await once(stream, 'end');
  expect(replies.size).toBe(bodies.length);
  expect(replies.get(300)).toMatchObject({ status: 'STATUS_NO_BID', nbr: 502 });
  expect(replies.get(301)).toMatchObject({ status: 'STATUS_MALFORMED' });
  for (let i = 0; i < 20; i++) {
    expect(winners(replies.get(i)!.openrtb.toString())).toEqual(winners((await running.post(bodies[i])).text));
  }
});
