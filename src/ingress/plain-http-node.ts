import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OperatingError } from '../contract/index.js';
import { joined, PlainCall, type ReplyHeaders } from './plain-http-call.js';
import {
  PLAIN_DRAIN_MS_MAX,
  type PlainFront,
  type PlainHttpOptions,
  type PlainHttpServer,
} from './plain-http-front.js';

const NO_BYTES = new Uint8Array(0);
const HEADER_BYTES_MAX = 16 * 1024;
const IDLE_MS_MAX = 300_000;

/** A request on node:http. */
class NodePlainCall extends PlainCall {
  constructor(
    front: PlainFront,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    const url = request.url ?? '';
    const query = url.indexOf('?');
    const declaredBytes = Number(request.headers['content-length']) || 0;
    super(front, request.method ?? '', query === -1 ? url : url.slice(0, query), declaredBytes);
    let arrivedBytes = 0;
    // The part that completes the declared length is the last, so that a body in one part needs no copy.
    request.on('data', (chunk: Buffer) => {
      arrivedBytes += chunk.byteLength;
      this.take(chunk, arrivedBytes === declaredBytes);
    });
    request.on('end', () => this.take(NO_BYTES, true));
    // `close` without a finished response is the client going away, during the upload or before the answer.
    response.on('close', () => this.aborted());
    request.on('error', () => this.aborted());
  }

  header(name: string): string {
    return this.front.headers.includes(name) ? String(this.request.headers[name] ?? '') : '';
  }

  /** Node makes new memory for what it reads next. */
  protected own(chunk: Uint8Array): Uint8Array {
    return chunk;
  }

  protected write(
    status: number,
    headers: ReplyHeaders,
    parts: string | Uint8Array | readonly Uint8Array[],
    closing: boolean,
  ): void {
    const response = this.response;
    const body = joined(parts);
    if (closing) response.setHeader('connection', 'close');
    for (const [name, value] of headers) response.setHeader(name, value);
    response.setHeader('content-length', typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength);
    response.writeHead(status);
    response.end(body);
  }
}

/** Serves on node:http, where uWebSockets.js does not load. @throws OperatingError VK_PORT_UNAVAILABLE */
export async function startPlainNode(front: PlainFront, options: PlainHttpOptions): Promise<PlainHttpServer> {
  const server = createServer(
    {
      keepAliveTimeout: IDLE_MS_MAX,
      headersTimeout: front.uploadMsMax,
      // Bodies have the front's own clock; this is the bound behind it.
      requestTimeout: 2 * front.uploadMsMax,
      connectionsCheckingInterval: Math.min(1_000, front.uploadMsMax),
      maxHeaderSize: HEADER_BYTES_MAX,
      noDelay: true,
    },
    (request, response) => {
      new NodePlainCall(front, request, response);
    },
  );
  server.maxConnections = front.connectionsMax;
  server.on('connection', (socket) => {
    front.stats.connectionsOpen += 1;
    socket.on('close', () => {
      front.stats.connectionsOpen -= 1;
    });
  });
  server.on('drop', () => {
    front.stats.connectionsRefused += 1;
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${options.host}:${options.port}; is another process there?`;
      reject(new OperatingError('VK_PORT_UNAVAILABLE', 'operator', message, [], { cause }));
    });
    server.listen(options.port, options.host, resolve);
  });
  const stopAccepting = (): void => {
    front.draining = true;
    server.close();
  };
  return {
    port: (server.address() as AddressInfo).port,
    backend: 'node',
    stopAccepting,
    async close(drainMsMax = PLAIN_DRAIN_MS_MAX) {
      stopAccepting();
      await front.drained(drainMsMax);
      server.closeAllConnections();
    },
    stats: () => ({ ...front.stats }),
  };
}
