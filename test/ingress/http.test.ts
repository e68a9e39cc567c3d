import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpServer } from '../../src/ingress/index.js';
import { bidRequest, eventually, RawClient, rawPost, startTestHttp, TestLog } from './support.js';

describe.each(['uws', 'node'] as const)('HTTP on %s', (backend) => {
  const log = new TestLog();
  let server: HttpServer;
  let pool: Pool;

  beforeAll(async () => {
    server = await startTestHttp({ backend, log });
    pool = new Pool(`http://127.0.0.1:${server.port}`, { connections: 8 });
  });
  afterAll(async () => {
    await pool.destroy();
    await server.close();
  });

  const post = async (body: string | Buffer, headers: Record<string, string> = {}, path = '/openrtb2/bid') => {
    const response = await pool.request({ method: 'POST', path, body, headers });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: Buffer.from(await response.body.arrayBuffer()),
    };
  };
  const idle = () =>
    eventually('nothing is open', () => server.stats().requestsOpen === 0 && server.stats().uploadsOpen === 0);

  const gzip = { 'content-encoding': 'gzip' };
  const good = bidRequest('r');
  const table: [string, string | Buffer, Record<string, string>, number][] = [
    ['a bid', good, {}, 200],
    ['a bid later', bidRequest('later5'), {}, 200],
    ['no bid', bidRequest('none'), {}, 204],
    ['no body', '', {}, 400],
    ['not JSON', 'hello', {}, 400],
    ['JSON but no bid request', '{}', {}, 400],
    ['JSON with a charset', good, { 'content-type': 'application/json;charset=utf-8' }, 200],
    ['JSON in capitals', good, { 'content-type': 'Application/JSON; Charset=UTF-8' }, 200],
    ['JSON of a vendor', good, { 'content-type': 'application/openrtb+json' }, 200],
    ['a form', good, { 'content-type': 'application/x-www-form-urlencoded' }, 400],
    ['HTML', good, { 'content-type': 'text/html' }, 400],
    ['a content type of 10 kB', good, { 'content-type': 'x'.repeat(10_000) }, 400],
    ['gzip', gzipSync(good), gzip, 200],
    ['gzip in capitals', gzipSync(good), { 'content-encoding': 'GZIP' }, 200],
    ['identity', good, { 'content-encoding': 'identity' }, 200],
    ['gzip that is none', good, gzip, 400],
    ['gzip cut short', gzipSync(good).subarray(0, -9), gzip, 400],
    ['gzip with a broken checksum', Buffer.from(gzipSync(good)).fill(0, gzipSync(good).length - 8), gzip, 400],
    ['empty gzip', Buffer.alloc(0), gzip, 400],
    ['a gzip bomb', gzipSync(Buffer.alloc(30_000_000)), gzip, 400],
    ['a gzip bomb that is a bid request', gzipSync(good.padEnd(30_000_000)), gzip, 400],
    ['gzip at the limit', gzipSync(good.padEnd(128 * 1024)), gzip, 200],
    ['a coding we do not read', good, { 'content-encoding': 'br' }, 400],
    ['two codings', gzipSync(good), { 'content-encoding': 'gzip, gzip' }, 400],
    ['a body at the limit', good.padEnd(64 * 1024), {}, 200],
    ['a body one byte over the limit', good.padEnd(64 * 1024 + 1), {}, 400],
    ['a body of 10 MB', Buffer.alloc(10_000_000, 32), {}, 400],
    ['a body of many chunks', good.padEnd(60_000), {}, 200],
    ['a key __proto__', '{"__proto__":{"id":"x"},"constructor":{"prototype":{}},"id":"r","imp":[{"id":"1"}]}', {}, 200],
    ['nesting 30 000 deep', `{"id":"r","imp":[{"id":"1"}],"ext":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, {}, 200],
    ['nesting that never closes', '['.repeat(60_000), {}, 400],
    ['a handler that throws', bidRequest('throw'), {}, 204],
    ['a handler that answers twice', bidRequest('twice'), {}, 204],
  ];
  it.each(table)('%s', async (_name, body, headers, status) => {
    const reply = await post(body, headers);
    expect(reply.status).toBe(status);
    if (status !== 200) expect(reply.body.length).toBe(0);
    else expect(JSON.parse(reply.body.toString()).exchange).toBe('');
    // The connections are as good as before.
    expect((await post(good)).status).toBe(200);
    await idle();
  });

  const paths: [string, string, number][] = [
    ['POST', '/openrtb2/bid', 200],
    ['POST', '/openrtb2/bid?debug=1', 200],
    ['POST', '/openrtb2/bid/acme', 200],
    ['POST', '/openrtb2/bid/acme?x', 200],
    ['POST', '/openrtb2/bid/nobody', 404],
    ['POST', '/openrtb2/bid/__proto__', 404],
    ['POST', '/openrtb2/bid/acme/x', 404],
    ['POST', '/openrtb2/bids', 404],
    ['POST', '/', 404],
    ['GET', '/openrtb2/bid', 405],
    ['PUT', '/openrtb2/bid/acme', 405],
    ['DELETE', '/openrtb2/bid', 405],
    ['GET', '/', 404],
  ];
  it.each(paths)('%s %s is %i', async (method, path, status) => {
    const response = await pool.request({ method, path, body: method === 'GET' ? undefined : good });
    const text = await response.body.text();
    expect(response.statusCode).toBe(status);
    if (status === 200) expect(JSON.parse(text).exchange).toBe(path.includes('acme') ? 'acme' : '');
    if (status === 405) expect(response.headers.allow).toBe('POST');
  });

  it.each([
    ['2.5', '2.5'],
    ['2.6', '2.6'],
    ['2.6-202409', '2.6-202409'],
    ['<script>', undefined],
    ['2.6; x=y', undefined],
    ['9'.repeat(500), undefined],
  ])('x-openrtb-version %s comes back as %s', async (sent, back) => {
    for (const id of ['r', 'none', 'later1']) {
      const { headers } = await post(bidRequest(id), { 'x-openrtb-version': sent });
      expect(headers['x-openrtb-version']).toBe(back);
    }
  });

  it.each([
    ['', 5000, false],
    ['gzip', 5000, true],
    ['deflate, GZIP;q=0.5', 5000, true],
    ['gzip;q=0', 5000, false],
    ['br', 5000, false],
    ['gzip', 10, false],
  ])('Accept-Encoding "%s" and %i characters', async (accept, chars, compressed) => {
    const reply = await post(bidRequest('r', chars), accept === '' ? {} : { 'accept-encoding': accept });
    expect(reply.headers['content-encoding']).toBe(compressed ? 'gzip' : undefined);
    const body = compressed ? gunzipSync(reply.body) : reply.body;
    expect(JSON.parse(body.toString()).x.length).toBe(chars);
    expect(reply.headers['content-type']).toBe('application/json');
  });

  it('reads a chunked body', async () => {
    const client = await RawClient.connect(server.port);
    client.send('POST /openrtb2/bid HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const part of good.match(/.{1,7}/g) ?? []) {
      client.send(`${part.length.toString(16)}\r\n${part}\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    client.send('0\r\n\r\n');
    expect((await client.reply())?.status).toBe(200);
    client.socket.destroy();
  });

  it('reads a body that comes byte by byte', async () => {
    const client = await RawClient.connect(server.port);
    client.socket.setNoDelay(true);
    const message = rawPost(good);
    // uWebSockets.js wants the request line in one piece; node:http does not.
    const line = backend === 'uws' ? message.indexOf('\n') + 1 : 1;
    client.send(message.subarray(0, line));
    for (const byte of message.subarray(line)) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.reply())?.status).toBe(200);
    client.socket.destroy();
  });

  it('keeps the connection for the next request', async () => {
    const client = await RawClient.connect(server.port);
    for (const [id, status] of [
      ['r', 200],
      ['none', 204],
      ['later1', 200],
      ['', 400],
      ['r', 200],
    ] as const) {
      client.send(rawPost(id === '' ? 'x' : bidRequest(id)));
      expect((await client.reply())?.status).toBe(status);
    }
    client.socket.destroy();
  });

  it('answers pipelined requests in order when it can answer each at once', async () => {
    const client = await RawClient.connect(server.port);
    client.send(Buffer.concat(['a', 'none', 'b'].map((id) => rawPost(bidRequest(id)))));
    const replies = [await client.reply(), await client.reply(), await client.reply()];
    expect(replies.map((reply) => reply?.status)).toEqual([200, 204, 200]);
    expect(JSON.parse(String(replies[2]?.body)).id).toBe('b');
    client.socket.destroy();
  });

  it('survives pipelined requests that are answered later', async () => {
    const client = await RawClient.connect(server.port);
    client.send(Buffer.concat([rawPost(bidRequest('later20')), rawPost(bidRequest('later10'))]));
    // uWebSockets.js closes such a connection; node:http answers in order.
    const replies = [await client.reply(), await client.reply()];
    expect(replies.map((reply) => reply?.status ?? 0)).toEqual(backend === 'node' ? [200, 200] : [0, 0]);
    client.socket.destroy();
    await idle();
  });

  it('forgets a client that goes away during its upload', async () => {
    const before = server.stats();
    const client = await RawClient.connect(server.port);
    client.send(rawPost(good).subarray(0, -10));
    await eventually('the upload is open', () => server.stats().uploadsOpen === 1);
    client.socket.resetAndDestroy();
    await idle();
    expect(server.stats().aborted).toBe(before.aborted + 1);
  });

  it('forgets a client that goes away before its answer, and the answer then does nothing', async () => {
    const before = server.stats();
    const client = await RawClient.connect(server.port);
    client.send(rawPost(bidRequest('later50')));
    await eventually('the request is open', () => server.stats().requestsOpen === 1);
    client.socket.resetAndDestroy();
    await idle();
    await new Promise((resolve) => setTimeout(resolve, 80));
    const after = server.stats();
    expect([after.aborted - before.aborted, after.answered200 - before.answered200]).toEqual([1, 0]);
    expect(after.handlerErrors).toBe(before.handlerErrors);
  });

  it('logs the bugs of a handler and counts them', async () => {
    const before = server.stats().handlerErrors;
    const lines = log.lines.length;
    await post(bidRequest('throw'));
    await post(bidRequest('twice'));
    expect(server.stats().handlerErrors).toBe(before + 2);
    expect(log.lines.slice(lines).map((line) => line.level)).toEqual(['error', 'error']);
  });

  it('any body gets 200, 204 or 400', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 3_000 }).map((body) => Buffer.from(body)),
      fc.json().map((text) => Buffer.from(text)),
      fc.json().map((text) => gzipSync(text)),
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => Buffer.from(good).fill(value, at, at + 1)),
    );
    const type = fc.constantFrom('application/json', 'text/plain', '', ';', 'application/json;;;');
    const coding = fc.constantFrom('gzip', 'identity', 'deflate');
    await fc.assert(
      fc.asyncProperty(
        bytes,
        type,
        fc.option(coding, { nil: undefined }),
        async (body, contentType, contentEncoding) => {
          const headers: Record<string, string> = { 'content-type': contentType };
          if (contentEncoding !== undefined) headers['content-encoding'] = contentEncoding;
          const reply = await post(body, headers);
          expect([200, 204, 400]).toContain(reply.status);
          if (reply.status !== 200) expect(reply.body.length).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
    await idle();
  });

  it('whatever bytes come, the next client is served', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(60), async (noise, at) => {
        const client = await RawClient.connect(server.port);
        const message = rawPost(good);
        client.send(Buffer.concat([message.subarray(0, at), noise, message.subarray(at)]));
        await new Promise((resolve) => setTimeout(resolve, 2));
        client.socket.destroy();
        expect((await post(good)).status).toBe(200);
      }),
      { numRuns: 60 },
    );
    await idle();
  });

  it('counts every request exactly once', async () => {
    const { requests, answered200, answered204, answered400, aborted, requestsOpen } = server.stats();
    expect(answered200 + answered204 + answered400 + aborted + requestsOpen).toBe(requests);
  });
});
