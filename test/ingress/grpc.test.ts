import {
  type Client,
  type ClientDuplexStream,
  credentials,
  loadPackageDefinition,
  makeGenericClientConstructor,
  type ServiceError,
  status as STATUS,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { afterEach, describe, expect, it } from 'vitest';
import { OUTCOME } from '../../src/contract/index.js';
import { type BidReply, type GrpcServer, type GrpcServerOptions, startGrpc } from '../../src/ingress/index.js';
import { bidRequest, echoBidder, eventually, TestLog } from './support.js';

interface Call {
  callId?: number;
  exchange?: string;
  encoding?: number;
  openrtb: Buffer;
}
interface Reply {
  callId: number;
  status: string;
  nbr: number;
  openrtb: Buffer;
}
type Stream = ClientDuplexStream<Call, Reply>;
interface BidClient extends Client {
  bid(call: Call, options: object, done: (error: ServiceError | null, reply: Reply) => void): { cancel(): void };
  bidStream(): Stream;
}
interface ClientPackage {
  vickrey: { v1: { BidService: new (address: string, credentials: unknown) => BidClient } };
}

const root = new URL('../../proto/', import.meta.url).pathname;
const bidPackage = loadSync('vickrey/v1/bid.proto', { includeDirs: [root], defaults: true, enums: String });
const { BidService } = (loadPackageDefinition(bidPackage) as unknown as ClientPackage).vickrey.v1;

const clients: Client[] = [];
const servers: GrpcServer[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) await server.close(0);
});

async function start(
  change: Partial<GrpcServerOptions> = {},
): Promise<{ server: GrpcServer; client: BidClient; log: TestLog }> {
  const log = new TestLog();
  const base = { host: '127.0.0.1', port: 0, exchanges: ['acme'], bodyBytesMax: 64 * 1024, onBid: echoBidder, log };
  const server = await startGrpc({ ...base, ...change });
  servers.push(server);
  const client = new BidService(`127.0.0.1:${server.port}`, credentials.createInsecure());
  clients.push(client);
  return { server, client, log };
}

const call = (id: string, rest: Partial<Call> = {}): Call => ({ openrtb: Buffer.from(bidRequest(id)), ...rest });

function unary(client: BidClient, message: Call, options: object = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    client.bid(message, options, (error, reply) => (error === null ? resolve(reply) : reject(error)));
  });
}

/** Collects a stream: its replies, and how it ended. */
function collect(stream: Stream): { replies: Reply[]; ended: Promise<number> } {
  const replies: Reply[] = [];
  stream.on('data', (reply: Reply) => replies.push(reply));
  stream.on('error', () => {});
  return { replies, ended: new Promise((resolve) => stream.on('status', (status) => resolve(status.code))) };
}

describe('Bid', () => {
  it('answers a bid, at once or later', async () => {
    const { client, server } = await start();
    for (const id of ['r', 'later5']) {
      const reply = await unary(client, call(id, { exchange: 'acme' }));
      expect(reply).toMatchObject({ status: 'STATUS_BID', nbr: 0 });
      expect(JSON.parse(reply.openrtb.toString())).toMatchObject({ id, exchange: 'acme' });
    }
    expect(server.stats()).toMatchObject({ requests: 2, answered: 2, requestsOpen: 0 });
  });

  it('says why there is no bid', async () => {
    const { client } = await start();
    expect(await unary(client, call('none'))).toMatchObject({
      status: 'STATUS_NO_BID',
      nbr: 501,
      openrtb: Buffer.alloc(0),
    });
    expect(await unary(client, call('throw'))).toMatchObject({ status: 'STATUS_NO_BID', nbr: 1 });
    expect(await unary(client, call('twice'))).toMatchObject({ status: 'STATUS_NO_BID', nbr: 502 });
  });

  it.each<[string, Call, number]>([
    ['a body that is no bid request', { openrtb: Buffer.from('hello') }, STATUS.INVALID_ARGUMENT],
    ['no body', { openrtb: Buffer.alloc(0) }, STATUS.INVALID_ARGUMENT],
    ['an unknown exchange', call('r', { exchange: 'nobody' }), STATUS.NOT_FOUND],
    ['an unknown encoding', call('r', { encoding: 9 }), STATUS.INVALID_ARGUMENT],
    ['a body just over the limit', { openrtb: Buffer.alloc(64 * 1024 + 1, 32) }, STATUS.INVALID_ARGUMENT],
    ['a body far over the limit', { openrtb: Buffer.alloc(1_000_000, 32) }, STATUS.RESOURCE_EXHAUSTED],
  ])('refuses %s', async (_name, message, code) => {
    const { client, server } = await start();
    await expect(unary(client, message)).rejects.toMatchObject({ code });
    expect((await unary(client, call('r'))).status).toBe('STATUS_BID');
    expect(server.stats().requestsOpen).toBe(0);
  });

  it('refuses bytes that are no message', async () => {
    const { server } = await start();
    const raw = { ...bidPackage['vickrey.v1.BidService'] } as Record<string, object>;
    raw.Bid = { ...raw.Bid, requestSerialize: () => Buffer.from([0xff, 0xff, 0xff, 0x00, 0x07]) };
    const Garbage = makeGenericClientConstructor(raw as never, 'garbage') as unknown as new (
      a: string,
      c: unknown,
    ) => BidClient;
    const client = new Garbage(`127.0.0.1:${server.port}`, credentials.createInsecure());
    clients.push(client);
    await expect(unary(client, call('r'))).rejects.toMatchObject({ code: STATUS.INVALID_ARGUMENT });
  });

  it('forgets a call whose client gave up', async () => {
    const waiting: BidReply[] = [];
    const { client, server } = await start({ onBid: (_exchange, _body, reply) => void waiting.push(reply) });
    await expect(unary(client, call('r'), { deadline: Date.now() + 100 })).rejects.toMatchObject({
      code: STATUS.DEADLINE_EXCEEDED,
    });
    const cancelled = client.bid(call('r'), {}, () => {});
    await eventually('the handler has it', () => waiting.length === 2);
    cancelled.cancel();
    await eventually('it is forgotten', () => server.stats().requestsOpen === 0);
    for (const reply of waiting) reply.answer(OUTCOME.bid, '{}');
    expect(server.stats()).toMatchObject({ aborted: 2, answered: 0, handlerErrors: 0 });
  });

  it('refuses at once what is more than it may have in flight', async () => {
    const waiting: BidReply[] = [];
    const { client, server } = await start({
      requestsInFlightMax: 1,
      onBid: (_e, _b, reply) => void waiting.push(reply),
    });
    const first = unary(client, call('r'));
    await eventually('the handler has it', () => waiting.length === 1);
    expect(await unary(client, call('r'))).toMatchObject({ status: 'STATUS_NO_BID', nbr: 500 });
    waiting[0].answer(OUTCOME.bid, '{}');
    expect((await first).status).toBe('STATUS_BID');
    expect(server.stats()).toMatchObject({ refusedInFlight: 1, requestsOpen: 0 });
  });
});

describe('BidStream', () => {
  it('answers each of 1000 calls once, out of order, by its id', async () => {
    const { client, server } = await start();
    const stream = client.bidStream();
    const { replies, ended } = collect(stream);
    for (let i = 0; i < 1000; i++) stream.write(call(i % 3 === 0 ? 'none' : `later${i % 17}`, { callId: i }));
    stream.end();
    expect(await ended).toBe(STATUS.OK);
    expect(replies.length).toBe(1000);
    expect(new Set(replies.map((reply) => reply.callId)).size).toBe(1000);
    expect(replies.some((reply, i) => i > 0 && reply.callId < replies[i - 1].callId)).toBe(true);
    for (const { callId, status, openrtb } of replies) {
      if (callId % 3 === 0) expect(status).toBe('STATUS_NO_BID');
      else expect(JSON.parse(openrtb.toString()).id).toBe(`later${callId % 17}`);
    }
    expect(server.stats()).toMatchObject({ requestsOpen: 0, streamsOpen: 0, answered: 1000 });
  });

  it('answers bad calls and goes on', async () => {
    const { client } = await start();
    const stream = client.bidStream();
    const { replies, ended } = collect(stream);
    stream.write({ callId: 1, openrtb: Buffer.from('{') });
    stream.write(call('r', { callId: 2, exchange: 'nobody' }));
    stream.write(call('r', { callId: 3, encoding: 7 }));
    stream.write(call('throw', { callId: 4 }));
    stream.write(call('r', { callId: 5 }));
    stream.end();
    expect(await ended).toBe(STATUS.OK);
    expect(replies.map(({ callId, status }) => [callId, status])).toEqual([
      [1, 'STATUS_MALFORMED'],
      [2, 'STATUS_UNKNOWN_EXCHANGE'],
      [3, 'STATUS_UNKNOWN_ENCODING'],
      [4, 'STATUS_NO_BID'],
      [5, 'STATUS_BID'],
    ]);
  });

  it('is not read beyond its calls in flight', async () => {
    const waiting: BidReply[] = [];
    const { client, server } = await start({
      streamInFlightMax: 8,
      onBid: (_e, _b, reply) => void waiting.push(reply),
    });
    const stream = client.bidStream();
    const { replies, ended } = collect(stream);
    for (let i = 0; i < 500; i++) stream.write(call('r', { callId: i }));
    stream.end();
    let most = 0;
    await eventually('all are answered', () => {
      most = Math.max(most, server.stats().requestsOpen);
      for (const reply of waiting.splice(0)) reply.answer(OUTCOME.bid, '{}');
      return replies.length === 500;
    });
    expect(await ended).toBe(STATUS.OK);
    // One message may already be on its way when the stream is paused.
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(9);
  });

  it('forgets the calls of a stream that the client cancels', async () => {
    const waiting: BidReply[] = [];
    const { client, server } = await start({ onBid: (_exchange, _body, reply) => void waiting.push(reply) });
    const stream = client.bidStream();
    const { ended } = collect(stream);
    for (let i = 0; i < 10; i++) stream.write(call('r', { callId: i }));
    await eventually('the handler has them', () => waiting.length === 10);
    stream.cancel();
    expect(await ended).toBe(STATUS.CANCELLED);
    await eventually('nothing is open', () => server.stats().requestsOpen === 0 && server.stats().streamsOpen === 0);
    for (const reply of waiting) reply.answer(OUTCOME.bid, '{}');
    expect(server.stats()).toMatchObject({ aborted: 10, answered: 0, handlerErrors: 0 });
  });

  it('ends on a message that is far too large, and only that stream', async () => {
    const { client, server } = await start();
    const stream = client.bidStream();
    const { ended } = collect(stream);
    stream.write({ callId: 1, openrtb: Buffer.alloc(1_000_000, 32) });
    expect(await ended).toBe(STATUS.RESOURCE_EXHAUSTED);
    expect((await unary(client, call('r'))).status).toBe('STATUS_BID');
    await eventually('nothing is open', () => server.stats().streamsOpen === 0);
  });
});

describe('health and reflection', () => {
  const health = loadSync(healthProtoPath, {
    enums: String,
    includeDirs: [healthProtoPath.replace('health/v1/health.proto', '')],
  });
  const HealthClient = makeGenericClientConstructor(health['grpc.health.v1.Health'] as never, 'Health');
  const check = (client: Client, service: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, reply: { status: string }) =>
        error ? reject(error) : resolve(reply.status);
      (client as unknown as { check(request: object, done: unknown): void }).check({ service }, done);
    });

  it('a drain is seen by probes, refuses new calls, finishes the open ones', async () => {
    const { client, server } = await start();
    const probe = new HealthClient(`127.0.0.1:${server.port}`, credentials.createInsecure());
    clients.push(probe);
    expect(await check(probe, '')).toBe('SERVING');
    expect(await check(probe, 'vickrey.v1.BidService')).toBe('SERVING');
    await expect(check(probe, 'nobody')).rejects.toMatchObject({ code: STATUS.NOT_FOUND });

    const open = unary(client, call('later150'));
    const stream = client.bidStream();
    const { replies, ended } = collect(stream);
    stream.write(call('later100', { callId: 7 }));
    await eventually('both are open', () => server.stats().requestsOpen === 2);
    server.stopAccepting();
    expect(await check(probe, '')).toBe('NOT_SERVING');
    await expect(unary(client, call('r'))).rejects.toMatchObject({ code: STATUS.UNAVAILABLE });
    const closing = server.close();
    expect((await open).status).toBe('STATUS_BID');
    expect(await ended).toBe(STATUS.UNAVAILABLE);
    expect(replies.map((reply) => reply.callId)).toEqual([7]);
    await closing;
  });

  it('lists its services', async () => {
    const { server } = await start();
    const proto = new URL('../../node_modules/@grpc/reflection/build/proto/', import.meta.url).pathname;
    const reflection = loadSync('grpc/reflection/v1/reflection.proto', { includeDirs: [proto] });
    const Reflection = makeGenericClientConstructor(
      reflection['grpc.reflection.v1.ServerReflection'] as never,
      'Reflection',
    );
    const client = new Reflection(`127.0.0.1:${server.port}`, credentials.createInsecure());
    clients.push(client);
    const stream = (
      client as unknown as { serverReflectionInfo(): ClientDuplexStream<object, object> }
    ).serverReflectionInfo();
    const answer = new Promise<object>((resolve) => stream.once('data', resolve));
    stream.write({ listServices: '' });
    const { listServicesResponse } = (await answer) as { listServicesResponse: { service: { name: string }[] } };
    expect(listServicesResponse.service.map((service) => service.name)).toEqual(
      expect.arrayContaining(['vickrey.v1.BidService', 'grpc.health.v1.Health']),
    );
    const symbol = new Promise<object>((resolve) => stream.once('data', resolve));
    stream.write({ fileContainingSymbol: 'vickrey.v1.BidService' });
    expect(await symbol).toHaveProperty('fileDescriptorResponse');
    stream.end();
  });

  it('says which port it cannot have', async () => {
    const { server } = await start();
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: 'VK_PORT_UNAVAILABLE' });
  });
});
