import type { Outcome } from '../contract/index.js';

/**
 * How the answer to one bid request goes back.
 *
 * The handler owns it from the call of `OnBid` and must call `answer` exactly once, at once or later. After the client
 * went away the call is a no-op; a second call is logged as a bug and changes nothing.
 */
export interface BidReply {
  /** @param body the encoded bid response; '' unless `outcome` is OUTCOME.bid */
  answer(outcome: Outcome, body: string): void;
}

/**
 * The corridor's half.
 *
 * @param exchange name from the path or the message; '' for the bare path. Always one of the known exchanges
 * @param body the decompressed request, valid during the call only: its memory is taken back afterwards
 */
export type OnBid = (exchange: string, body: Uint8Array, reply: BidReply) => void;

/** What this room needs of a logger; pino's has this shape. */
export interface IngressLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
