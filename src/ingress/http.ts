import type { HttpServer, HttpServerOptions } from './http-front.js';
import { startNode } from './node-http.js';
import { startUws } from './uws.js';

/** What a name behind `/openrtb2/bid/` may look like: it becomes a literal route and a metric label. */
const EXCHANGE_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/**
 * Starts the bid endpoint.
 *
 *     POST /openrtb2/bid, /openrtb2/bid/{exchange}   200 bid · 204 no bid · 400 (empty) unreadable
 *     another method there 405, another path 404
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE; with `backend: 'uws'` also what loading the addon throws
 */
export async function startHttp(options: HttpServerOptions): Promise<HttpServer> {
  for (const exchange of options.exchanges) {
    if (!EXCHANGE_NAME.test(exchange)) throw new Error(`not an exchange name: ${JSON.stringify(exchange)}`);
  }
  if (options.backend === 'node') return startNode(options);
  let uws: typeof import('uWebSockets.js');
  try {
    // CommonJS with a native addon: it does not load on musl, on old glibc, or on a Node version it was not built for.
    uws = (await import('uWebSockets.js')).default as unknown as typeof import('uWebSockets.js');
  } catch (error) {
    if (options.backend === 'uws') throw error;
    const reason = error instanceof Error ? error.message : String(error);
    options.log.warn({ reason }, 'uWebSockets.js cannot be loaded; serving on node:http, which costs more CPU');
    return startNode(options);
  }
  return startUws(uws, options);
}
