import { Metadata, type ServiceError, status as STATUS } from '@grpc/grpc-js';
import { InferError, type InferErrorCode } from '../contract/index.js';

const STATUS_OF = {
  INVALID_ARG: STATUS.INVALID_ARGUMENT,
  NOT_FOUND: STATUS.NOT_FOUND,
  ALREADY_EXISTS: STATUS.ALREADY_EXISTS,
  UNAVAILABLE: STATUS.UNAVAILABLE,
  UNSUPPORTED: STATUS.UNIMPLEMENTED,
  INTERNAL: STATUS.INTERNAL,
  CANCELLED: STATUS.CANCELLED,
} as const satisfies Record<InferErrorCode, STATUS>;

/**
 * The message travels in an HTTP/2 header, percent-encoded: at nine bytes per character this stays below the 16 KiB that
 * clients take, however long the name was that a client sent and the message repeats.
 */
const DETAILS_CHARACTERS_MAX = 1024;

export interface ServingLog {
  error(fields: object, message: string): void;
}

/** What the client of a unary call is told. */
export function grpcError(error: InferError): ServiceError {
  // A cut surrogate pair would make grpc-js throw when it encodes the header.
  const details = error.message.slice(0, DETAILS_CHARACTERS_MAX).toWellFormed();
  return Object.assign(new Error(details), { code: STATUS_OF[error.code], details, metadata: new Metadata() });
}

/** An InferError as it is; anything else is a bug of ours: logged, and the client learns no more than that. */
export function toInferError(error: unknown, log: ServingLog): InferError {
  if (error instanceof InferError) return error;
  log.error({ err: error }, 'bug in the v2 protocol over gRPC');
  return new InferError('INTERNAL', 'internal error');
}

export const unreadable = (): InferError =>
  new InferError('INVALID_ARG', 'the request is not a message of the protocol');
