import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition, type PackageDefinition } from '@grpc/proto-loader';

/** `vickrey.v1.BidCall`, with defaults filled in. */
export interface BidCallMessage {
  readonly callId: number;
  readonly exchange: string;
  readonly encoding: number;
  readonly openrtb: Buffer;
}

/** `vickrey.v1.BidReply`. */
export interface BidReplyMessage {
  readonly callId: number;
  readonly status: number;
  readonly nbr: number;
  readonly openrtb: Buffer;
}

/** `vickrey.v1.Status`. */
export const REPLY_STATUS = { bid: 0, noBid: 1, malformed: 2, unknownExchange: 3, unknownEncoding: 4 } as const;
/** `vickrey.v1.Encoding`. */
export const ENCODING_JSON = 0;

export const BID_SERVICE = 'vickrey.v1.BidService';

/** `proto/` lies beside `src/` in the sources, and one level further up from `dist/src/`. */
function protoFolder(): string {
  const fromSources = new URL('../../proto/', import.meta.url);
  const folder = existsSync(fromSources) ? fromSources : new URL('../../../proto/', import.meta.url);
  return fileURLToPath(folder);
}

/** Stands for bytes that are no `BidCall`; compared by identity. grpc-js takes null for "no message came". */
export const UNREADABLE_CALL: BidCallMessage = { callId: 0, exchange: '', encoding: -1, openrtb: Buffer.alloc(0) };

/** The package as reflection shows it. */
export function loadBidPackage(): PackageDefinition {
  return loadSync('vickrey/v1/bid.proto', { includeDirs: [protoFolder()], defaults: true });
}

/**
 * The service with one change: a message that is not a `BidCall` is handed on as UNREADABLE_CALL. By itself grpc-js would
 * answer it with INTERNAL, which reads as our fault.
 */
export function bidServiceOf(bidPackage: PackageDefinition): ServiceDefinition {
  const service = bidPackage[BID_SERVICE] as ServiceDefinition;
  return { Bid: tolerant(service.Bid), BidStream: tolerant(service.BidStream) };
}

function tolerant(method: ServiceDefinition['']): ServiceDefinition[''] {
  const { requestDeserialize } = method as MethodDefinition<object, object>;
  return {
    ...method,
    requestDeserialize(bytes: Buffer): BidCallMessage {
      try {
        return requestDeserialize(bytes) as BidCallMessage;
      } catch {
        return UNREADABLE_CALL;
      }
    },
  };
}
