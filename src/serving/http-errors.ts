import { type HttpReply, InferError, type InferErrorCode } from '../contract/index.js';

/** Where bugs are told. */
export interface ServingLog {
  error(fields: object, message: string): void;
}

/** 499: nobody reads it, the client has gone; it is what proxies log for that. */
const STATUS_OF: Readonly<Record<InferErrorCode, number>> = {
  INVALID_ARG: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 400,
  UNAVAILABLE: 503,
  UNSUPPORTED: 501,
  INTERNAL: 500,
  CANCELLED: 499,
};

export function invalid(message: string): InferError {
  return new InferError('INVALID_ARG', message);
}

const JSON_HEADERS = [['content-type', 'application/json']] as const;

export function sendJson(reply: HttpReply, status: number, value: unknown): void {
  reply.send(status, JSON_HEADERS, JSON.stringify(value));
}

/** Tells the client what an InferError says; of anything else, which is a bug, only the log learns. */
export function sendError(reply: HttpReply, error: unknown, log: ServingLog): void {
  if (error instanceof InferError) {
    sendJson(reply, STATUS_OF[error.code], { error: error.message });
    return;
  }
  log.error({ err: error }, 'bug in the v2 protocol');
  sendJson(reply, 500, { error: 'internal error' });
}
