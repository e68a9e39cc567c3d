import http from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpHandler } from '../../src/contract/index.js';
import { type PlainHttpOptions, type PlainHttpServer, startPlainHttp } from '../../src/ingress/index.js';
import { eventually, RawClient, rawPost, TestLog } from './support.js';

const MiB = 1024 * 1024;

/** Answers by path: what it was asked, a body of so many bytes, later, never, twice, or not at all. */
const echo: HttpHandler = (ask, reply) => {
  const [, what, size] = ask.path.split('/');
  if (what === 'throw') throw new Error('a bug for the test');
  if (what === 'never') return;
  if (what === 'big') {
    const part = Buffer.alloc(Number(size) / 4, 'x');
    reply.send(200, [['x-parts', '4']], [part, part, part, part]);
    return;
  }
  if (what === 'twice') reply.send(200, [], 'once');
  const answer = (): void =>
    reply.send(
      200,
      [['x-method', ask.method]],
      Buffer.from([...Buffer.from(`${ask.path} ${ask.header('x-kept')} ${ask.header('x-lost')} `), ...ask.body]),
    );
  if (what === 'later') setTimeout(answer, Number(size));
  else answer();
};

describe.each(['uws', 'node'] as const)('plain HTTP on %s', (backend) => {
  let server: PlainHttpServer;
  let log: TestLog;
  const start = async (change: Partial<PlainHttpOptions> = {}): Promise<RawClient> => {
    log = new TestLog();
    server = await startPlainHttp({
      host: '127.0.0.1',
      port: 0,
      backend,
      headers: ['x-kept'],
      bodyBytesMax: 2 * MiB,
      requestsInFlightMax: 4,
      connectionsMax: 16,
      uploadMsMax: 5_000,
      handler: echo,
      log,
      ...change,
    });
    return RawClient.connect(server.port);
  };
  afterEach(async () => {
    await server.close(50);
    expect(server.stats()).toMatchObject({ uploadsOpen: 0 });
  });

  it('hands over method, path without query, kept headers and the body', async () => {
    const client = await start();
    client.send(rawPost('body', '/a%20b?c=d', { 'X-Kept': 'K', 'X-Lost': 'L' }));
    const reply = await client.reply();
    expect(reply?.body.toString()).toBe('/a%20b K  body');
    expect(reply?.headers['x-method']).toBe('POST');
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await client.reply())?.body.toString()).toBe('/   ');
  });

  it('puts a body together from parts of any size, with and without a declared length', async () => {
    const client = await start();
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    const raw = rawPost(body, '/');
    const firstByte = raw.length - body.length + 1;
    // The first byte of the body alone, then parts that make the buffer grow.
    for (const [from, to] of [
      [0, firstByte],
      [firstByte, 90_000],
      [90_000, 90_001],
      [90_001, raw.length],
    ]) {
      client.send(raw.subarray(from, to));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await client.reply())?.body.subarray(4)).toEqual(body);
    client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let at = 0; at < 40_000; at += 8_000) {
      client.send(`${(8_000).toString(16)}\r\n`);
      client.send(body.subarray(at, at + 8_000));
      client.send('\r\n');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    client.send('0\r\n\r\n');
    expect((await client.reply())?.body.subarray(4)).toEqual(body.subarray(0, 40_000));
    expect(server.stats()).toMatchObject({ requestsOpen: 0, bodyBytesHeld: 0, uploadsOpen: 0 });
  });

  it('keeps each body whole while the next ones come', async () => {
    await start();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const post = (fill: number): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const options = { port: server.port, host: '127.0.0.1', method: 'POST', path: `/later/${20 - fill}`, agent };
        const request = http.request(options, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk) => chunks.push(chunk));
          response.on('end', () => resolve(Buffer.concat(chunks)));
        });
        request.on('error', reject);
        request.end(Buffer.alloc(50_000, fill));
      });
    const replies = await Promise.all(Array.from({ length: 16 }, (_, i) => post(i + 1)));
    for (const [i, reply] of replies.entries()) expect(reply.subarray(-50_000)).toEqual(Buffer.alloc(50_000, i + 1));
    agent.destroy();
  });

  it('refuses a body that is too large with a reason, and closes', async () => {
    const client = await start({ bodyBytesMax: 100_000 });
    client.send(rawPost(Buffer.alloc(200_000), '/'));
    const reply = await client.reply();
    expect([reply?.status, reply?.body.toString()]).toEqual([
      400,
      '{"error":"the request body must be <= 100000 bytes"}',
    ]);
    await client.untilClosed();
    expect(server.stats()).toMatchObject({ bodiesTooLarge: 1, bodyBytesHeld: 0, requestsOpen: 0 });
  });

  it('answers 503 past the bound of requests, but lets probes through', async () => {
    const client = await start({ requestsInFlightMax: 1 });
    client.send(rawPost('', '/never'));
    await eventually('one request is open', () => server.stats().requestsOpen === 1);
    const second = await RawClient.connect(server.port);
    second.send(rawPost('x', '/'));
    expect(await second.reply()).toMatchObject({ status: 503 });
    second.send('GET /probe HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await second.reply()).toMatchObject({ status: 200 });
    expect(server.stats().refusedInFlight).toBe(1);
  });

  it('answers 503 past the bound of bytes held', async () => {
    const client = await start({ bodyBytesHeldMax: 10_000 });
    client.send(rawPost(Buffer.alloc(8_000), '/never'));
    await eventually('the body is held', () => server.stats().bodyBytesHeld === 8_000);
    const second = await RawClient.connect(server.port);
    second.send(rawPost(Buffer.alloc(4_000), '/'));
    expect(await second.reply()).toMatchObject({ status: 503 });
    client.socket.destroy();
    await eventually('the bytes are free again', () => server.stats().bodyBytesHeld === 0);
    second.send(rawPost(Buffer.alloc(4_000), '/'));
    expect(await second.reply()).toMatchObject({ status: 200 });
  });

  it('cuts off a slow body', async () => {
    const client = await start({ uploadMsMax: 100 });
    client.send(rawPost('1234567890', '/').subarray(0, -5));
    expect(await client.reply()).toMatchObject({ status: 400 });
    await client.untilClosed();
    expect(server.stats()).toMatchObject({ uploadsTimedOut: 1, requestsOpen: 0 });
  });

  it('tells the handler once when the client leaves', async () => {
    let left = 0;
    let late: (() => void) | undefined;
    const client = await start({
      handler: (_ask, reply) => {
        reply.onAborted(() => {
          left += 1;
        });
        late = () => reply.send(200, [], 'to nobody');
      },
    });
    client.send(rawPost('x', '/'));
    await eventually('the handler is asked', () => late !== undefined);
    client.socket.destroy();
    await eventually('the handler knows', () => left > 0);
    late?.();
    expect(left).toBe(1);
    expect(server.stats()).toMatchObject({ aborted: 1, requestsOpen: 0, handlerErrors: 0 });
  });

  it('answers 500 for a handler that throws, and logs it and a second answer', async () => {
    const client = await start();
    client.send(rawPost('', '/throw'));
    expect(await client.reply()).toMatchObject({ status: 500 });
    client.send(rawPost('', '/twice'));
    expect((await client.reply())?.body.toString()).toBe('once');
    expect(server.stats().handlerErrors).toBe(2);
    expect(log.lines.map((line) => line.level)).toEqual(['error', 'error']);
  });

  it('sends a large reply in parts to a slow reader, whole', async () => {
    const client = await start();
    client.socket.pause();
    client.send(rawPost('', `/big/${8 * MiB}`));
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.resume();
    expect((await client.reply())?.body.equals(Buffer.alloc(8 * MiB, 'x'))).toBe(true);
    client.send(rawPost('', '/next'));
    expect(await client.reply()).toMatchObject({ status: 200 });
  });

  it('drains: open requests are answered, with the order to close', async () => {
    const client = await start();
    client.send(rawPost('', '/later/50'));
    await eventually('the request is open', () => server.stats().requestsOpen === 1);
    const closed = server.close(2_000);
    const reply = await client.reply();
    expect([reply?.status, reply?.headers.connection?.toLowerCase()]).toEqual([200, 'close']);
    await closed;
    await expect(RawClient.connect(server.port)).rejects.toThrow();
  });

  it('says that its port is taken', async () => {
    await start();
    const options = { host: '127.0.0.1', port: server.port, backend, headers: [], bodyBytesMax: 1 };
    const limits = { requestsInFlightMax: 1, connectionsMax: 1, uploadMsMax: 1_000, handler: echo, log };
    await expect(startPlainHttp({ ...options, ...limits })).rejects.toMatchObject({ code: 'VK_PORT_UNAVAILABLE' });
  });

  it('closes connections past their bound', async () => {
    const client = await start({ connectionsMax: 1 });
    client.send(rawPost('', '/'));
    expect(await client.reply()).toMatchObject({ status: 200 });
    const second = await RawClient.connect(server.port);
    await second.untilClosed();
    expect(server.stats().connectionsRefused).toBe(1);
  });
});
