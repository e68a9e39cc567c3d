import { OUTCOME } from '../contract/index.js';
import { type BidCallMessage, ENCODING_JSON, UNREADABLE_CALL } from './grpc-messages.js';
import type { BidReply, IngressLog, OnBid } from './on-bid.js';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Names accepted in `BidCall.exchange`; the empty name always is. */
  readonly exchanges: readonly string[];
  /** Bytes of `BidCall.openrtb`. */
  readonly bodyBytesMax: number;
  /** Calls handed to `onBid` and not answered, over all streams; more are no-bids at once. Default 4096. */
  readonly requestsInFlightMax?: number;
  /** Calls of one stream that are not answered; at this many the stream is not read any further. Default 256. */
  readonly streamInFlightMax?: number;
  readonly onBid: OnBid;
  readonly log: IngressLog;
}

/** Counts since the start, and what is open now. */
export interface GrpcStats {
  /** Calls that `onBid` has and has not answered. */
  requestsOpen: number;
  streamsOpen: number;
  /** Bid calls, unary and on streams. */
  requests: number;
  answered: number;
  /** Cancelled, past the client's deadline, or on a stream that ended before its answer. */
  aborted: number;
  malformed: number;
  refusedInFlight: number;
  /** `onBid` threw or `answer` was called twice: bugs, each logged. */
  handlerErrors: number;
}

const REQUESTS_IN_FLIGHT_MAX = 4096;
/** At 52 µs of CPU per message more than this only wait in another place. */
const STREAM_IN_FLIGHT_MAX = 256;

/** How a call ends that `onBid` never sees. */
export type Refusal = 'malformed' | 'unknownExchange' | 'unknownEncoding';

/** The way back of one call, as the front uses it. */
interface CallReply extends BidReply {
  refuse(refusal: Refusal): void;
  /** The handler has it from here on. */
  opened(): void;
  isAnswered(): boolean;
}

/** What the calls of one server share. */
export class GrpcFront {
  readonly stats: GrpcStats = {
    requestsOpen: 0,
    streamsOpen: 0,
    requests: 0,
    answered: 0,
    aborted: 0,
    malformed: 0,
    refusedInFlight: 0,
    handlerErrors: 0,
  };
  draining = false;
  readonly streamInFlightMax: number;
  readonly streams = new Set<{ startDraining(): void }>();
  private readonly exchanges: ReadonlySet<string>;
  private readonly requestsInFlightMax: number;

  constructor(private readonly options: GrpcServerOptions) {
    this.exchanges = new Set(['', ...options.exchanges]);
    this.requestsInFlightMax = options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX;
    this.streamInFlightMax = options.streamInFlightMax ?? STREAM_IN_FLIGHT_MAX;
  }

  /** Hands a call to `onBid`, or refuses it. `reply` is answered exactly once either way. */
  ask(message: BidCallMessage, reply: CallReply): void {
    this.stats.requests += 1;
    const refusal = this.refusalOf(message);
    if (refusal !== null) {
      this.stats.malformed += 1;
      reply.refuse(refusal);
      return;
    }
    if (this.draining) {
      reply.answer(OUTCOME.draining, '');
      return;
    }
    if (this.stats.requestsOpen >= this.requestsInFlightMax) {
      this.stats.refusedInFlight += 1;
      reply.answer(OUTCOME.overloaded, '');
      return;
    }
    const { exchange, openrtb } = message;
    reply.opened();
    try {
      this.options.onBid(exchange, openrtb, reply);
    } catch (error) {
      this.bug(error);
      if (!reply.isAnswered()) reply.answer(OUTCOME.internal_error, '');
    }
  }

  startDraining(): void {
    this.draining = true;
    for (const stream of this.streams) stream.startDraining();
  }

  bug(error: unknown): void {
    this.stats.handlerErrors += 1;
    this.options.log.error({ err: error }, 'bug in the bid path');
  }

  private refusalOf(message: BidCallMessage): Refusal | null {
    if (message === UNREADABLE_CALL || message.openrtb.length > this.options.bodyBytesMax) return 'malformed';
    if (message.encoding !== ENCODING_JSON) return 'unknownEncoding';
    return this.exchanges.has(message.exchange) ? null : 'unknownExchange';
  }
}
