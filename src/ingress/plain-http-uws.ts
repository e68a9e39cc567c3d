import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import { OperatingError } from '../contract/index.js';
import { joined, PlainCall, type ReplyHeaders } from './plain-http-call.js';
import {
  PLAIN_DRAIN_MS_MAX,
  type PlainFront,
  type PlainHttpOptions,
  type PlainHttpServer,
} from './plain-http-front.js';

type Uws = typeof import('uWebSockets.js');
type ListenDone = (listener: us_listen_socket | false) => void;

/** libuS: do not share the port, which it does by default, so that a second server there is refused and not merged. */
const LISTEN_EXCLUSIVE_PORT = 1;

/** A request on uWebSockets.js. `response` must not be touched after its end or after the abort. */
class UwsPlainCall extends PlainCall {
  /** By the front's list: the request's own memory is gone when the body comes. */
  private readonly values: string[] = [];

  constructor(
    front: PlainFront,
    private readonly response: HttpResponse,
    request: HttpRequest,
  ) {
    super(front, request.getCaseSensitiveMethod(), request.getUrl(), Number(request.getHeader('content-length')) || 0);
    for (const name of front.headers) this.values.push(request.getHeader(name));
    response.onAborted(() => this.aborted());
    response.onData((chunk, last) => this.take(new Uint8Array(chunk), last));
  }

  header(name: string): string {
    return this.values[this.front.headers.indexOf(name)] ?? '';
  }

  protected own(chunk: Uint8Array): Uint8Array {
    return Buffer.from(chunk);
  }

  protected write(
    status: number,
    headers: ReplyHeaders,
    parts: string | Uint8Array | readonly Uint8Array[],
    closing: boolean,
  ): void {
    const response = this.response;
    const body = joined(parts);
    // One cork = one write to the socket; outside of it every header would be a packet of its own.
    response.cork(() => {
      response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
      for (const [name, value] of headers) response.writeHeader(name, value);
      const size = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
      if (this.method === 'HEAD') {
        // A length that is told but not sent would leave the response open for ever; without one HEAD ends all the same.
        if (closing) response.endWithoutBody(0, true);
        else response.endWithoutBody();
      } else if (closing || size === 0) response.end(body, closing);
      else this.endBounded(body, size);
    });
  }

  /**
   * Writes what the socket takes and the rest when it takes more. `end` would keep the whole rest in memory a second
   * time and read the next request; with this a client that does not read is closed after 10 s.
   */
  private endBounded(body: string | Uint8Array, size: number): void {
    const [ok, done] = this.response.tryEnd(body, size);
    if (ok || done) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.response.onWritable((offset) => this.response.tryEnd(bytes.subarray(offset), size)[0]);
  }
}

/**
 * Serves on uWebSockets.js, with what that decides by itself: an idle connection is closed after 10 to 12 s, a body
 * slower than 16 kB in 10 s is cut off, a second request on a connection before the first one's answer closes it, and
 * `Expect: 100-continue` is not answered (a client that waits for it goes on by itself).
 */
export async function startPlainUws(uws: Uws, front: PlainFront, options: PlainHttpOptions): Promise<PlainHttpServer> {
  const app = uws.App();
  app.any('/*', (response, request) => {
    new UwsPlainCall(front, response, request);
  });
  const countConnection = (response: HttpResponse, change: unknown): void => {
    front.stats.connectionsOpen += change as 1 | -1;
    if (change === 1 && front.stats.connectionsOpen > front.connectionsMax) {
      front.stats.connectionsRefused += 1;
      response.close();
    }
  };
  app.filter(countConnection);

  let listener: us_listen_socket | false = await listen(app, options);
  const port = uws.us_socket_local_port(listener);
  const stopAccepting = (): void => {
    front.draining = true;
    if (listener !== false) uws.us_listen_socket_close(listener);
    listener = false;
  };
  return {
    port,
    backend: 'uws',
    stopAccepting,
    async close(drainMsMax = PLAIN_DRAIN_MS_MAX) {
      stopAccepting();
      await front.drained(drainMsMax);
      app.close();
    },
    stats: () => ({ ...front.stats }),
  };
}

function listen(app: TemplatedApp, options: PlainHttpOptions): Promise<us_listen_socket> {
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
