import { type HttpAsk, type HttpHandler, type HttpReply, InferError } from '../contract/index.js';
import { type Coding, codingOf, decoded } from './http-coding.js';
import { answerCold } from './http-cold.js';
import { sendError, sendJson } from './http-errors.js';
import { inferHttp } from './http-infer.js';
import { allowedInstead, type Route, routeOf } from './http-routes.js';
import type { V2HttpSettings } from './http-settings.js';

/** The headers that the handler reads. */
export const V2_HTTP_HEADERS = ['inference-header-content-length', 'content-encoding', 'accept-encoding'] as const;

/** Compressed bodies opened and not yet answered; it bounds what they may take: so many × `bodyDecompressedBytesMax`. */
const DECODED_BODIES_MAX = 16;

/**
 * The KServe v2 protocol with Triton's extensions over HTTP, without a socket. Every refusal is `{"error":"…"}` with the
 * status of the InferError's code; an unknown path is 404, another method 405.
 */
export function makeV2Http(settings: V2HttpSettings): HttpHandler {
  let decodedBodies = 0;

  const openThenAnswer = async (route: Route, ask: HttpAsk, coding: Coding, reply: HttpReply): Promise<void> => {
    decodedBodies += 1;
    let gone = false;
    const counted: HttpReply = {
      send(status, headers, body) {
        decodedBodies -= 1;
        reply.send(status, headers, body);
      },
      onAborted: (call) => reply.onAborted(call),
    };
    counted.onAborted(() => {
      gone = true;
    });
    try {
      if (decodedBodies > DECODED_BODIES_MAX) {
        throw new InferError('UNAVAILABLE', 'the server has too many compressed requests open');
      }
      const body = await decoded(ask.body, coding, settings.bodyDecompressedBytesMax);
      if (gone) throw new InferError('CANCELLED', 'the client has gone');
      answer(route, ask, body, counted);
    } catch (error) {
      sendError(counted, error, settings.log);
    }
  };

  const answer = (route: Route, ask: HttpAsk, body: Uint8Array, reply: HttpReply): void => {
    if (route.action === 'infer') inferHttp(settings, route.model, route.version, ask, body, reply);
    else answerCold(settings, route, ask.method, body, reply);
  };

  return (ask, reply) => {
    const route = routeOf(ask.path);
    if (route === null) return sendJson(reply, 404, { error: 'Not Found' });
    const allowed = allowedInstead(route.action, ask.method);
    if (allowed !== '') {
      const headers = [
        ['content-type', 'application/json'],
        ['allow', allowed],
      ] as const;
      return reply.send(405, headers, '{"error":"Method Not Allowed"}');
    }
    let coding: Coding | null;
    try {
      coding = codingOf(ask.header('content-encoding'));
    } catch (error) {
      return sendError(reply, error, settings.log);
    }
    if (coding === null) answer(route, ask, ask.body, reply);
    else void openThenAnswer(route, ask, coding, reply);
  };
}
