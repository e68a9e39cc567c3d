import { Metadata, type ServerDuplexStream, status as STATUS, type sendUnaryData } from '@grpc/grpc-js';
import { OUTCOME, OUTCOMES, type Outcome } from '../contract/index.js';
import type { GrpcFront, Refusal } from './grpc-front.js';
import { type BidCallMessage, type BidReplyMessage, REPLY_STATUS, UNREADABLE_CALL } from './grpc-messages.js';
import type { BidReply } from './on-bid.js';

const NO_BYTES = Buffer.alloc(0);

const REFUSALS = {
  malformed: { code: STATUS.INVALID_ARGUMENT, details: 'not an OpenRTB bid request' },
  unknownExchange: { code: STATUS.NOT_FOUND, details: 'unknown exchange' },
  unknownEncoding: { code: STATUS.INVALID_ARGUMENT, details: 'unknown encoding' },
} as const;

/** One call's way back: `BidReply` for the handler, and `refuse` for what is decided before it. */
abstract class GrpcReply implements BidReply {
  /** Between `onBid` and the answer or the abort. */
  private open = false;
  private answered = false;
  private gone = false;

  constructor(protected readonly front: GrpcFront) {}

  abstract refuse(refusal: Refusal): void;
  /** Called at most once, and never for a client that has gone. */
  protected abstract send(status: number, nbr: number, body: string): void;

  opened(): void {
    this.open = true;
    this.front.stats.requestsOpen += 1;
  }

  isAnswered(): boolean {
    return this.answered || this.gone;
  }

  /** The client gave up: cancelled, past its deadline, or disconnected. */
  cancelled(): void {
    if (this.gone || !this.open) return;
    this.gone = true;
    this.front.stats.aborted += 1;
    this.close();
  }

  answer(outcome: Outcome, body: string): void {
    if (this.answered) {
      this.front.bug(new Error('a bid call was answered twice'));
      return;
    }
    this.answered = true;
    if (this.gone) return;
    this.close();
    if (outcome === OUTCOME.malformed) {
      this.front.stats.malformed += 1;
      this.refuse('malformed');
    } else {
      this.front.stats.answered += 1;
      if (outcome === OUTCOME.bid) this.send(REPLY_STATUS.bid, 0, body);
      else this.send(REPLY_STATUS.noBid, OUTCOMES[outcome].nbr, '');
    }
  }

  private close(): void {
    if (!this.open) return;
    this.open = false;
    this.front.stats.requestsOpen -= 1;
  }
}

export class UnaryReply extends GrpcReply {
  constructor(
    front: GrpcFront,
    private readonly callback: sendUnaryData<BidReplyMessage>,
  ) {
    super(front);
  }

  refuse(refusal: Refusal): void {
    this.callback({ ...REFUSALS[refusal], metadata: new Metadata() });
  }

  protected send(status: number, nbr: number, body: string): void {
    this.callback(null, { callId: 0, status, nbr, openrtb: body === '' ? NO_BYTES : Buffer.from(body) });
  }
}

class StreamReply extends GrpcReply {
  constructor(
    front: GrpcFront,
    private readonly stream: StreamCalls,
    private readonly callId: number,
  ) {
    super(front);
  }

  refuse(refusal: Refusal): void {
    this.stream.write({ callId: this.callId, status: REPLY_STATUS[refusal], nbr: 0, openrtb: NO_BYTES }, this);
  }

  protected send(status: number, nbr: number, body: string): void {
    const openrtb = body === '' ? NO_BYTES : Buffer.from(body);
    this.stream.write({ callId: this.callId, status, nbr, openrtb }, this);
  }
}

/**
 * The calls of one stream. It is read only while fewer than `streamInFlightMax` of them wait for an answer and the
 * client takes its replies: HTTP/2 flow control then slows the client down, and nothing queues here.
 */
export class StreamCalls {
  private readonly waiting = new Set<StreamReply>();
  private clientEnded = false;
  private ended = false;
  private writable = true;

  constructor(
    private readonly front: GrpcFront,
    private readonly call: ServerDuplexStream<BidCallMessage, BidReplyMessage>,
  ) {
    front.streams.add(this);
    front.stats.streamsOpen += 1;
    call.on('data', (message: BidCallMessage) => this.take(message));
    call.on('end', () => {
      this.clientEnded = true;
      this.endWhenDone();
    });
    call.on('drain', () => {
      this.writable = true;
      this.readOrPause();
    });
    call.on('cancelled', () => this.abandon());
    // A message over the size limit or a broken connection; grpc-js sends the status itself.
    call.on('error', () => this.abandon());
  }

  /** No further calls are read; the stream ends with UNAVAILABLE once the present ones are answered. */
  startDraining(): void {
    this.readOrPause();
    this.endWhenDone();
  }

  write(message: BidReplyMessage, reply: StreamReply): void {
    this.waiting.delete(reply);
    if (this.ended) return;
    this.writable = this.call.write(message);
    this.readOrPause();
    this.endWhenDone();
  }

  private take(message: BidCallMessage): void {
    if (this.ended) return;
    if (message === UNREADABLE_CALL) {
      // Without its call_id there is nothing to answer it with.
      this.end({ code: STATUS.INVALID_ARGUMENT, details: 'not a BidCall message' });
      return;
    }
    const reply = new StreamReply(this.front, this, message.callId);
    this.waiting.add(reply);
    this.front.ask(message, reply);
    this.readOrPause();
  }

  private readOrPause(): void {
    const read = !this.front.draining && this.writable && this.waiting.size < this.front.streamInFlightMax;
    if (read) this.call.resume();
    else this.call.pause();
  }

  private endWhenDone(): void {
    if (this.ended || this.waiting.size > 0) return;
    if (this.clientEnded) this.end(null);
    else if (this.front.draining) this.end({ code: STATUS.UNAVAILABLE, details: 'the server is shutting down' });
  }

  private end(error: { code: number; details: string } | null): void {
    this.abandon();
    if (error === null) this.call.end();
    else this.call.emit('error', Object.assign(new Error(error.details), error));
  }

  private abandon(): void {
    if (this.ended) return;
    this.ended = true;
    this.front.streams.delete(this);
    this.front.stats.streamsOpen -= 1;
    for (const reply of this.waiting) reply.cancelled();
    this.waiting.clear();
  }
}
