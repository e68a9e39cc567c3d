import type { HttpAsk, HttpReply, InferHandle } from '../contract/index.js';
import { codingFor, encoded } from './http-coding.js';
import { sendError } from './http-errors.js';
import type { V2HttpSettings } from './http-settings.js';
import { readInferCall } from './v2-request.js';
import { type InferReply, inferReply } from './v2-response.js';

/**
 * One infer request, its body already decompressed. A client that leaves cancels it.
 * @param version '' = the highest that is ready
 */
export function inferHttp(
  settings: V2HttpSettings,
  model: string,
  version: string,
  ask: HttpAsk,
  body: Uint8Array,
  reply: HttpReply,
): void {
  const { models, log } = settings;
  const acceptEncoding = ask.header('accept-encoding');
  let handle: InferHandle;
  try {
    const call = readInferCall(models, model, version, body, ask.header('inference-header-content-length'));
    handle = models.infer(call.request, (error, response) => {
      if (response === null) return sendError(reply, error, log);
      try {
        sendInferReply(settings, reply, acceptEncoding, inferReply(models, call, response));
      } catch (cause) {
        sendError(reply, cause, log);
      }
    });
  } catch (error) {
    sendError(reply, error, log);
    return;
  }
  reply.onAborted(() => handle.cancel());
}

function sendInferReply(settings: V2HttpSettings, reply: HttpReply, acceptEncoding: string, made: InferReply): void {
  const headers: [string, string][] =
    made.jsonBytes < 0
      ? [['content-type', 'application/json']]
      : [
          ['content-type', 'application/octet-stream'],
          ['inference-header-content-length', String(made.jsonBytes)],
        ];
  const coding = codingFor(acceptEncoding, made.parts);
  if (coding === null) {
    reply.send(200, headers, made.parts);
    return;
  }
  headers.push(['content-encoding', coding]);
  encoded(made.parts, coding).then(
    (bytes) => reply.send(200, headers, bytes),
    (error) => sendError(reply, error, settings.log),
  );
}
