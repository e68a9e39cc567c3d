import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket } from 'uWebSockets.js';
import { OperatingError } from '../contract/index.js';
import { HttpCall } from './http-call.js';
import { HttpFront, type HttpServer, type HttpServerOptions } from './http-front.js';
import { BID_PATH, versionToEcho } from './http-rules.js';

type Uws = typeof import('uWebSockets.js');

const STATUS_LINES = { 200: '200 OK', 204: '204 No Content', 400: '400 Bad Request' } as const;
const DRAIN_MS_MAX = 5_000;
type ListenDone = (listener: us_listen_socket | false) => void;

/** A bid request on uWebSockets.js. `response` must not be touched after `end` or after the abort. */
class UwsCall extends HttpCall {
  constructor(
    front: HttpFront,
    exchange: string,
    private readonly response: HttpResponse,
    request: HttpRequest,
  ) {
    super(
      front,
      exchange,
      request.getHeader('content-type'),
      request.getHeader('content-encoding'),
      request.getHeader('accept-encoding'),
      versionToEcho(request.getHeader('x-openrtb-version')),
    );
    response.onAborted(() => this.aborted());
    response.onData((chunk, last) => this.take(new Uint8Array(chunk), last));
  }

  protected send(status: 200 | 204 | 400, body: string | Uint8Array, gzip: boolean, closing: boolean): void {
    const response = this.response;
    // One cork = one write to the socket; outside of it every header would be a packet of its own.
    response.cork(() => {
      response.writeStatus(STATUS_LINES[status]);
      if (this.version !== '') response.writeHeader('x-openrtb-version', this.version);
      if (status === 204) {
        // The length cannot be left out where the connection is closed: `undefined` would go out as 2⁶³. A 204 with a
        // length of 0 is against RFC 9110 8.6 and every client takes it; it is sent only while draining.
        if (closing) response.endWithoutBody(0, true);
        else response.endWithoutBody();
        return;
      }
      if (status === 200) {
        response.writeHeader('content-type', 'application/json');
        if (gzip) response.writeHeader('content-encoding', 'gzip');
      }
      if (closing || status !== 200) response.end(body, closing);
      else this.endBounded(body);
    });
  }

  /**
   * Writes what the socket takes and the rest when it takes more. `end` would keep the whole rest in memory and read the
   * next request, so a client that never reads could fill the memory; with this the connection is closed instead.
   */
  private endBounded(body: string | Uint8Array): void {
    const size = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    const [ok, done] = this.response.tryEnd(body, size);
    if (ok || done) return;
    const bytes = Buffer.from(body);
    this.response.onWritable((offset) => this.response.tryEnd(bytes.subarray(offset), size)[0]);
  }
}

/** libuS: do not share the port, which it does by default, so that a second server there is refused and not merged. */
const LISTEN_EXCLUSIVE_PORT = 1;

/**
 * Serves bids on uWebSockets.js. What it decides by itself and cannot be told: an idle connection is closed after 10 to
 * 12 s, a body slower than 16 kB in 10 s is cut off, a second request on a connection before the first one's answer
 * (asynchronous pipelining) closes it, and what is not HTTP/1.1, or has its request line in two packets, gets a 505.
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE
 */
export async function startUws(uws: Uws, options: HttpServerOptions): Promise<HttpServer> {
  const front = new HttpFront(options);
  const app = uws.App();
  // The routes are literal, so the router finds the exchange and no name has to be read out of the path.
  route(app, front, BID_PATH, '');
  for (const exchange of options.exchanges) route(app, front, `${BID_PATH}/${exchange}`, exchange);
  app.any('/*', (response) => refuse(front, response, '404 Not Found'));
  const countConnection = (response: HttpResponse, change: unknown): void => {
    front.stats.connectionsOpen += change as 1 | -1;
    if (change === 1 && front.stats.connectionsOpen > front.connectionsMax) {
      front.stats.connectionsRefused += 1;
      response.close();
    }
  };
  app.filter(countConnection);

  let listener = await listen(app, options);
  const port = uws.us_socket_local_port(listener as us_listen_socket);
  const stopAccepting = (): void => {
    front.draining = true;
    if (listener !== false) uws.us_listen_socket_close(listener);
    listener = false;
  };
  return {
    port,
    backend: 'uws',
    stopAccepting,
    async close(drainMsMax = DRAIN_MS_MAX) {
      stopAccepting();
      await front.drained(drainMsMax);
      app.close();
    },
    stats: () => ({ ...front.stats }),
  };
}

function route(app: TemplatedApp, front: HttpFront, path: string, exchange: string): void {
  app.post(path, (response, request) => {
    new UwsCall(front, exchange, response, request);
  });
  app.any(path, (response) => refuse(front, response, '405 Method Not Allowed'));
}

function refuse(front: HttpFront, response: HttpResponse, statusLine: string): void {
  front.stats.answeredOther += 1;
  response.writeStatus(statusLine);
  if (statusLine.startsWith('405')) response.writeHeader('allow', 'POST');
  response.end('', front.draining);
}

function listen(app: TemplatedApp, options: HttpServerOptions): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    // The declared overloads lack the one with host and options, which the addon has.
    const exclusive = app.listen as unknown as (
      host: string,
      port: number,
      options: number,
      done: ListenDone,
    ) => TemplatedApp;
    exclusive.call(app, options.host, options.port, LISTEN_EXCLUSIVE_PORT, (listener) => {
      if (listener !== false) resolve(listener);
      else {
        const message = `cannot listen on ${options.host}:${options.port}; is another process there?`;
        reject(new OperatingError('VK_PORT_UNAVAILABLE', 'operator', message));
      }
    });
  });
}
