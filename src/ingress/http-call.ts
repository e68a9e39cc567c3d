import { gunzipSync, gzipSync } from 'node:zlib';
import { OUTCOME, type Outcome } from '../contract/index.js';
import type { HttpFront } from './http-front.js';
import { bodyCodingOf, isJsonContentType, statusOf, wantsGzip } from './http-rules.js';
import type { BidReply } from './on-bid.js';

/**
 * A body that is refused is still read, as long as it is not larger than this: a client that is cut off while it
 * writes sees a reset connection and never the 400.
 */
const DISCARD_BYTES_MAX = 64 * 1024 * 1024;

/** First size of the buffer of a body in several parts: most bid requests fit. */
const UPLOAD_BYTES_MIN = 4_096;

const READING = 0;
/** `onBid` has it. */
const ASKED = 1;
/** Answered or aborted. */
const DONE = 2;

/**
 * One bid request over HTTP, whichever server carries it:
 *
 *     READING ──last chunk──▶ ASKED ──answer──▶ DONE
 *        └── refused, timed out, aborted ─────────▲
 *
 * A body that comes in one chunk is handed on without a copy. The backend calls `take`, `aborted`; this class calls
 * `send` at most once, and never after `aborted`.
 */
export abstract class HttpCall implements BidReply {
  /** Set by the front when the body has to be waited for. */
  uploadDeadlineMs = 0;
  private state = READING;
  private answered = false;
  private refused: boolean;
  private readonly gzipped: boolean;
  /** What has arrived of a body in several parts: the first `receivedBytes` of it. */
  private upload: Buffer | null = null;
  private receivedBytes = 0;

  constructor(
    protected readonly front: HttpFront,
    private readonly exchange: string,
    contentType: string,
    contentEncoding: string,
    private readonly acceptEncoding: string,
    /** Goes back as `x-openrtb-version`; '' = none. */
    protected readonly version: string,
  ) {
    const coding = bodyCodingOf(contentEncoding);
    this.gzipped = coding === 'gzip';
    this.refused = coding === 'unknown' || !isJsonContentType(contentType);
    front.stats.requests += 1;
    front.stats.requestsOpen += 1;
  }

  /** Writes the whole reply. `closing`: this connection takes no further request. */
  protected abstract send(status: 200 | 204 | 400, body: string | Uint8Array, gzip: boolean, closing: boolean): void;

  /**
   * The next part of the body.
   * @param chunk the caller takes its memory back after the call
   */
  take(chunk: Uint8Array, last: boolean): void {
    if (this.state !== READING) return;
    this.receivedBytes += chunk.byteLength;
    if (this.receivedBytes > this.front.bodyBytesMax) {
      if (!this.refused) this.front.stats.bodiesTooLarge += 1;
      this.refused = true;
      this.upload = null;
      if (this.receivedBytes > DISCARD_BYTES_MAX) {
        this.finish(400, '', true);
        return;
      }
    }
    if (last) {
      if (this.uploadDeadlineMs !== 0) this.front.uploadEnded(this);
      this.complete(chunk);
      return;
    }
    if (this.uploadDeadlineMs === 0 && !this.front.uploadStarted(this)) {
      this.front.stats.refusedInFlight += 1;
      this.finish(204, '', true);
      return;
    }
    if (!this.refused) this.keep(chunk);
  }

  /** Copies a part of the body behind the parts before it. One buffer that grows, since parts may be a byte each. */
  private keep(part: Uint8Array): void {
    const offset = this.receivedBytes - part.byteLength;
    if (this.upload === null || this.upload.byteLength < this.receivedBytes) {
      const grown = Buffer.allocUnsafe(
        Math.min(this.front.bodyBytesMax, Math.max(UPLOAD_BYTES_MIN, 2 * this.receivedBytes)),
      );
      if (this.upload !== null) grown.set(this.upload.subarray(0, offset));
      this.upload = grown;
    }
    this.upload.set(part, offset);
  }

  /** The client went away. */
  aborted(): void {
    if (this.state === DONE) return;
    this.front.stats.aborted += 1;
    this.release();
  }

  /** The body took too long. The rest of it is still to come, so the connection ends with the answer. */
  uploadTimedOut(): void {
    this.finish(400, '', true);
  }

  answer(outcome: Outcome, body: string): void {
    if (this.state === DONE) {
      if (this.answered) this.bug(new Error('a bid request was answered twice'));
      this.answered = true;
      return;
    }
    this.answered = true;
    const status = statusOf(outcome);
    this.finish(status, status === 200 ? body : '', false);
  }

  private complete(lastChunk: Uint8Array): void {
    if (this.refused) {
      this.finish(400, '', false);
      return;
    }
    let body = lastChunk;
    if (this.upload !== null) {
      this.keep(lastChunk);
      body = this.upload.subarray(0, this.receivedBytes);
      this.upload = null;
    }
    if (this.gzipped) {
      const plain = gunzipBounded(body, this.front.bodyDecompressedBytesMax);
      if (plain === null) {
        this.finish(400, '', false);
        return;
      }
      body = plain;
    }
    if (this.front.inFlight >= this.front.requestsInFlightMax) {
      this.front.stats.refusedInFlight += 1;
      this.finish(204, '', false);
      return;
    }
    this.state = ASKED;
    this.front.inFlight += 1;
    try {
      this.front.onBid(this.exchange, body, this);
    } catch (error) {
      this.bug(error);
      if (this.state === ASKED) this.answer(OUTCOME.internal_error, '');
    }
  }

  private finish(status: 200 | 204 | 400, body: string, closing: boolean): void {
    const stats = this.front.stats;
    if (status === 200) stats.answered200 += 1;
    else if (status === 204) stats.answered204 += 1;
    else stats.answered400 += 1;
    const gzip = status === 200 && wantsGzip(this.acceptEncoding, body);
    this.release();
    // Level 1: the reply is late anyway if it waits for a better ratio.
    this.send(status, gzip ? gzipSync(body, { level: 1 }) : body, gzip, closing || this.front.draining);
  }

  private release(): void {
    if (this.state === ASKED) this.front.inFlight -= 1;
    if (this.uploadDeadlineMs !== 0) this.front.uploadEnded(this);
    this.state = DONE;
    this.upload = null;
    this.front.stats.requestsOpen -= 1;
  }

  private bug(error: unknown): void {
    this.front.stats.handlerErrors += 1;
    this.front.log.error({ err: error, exchange: this.exchange }, 'bug in the bid path');
  }
}

/**
 * Synchronous on purpose: the thread pool's round trip costs more CPU than inflating the few kilobytes of a bid request,
 * and `bytesMax` bounds how long the event loop can be held (about 2 ms for a bomb that reaches 1 MiB).
 * @returns null where it is not gzip, is cut short, or would become larger than `bytesMax`
 */
function gunzipBounded(body: Uint8Array, bytesMax: number): Uint8Array | null {
  try {
    return gunzipSync(body, { maxOutputLength: bytesMax });
  } catch {
    return null;
  }
}
