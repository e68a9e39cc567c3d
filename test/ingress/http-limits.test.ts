import { Client } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { OUTCOME } from '../../src/contract/index.js';
import type { BidReply, HttpServer, HttpServerOptions } from '../../src/ingress/index.js';
import { bidRequest, eventually, RawClient, rawPost, startTestHttp } from './support.js';

describe.each(['uws', 'node'] as const)('limits and drain of HTTP on %s', (backend) => {
  const servers: HttpServer[] = [];
  const start = async (change: Partial<HttpServerOptions> = {}) => {
    const server = await startTestHttp({ backend, ...change });
    servers.push(server);
    return server;
  };
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close(0);
  });

  it('cuts off an upload that takes too long', async () => {
    const server = await start({ uploadMsMax: 100 });
    const client = await RawClient.connect(server.port);
    client.send(rawPost(bidRequest('r')).subarray(0, -20));
    const drip = setInterval(() => client.send(' '), 40);
    const reply = await client.reply();
    clearInterval(drip);
    expect([reply?.status, reply?.headers.connection?.toLowerCase()]).toEqual([400, 'close']);
    await client.untilClosed();
    expect(server.stats()).toMatchObject({ requestsOpen: 0, uploadsOpen: 0, uploadsTimedOut: 1 });
  });

  it('cuts off a refused upload too', async () => {
    const server = await start({ uploadMsMax: 100 });
    const client = await RawClient.connect(server.port);
    client.send(rawPost(bidRequest('r'), undefined, { 'Content-Type': 'text/html' }).subarray(0, -20));
    expect((await client.reply())?.status).toBe(400);
    await eventually('it is forgotten', () => server.stats().uploadsOpen === 0);
  });

  it('does not hold a body that is too large', async () => {
    const server = await start();
    const client = await RawClient.connect(server.port);
    const part = Buffer.alloc(1_000_000, 32);
    client.send(`POST /openrtb2/bid HTTP/1.1\r\nHost: x\r\nContent-Length: ${40 * part.length}\r\n\r\n`);
    for (let i = 0; i < 40; i++) {
      if (!client.socket.write(part)) await new Promise((resolve) => client.socket.once('drain', resolve));
    }
    expect((await client.reply())?.status).toBe(400);
    expect(server.stats()).toMatchObject({ bodiesTooLarge: 1, requestsOpen: 0 });
    client.send(rawPost(bidRequest('r')));
    expect((await client.reply())?.status).toBe(200);
    client.socket.destroy();
  });

  it('stops reading a body without end', async () => {
    const server = await start();
    const client = await RawClient.connect(server.port);
    client.send('POST /openrtb2/bid HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n');
    const part = Buffer.alloc(1_000_000, 32);
    const pump = () => {
      while (!client.closed && client.socket.write(part)) {}
    };
    client.socket.on('drain', pump);
    pump();
    await client.untilClosed();
    await eventually('nothing is open', () => server.stats().requestsOpen === 0);
    expect(server.stats().answered400).toBe(1);
  });

  it('refuses at once what is more than it may have in flight', async () => {
    const waiting: BidReply[] = [];
    const server = await start({
      requestsInFlightMax: 2,
      onBid: (_exchange, _body, reply) => void waiting.push(reply),
    });
    const clients = await Promise.all([1, 2, 3].map(() => RawClient.connect(server.port)));
    for (const [i, client] of clients.entries()) {
      client.send(rawPost(bidRequest('r')));
      if (i < 2) await eventually('the handler has it', () => waiting.length === i + 1);
    }
    expect((await clients[2].reply())?.status).toBe(204);
    expect(server.stats()).toMatchObject({ refusedInFlight: 1, requestsOpen: 2 });
    for (const reply of waiting) reply.answer(OUTCOME.bid, '{}');
    expect((await clients[0].reply())?.status).toBe(200);
    clients[2].send(rawPost(bidRequest('r')));
    await eventually('there is room again', () => waiting.length === 3);
    waiting[2].answer(OUTCOME.bid, '{}');
    expect((await clients[2].reply())?.status).toBe(200);
    for (const client of clients) client.socket.destroy();
  });

  it('closes connections beyond its limit', async () => {
    const server = await start({ connectionsMax: 2 });
    const clients = [await RawClient.connect(server.port), await RawClient.connect(server.port)];
    await eventually('both are counted', () => server.stats().connectionsOpen === 2);
    const third = await RawClient.connect(server.port);
    await third.untilClosed();
    expect(server.stats().connectionsRefused).toBe(1);
    clients[0].send(rawPost(bidRequest('r')));
    expect((await clients[0].reply())?.status).toBe(200);
    for (const client of clients) client.socket.destroy();
    await eventually('all are counted off', () => server.stats().connectionsOpen === 0);
  });

  it('draining: no new connection, a goodbye on the next answer, and an end when all is answered', async () => {
    const server = await start();
    const busy = await RawClient.connect(server.port);
    const idle = await RawClient.connect(server.port);
    busy.send(rawPost(bidRequest('later150')));
    await eventually('it is open', () => server.stats().requestsOpen === 1);
    await eventually('both are connected', () => server.stats().connectionsOpen === 2);
    server.stopAccepting();
    await expect(RawClient.connect(server.port)).rejects.toThrow();
    if (backend === 'uws') {
      idle.send(rawPost(bidRequest('r')));
      expect((await idle.reply())?.headers.connection).toBe('close');
    }
    const closing = server.close();
    const reply = await busy.reply();
    expect([reply?.status, reply?.headers.connection]).toEqual([200, 'close']);
    await closing;
    await Promise.all([busy.untilClosed(), idle.untilClosed()]);
    expect(server.stats()).toMatchObject({ requestsOpen: 0 });
  });

  it('gives up a drain after its bound', async () => {
    const server = await start();
    const client = await RawClient.connect(server.port);
    client.send(rawPost(bidRequest('never')));
    await eventually('it is open', () => server.stats().requestsOpen === 1);
    await server.close(50);
    await client.untilClosed();
    await eventually('it is counted as aborted', () => server.stats().requestsOpen === 0);
  });

  it('says which port it cannot have, and never shares one', async () => {
    const first = await start();
    await expect(start({ port: first.port })).rejects.toMatchObject({ code: 'VK_PORT_UNAVAILABLE' });
    // uWebSockets.js treats a port that was asked for differently from one that it chose.
    const { port } = first;
    await servers.pop()?.close(0);
    await start({ port });
    await expect(start({ port })).rejects.toMatchObject({ code: 'VK_PORT_UNAVAILABLE' });
  });

  it('sends a reply that is larger than the socket takes, whole, to a client that reads late', async () => {
    const body = Array.from({ length: 600_000 }, (_, i) => String(i % 10_000).padStart(10)).join('');
    const server = await start({ onBid: (_exchange, _body, reply) => reply.answer(OUTCOME.bid, body) });
    const client = await RawClient.connect(server.port);
    client.socket.pause();
    client.send(rawPost(bidRequest('r')));
    await eventually('it is answered', () => server.stats().answered200 === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.resume();
    const reply = await client.reply();
    expect(reply?.body.equals(Buffer.from(body))).toBe(true);
    client.send(rawPost(bidRequest('r')));
    expect((await client.reply())?.status).toBe(200);
    client.socket.destroy();
  });

  it('does not pile up replies for a client that never reads', async () => {
    // The kernel's buffers of both ends hold up to 36 MiB: five of these.
    const body = 'x'.repeat(8_000_000);
    const server = await start({ onBid: (_exchange, _body, reply) => reply.answer(OUTCOME.bid, body) });
    const client = await RawClient.connect(server.port);
    client.socket.pause();
    const sender = setInterval(() => client.closed || client.send(rawPost(bidRequest('r'))), 5);
    await new Promise((resolve) => setTimeout(resolve, 500));
    clearInterval(sender);
    // What the socket's buffers took, and the one that is stuck.
    expect(server.stats().answered200).toBeLessThan(10);
    client.socket.destroy();
    await eventually('it is forgotten', () => server.stats().requestsOpen === 0);
  });

  it('bounds the bodies that are still arriving', async () => {
    const server = await start({ requestsInFlightMax: 2 });
    const half = rawPost(bidRequest('r')).subarray(0, -20);
    const clients = await Promise.all([1, 2, 3].map(() => RawClient.connect(server.port)));
    for (const [i, client] of clients.entries()) {
      client.send(half);
      await eventually('it has arrived', () => server.stats().requests === i + 1);
      await eventually(
        'it is kept or refused',
        () => server.stats().uploadsOpen + server.stats().refusedInFlight === i + 1,
      );
    }
    expect((await clients[2].reply())?.status).toBe(204);
    expect(server.stats()).toMatchObject({ uploadsOpen: 2, refusedInFlight: 1 });
    clients[0].send(rawPost(bidRequest('r')).subarray(-20));
    expect((await clients[0].reply())?.status).toBe(200);
    for (const client of clients) client.socket.destroy();
  });

  it('puts a body together that comes a byte at a time', async () => {
    const server = await start();
    const client = await RawClient.connect(server.port);
    const body = bidRequest('a byte at a time');
    client.send('POST /openrtb2/bid HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const byte of Buffer.from(body)) client.send(`1\r\n${String.fromCharCode(byte)}\r\n`);
    client.send('0\r\n\r\n');
    expect(JSON.parse(String((await client.reply())?.body))).toMatchObject({ id: 'a byte at a time' });
    client.socket.destroy();
  });

  it('serves many connections at once without losing a reply', async () => {
    const server = await start();
    const clients = Array.from({ length: 32 }, () => new Client(`http://127.0.0.1:${server.port}`));
    await Promise.all(
      clients.map(async (client, c) => {
        for (let i = 0; i < 20; i++) {
          const id = `later${(c * 7 + i) % 9}`;
          const response = await client.request({ method: 'POST', path: '/openrtb2/bid/acme', body: bidRequest(id) });
          expect(JSON.parse(await response.body.text())).toMatchObject({ id, exchange: 'acme' });
        }
        await client.close();
      }),
    );
    expect(server.stats()).toMatchObject({ requests: 640, answered200: 640, requestsOpen: 0 });
  });
});
