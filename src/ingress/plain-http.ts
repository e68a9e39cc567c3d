import { PlainFront, type PlainHttpOptions, type PlainHttpServer } from './plain-http-front.js';
import { startPlainNode } from './plain-http-node.js';
import { startPlainUws } from './plain-http-uws.js';

/**
 * Serves HTTP for a handler that has no sockets. What the server answers by itself, always `{"error":"…"}`:
 *
 *     400 body larger than `bodyBytesMax`, or slower than `uploadMsMax` (the connection is closed)
 *     500 the handler threw
 *     503 more than `requestsInFlightMax` requests or `bodyBytesHeldMax` bytes are open
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE; with `backend: 'uws'` also what loading the addon throws
 */
export async function startPlainHttp(options: PlainHttpOptions): Promise<PlainHttpServer> {
  const front = new PlainFront(options);
  try {
    if (options.backend === 'node') return await startPlainNode(front, options);
    let uws: typeof import('uWebSockets.js');
    try {
      uws = (await import('uWebSockets.js')).default as unknown as typeof import('uWebSockets.js');
    } catch (error) {
      if (options.backend === 'uws') throw error;
      const reason = error instanceof Error ? error.message : String(error);
      options.log.warn({ reason }, 'uWebSockets.js cannot be loaded; serving on node:http, which costs more CPU');
      return await startPlainNode(front, options);
    }
    return await startPlainUws(uws, front, options);
  } catch (error) {
    front.stop();
    throw error;
  }
}
