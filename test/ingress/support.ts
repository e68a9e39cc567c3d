import { once } from 'node:events';
import net from 'node:net';
import { AuctionRequest, OUTCOME } from '../../src/contract/index.js';
import type { HttpServer, HttpServerOptions, IngressLog, OnBid } from '../../src/ingress/index.js';
import { startHttp } from '../../src/ingress/index.js';
import { decodeJson } from '../../src/openrtb/index.js';

/** Keeps what was logged. */
export class TestLog implements IngressLog {
  readonly lines: { level: string; fields: object; message: string }[] = [];
  info = (fields: object, message: string) => void this.lines.push({ level: 'info', fields, message });
  warn = (fields: object, message: string) => void this.lines.push({ level: 'warn', fields, message });
  error = (fields: object, message: string) => void this.lines.push({ level: 'error', fields, message });
}

/** A bidder that reads with the real decoder and answers at once; what it does is in the request's id. */
export const echoBidder: OnBid = (exchange, body, reply) => {
  const request = new AuctionRequest();
  if (!decodeJson(body, request)) return reply.answer(OUTCOME.malformed, '');
  if (request.id === 'none') return reply.answer(OUTCOME.no_candidate, '');
  if (request.id === 'throw') throw new Error('a bug for the test');
  if (request.id === 'twice') reply.answer(OUTCOME.below_floor, '');
  if (request.id === 'never') return;
  const answer = () =>
    reply.answer(OUTCOME.bid, JSON.stringify({ id: request.id, exchange, x: 'x'.repeat(request.tmaxMs) }));
  if (request.id.startsWith('later')) setTimeout(answer, Number(request.id.slice(5)));
  else answer();
};

function httpOptions(change: Partial<HttpServerOptions> = {}): HttpServerOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    backend: 'node',
    exchanges: ['acme'],
    bodyBytesMax: 64 * 1024,
    bodyDecompressedBytesMax: 128 * 1024,
    onBid: echoBidder,
    log: new TestLog(),
    ...change,
  };
}

export const startTestHttp = (change: Partial<HttpServerOptions>): Promise<HttpServer> =>
  startHttp(httpOptions(change));

/** `tmax` decides how long the answer is. */
export const bidRequest = (id: string, tmax = 0) =>
  JSON.stringify({ id, tmax, imp: [{ id: '1', banner: { w: 1, h: 1 } }] });

/** A request as it goes over the socket. */
export function rawPost(body: string | Buffer, path = '/openrtb2/bid', headers: Record<string, string> = {}): Buffer {
  const length = { 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries({ Host: 'x', ...length, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(body)]);
}

export interface RawReply {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** A socket that speaks bytes, for what no HTTP client would send. */
export class RawClient {
  closed = false;
  private received = Buffer.alloc(0);
  private wake = () => {};

  private constructor(readonly socket: net.Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** The next reply; null where the connection closes first. */
  async reply(): Promise<RawReply | null> {
    for (;;) {
      const parsed = this.parse();
      if (parsed !== null) return parsed;
      if (this.closed) return null;
      await this.change();
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await this.change();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private parse(): RawReply | null {
    const end = this.received.indexOf('\r\n\r\n');
    if (end === -1) return null;
    const [first, ...lines] = this.received.subarray(0, end).toString().split('\r\n');
    const headers: Record<string, string> = {};
    for (const line of lines)
      headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
    const length = Number(headers['content-length'] ?? 0);
    if (this.received.length < end + 4 + length) return null;
    const body = Buffer.from(this.received.subarray(end + 4, end + 4 + length));
    this.received = this.received.subarray(end + 4 + length);
    return { status: Number(first.split(' ')[1]), headers, body };
  }
}

/** Waits until `check` holds; fails the test with what it was waiting for. */
export async function eventually(what: string, check: () => boolean, msMax = 10_000): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (!check()) {
    if (performance.now() > untilMs) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
