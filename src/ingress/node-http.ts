import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OperatingError } from '../contract/index.js';
import { HttpCall } from './http-call.js';
import { HttpFront, type HttpServer, type HttpServerOptions } from './http-front.js';
import { exchangeOfPath, versionToEcho } from './http-rules.js';

const NO_BYTES = new Uint8Array(0);
const DRAIN_MS_MAX = 5_000;
const HEADER_BYTES_MAX = 16 * 1024;

/** A bid request on node:http. */
class NodeCall extends HttpCall {
  constructor(
    front: HttpFront,
    exchange: string,
    request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    const headers = request.headers;
    super(
      front,
      exchange,
      headers['content-type'] ?? '',
      headers['content-encoding'] ?? '',
      String(headers['accept-encoding'] ?? ''),
      versionToEcho(String(headers['x-openrtb-version'] ?? '')),
    );
    request.on('data', (chunk: Buffer) => this.take(chunk, false));
    request.on('end', () => this.take(NO_BYTES, true));
    // `close` without a finished response is the client going away, during the upload or before the answer.
    response.on('close', () => this.aborted());
    request.on('error', () => this.aborted());
  }

  protected send(status: 200 | 204 | 400, body: string | Uint8Array, gzip: boolean, closing: boolean): void {
    const response = this.response;
    if (this.version !== '') response.setHeader('x-openrtb-version', this.version);
    if (closing) response.setHeader('connection', 'close');
    if (status === 200) {
      response.setHeader('content-type', 'application/json');
      if (gzip) response.setHeader('content-encoding', 'gzip');
    }
    if (status !== 204) {
      response.setHeader('content-length', typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength);
    }
    response.writeHead(status);
    response.end(body);
  }
}

/** Serves bids on node:http, where uWebSockets.js does not load. @throws OperatingError VK_PORT_UNAVAILABLE */
export async function startNode(options: HttpServerOptions): Promise<HttpServer> {
  const front = new HttpFront(options);
  const exchanges = new Set(options.exchanges);
  const server = createServer(
    {
      keepAliveTimeout: front.idleMsMax,
      headersTimeout: front.uploadMsMax,
      // Bodies have the front's own clock; this is the bound behind it.
      requestTimeout: 2 * front.uploadMsMax,
      connectionsCheckingInterval: Math.min(1_000, front.uploadMsMax),
      maxHeaderSize: HEADER_BYTES_MAX,
      noDelay: true,
    },
    (request, response) => {
      const url = request.url ?? '';
      const query = url.indexOf('?');
      const exchange = exchangeOfPath(query === -1 ? url : url.slice(0, query), exchanges);
      if (exchange !== undefined && request.method === 'POST') {
        new NodeCall(front, exchange, request, response);
        return;
      }
      front.stats.answeredOther += 1;
      request.resume();
      if (front.draining) response.setHeader('connection', 'close');
      if (exchange !== undefined) response.setHeader('allow', 'POST');
      response.writeHead(exchange === undefined ? 404 : 405, { 'content-length': 0 }).end();
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
      const address = `${options.host}:${options.port}`;
      const message = `cannot listen on ${address}; is another process there?`;
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
    async close(drainMsMax = DRAIN_MS_MAX) {
      stopAccepting();
      await front.drained(drainMsMax);
      server.closeAllConnections();
    },
    stats: () => ({ ...front.stats }),
  };
}
