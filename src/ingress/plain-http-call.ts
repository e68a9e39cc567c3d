import type { HttpAsk, HttpReply } from '../contract/index.js';
import type { PlainFront } from './plain-http-front.js';

export type ReplyHeaders = readonly (readonly [string, string])[];

/**
 * A body that is too large is still read so far: a client that is cut off while it writes sees a reset connection and
 * never the answer.
 */
const DISCARD_BYTES_MAX = 64 * 1024 * 1024;
/** First size of the buffer of a body of unknown length in several parts. */
const UPLOAD_BYTES_MIN = 16 * 1024;
/** What a content-length may claim before its bytes have come; beyond it the buffer doubles with what has arrived. */
const CLAIM_BYTES_MAX = 4 * 1024 * 1024;

const NO_BYTES = new Uint8Array(0);
const JSON_HEADERS: ReplyHeaders = [['content-type', 'application/json']];

const READING = 0;
/** The handler has it. */
const ASKED = 1;
/** Answered or aborted. */
const DONE = 2;

interface Refusal {
  readonly status: 400 | 503;
  readonly message: string;
}
const OVERLOADED: Refusal = { status: 503, message: 'the server has too many open requests' };

/**
 * One request, whichever server carries it:
 *
 *     READING ──last chunk──▶ ASKED ──send──▶ DONE
 *        └── refused, timed out, aborted ───────▲
 *
 * The backend calls `take` and `aborted`; this class calls `write` at most once, and never after `aborted`.
 */
export abstract class PlainCall implements HttpAsk, HttpReply {
  body: Uint8Array = NO_BYTES;
  /** Set by the front when the body has to be waited for. */
  uploadDeadlineMs = 0;
  private state = READING;
  private answered = false;
  private refusal: Refusal | null = null;
  /** What has arrived of a body in several parts: the first `receivedBytes` of it. */
  private upload: Buffer | null = null;
  private receivedBytes = 0;
  private heldBytes = 0;
  private gone: (() => void) | null = null;

  /** @param declaredBytes the content-length; 0 = none */
  constructor(
    protected readonly front: PlainFront,
    readonly method: string,
    readonly path: string,
    private readonly declaredBytes: number,
  ) {
    const stats = front.stats;
    stats.requests += 1;
    stats.requestsOpen += 1;
    if (stats.requestsOpen > front.requestsInFlightMax && method !== 'GET') this.refuse(OVERLOADED);
    else if (declaredBytes > front.bodyBytesMax) this.refuseLarge();
  }

  abstract header(name: string): string;

  /** Writes the whole reply. `closing`: this connection takes no further request. */
  protected abstract write(
    status: number,
    headers: ReplyHeaders,
    body: string | Uint8Array | readonly Uint8Array[],
    closing: boolean,
  ): void;

  /** A chunk's bytes in memory that stays; the chunk itself where it does. */
  protected abstract own(chunk: Uint8Array): Uint8Array;

  /** The next part of the body; the caller may take its memory back after the call if `own` copies. */
  take(chunk: Uint8Array, last: boolean): void {
    if (this.state !== READING) return;
    this.receivedBytes += chunk.byteLength;
    if (this.refusal === null && this.receivedBytes > this.front.bodyBytesMax) this.refuseLarge();
    if (!last && this.uploadDeadlineMs === 0) this.front.uploadStarted(this);
    if (this.refusal === null) {
      if (last) this.complete(chunk);
      else if (!this.keep(chunk)) this.finishRefused(OVERLOADED, true);
      return;
    }
    const readOff = this.refusal.status === 400 && this.receivedBytes <= this.front.bodyBytesMax + DISCARD_BYTES_MAX;
    if (last || !readOff) this.finishRefused(this.refusal, !last || this.refusal.status === 400);
  }

  /** The client went away. */
  aborted(): void {
    if (this.state === DONE) return;
    this.front.stats.aborted += 1;
    const gone = this.gone;
    this.release();
    gone?.();
  }

  /** The rest of the body is still to come, so the connection ends with the answer. */
  uploadTimedOut(): void {
    this.finishRefused({ status: 400, message: 'the request body took too long' }, true);
  }

  send(status: number, headers: ReplyHeaders, body: string | Uint8Array | readonly Uint8Array[]): void {
    if (this.answered) {
      this.bug(new Error('a request was answered twice'));
      return;
    }
    this.answered = true;
    if (this.state !== DONE) this.finish(status, headers, body, false);
  }

  onAborted(gone: () => void): void {
    if (this.state !== DONE) this.gone = gone;
    else if (!this.answered) gone();
  }

  private complete(lastChunk: Uint8Array): void {
    if (this.uploadDeadlineMs !== 0) this.front.uploadEnded(this);
    if (this.upload !== null) {
      if (!this.keep(lastChunk)) {
        this.finishRefused(OVERLOADED, false);
        return;
      }
      this.body = this.upload.subarray(0, this.receivedBytes);
      this.upload = null;
    } else if (lastChunk.byteLength > 0) {
      if (!this.hold(lastChunk.byteLength)) {
        this.finishRefused(OVERLOADED, false);
        return;
      }
      this.body = this.own(lastChunk);
    }
    this.state = ASKED;
    try {
      this.front.handler(this, this);
    } catch (error) {
      this.bug(error);
      if (!this.answered) this.send(500, JSON_HEADERS, '{"error":"internal error"}');
    }
  }

  /** Copies a part of the body behind the parts before it. @returns false where the server holds too much already */
  private keep(part: Uint8Array): boolean {
    const offset = this.receivedBytes - part.byteLength;
    if (this.upload === null || this.upload.byteLength < this.receivedBytes) {
      const doubled = Math.max(UPLOAD_BYTES_MIN, 2 * this.receivedBytes);
      const claimed = Math.min(this.declaredBytes, Math.max(CLAIM_BYTES_MAX, doubled));
      const wanted = Math.max(this.receivedBytes, this.declaredBytes > 0 ? claimed : doubled);
      const capacity = Math.min(this.front.bodyBytesMax, wanted);
      if (!this.hold(capacity - this.heldBytes)) return false;
      const grown = Buffer.allocUnsafeSlow(capacity);
      if (this.upload !== null) grown.set(this.upload.subarray(0, offset));
      this.upload = grown;
    }
    this.upload.set(part, offset);
    return true;
  }

  private hold(bytes: number): boolean {
    if (!this.front.hold(bytes)) return false;
    this.heldBytes += bytes;
    return true;
  }

  private refuse(refusal: Refusal): void {
    this.refusal = refusal;
    this.upload = null;
  }

  private refuseLarge(): void {
    this.front.stats.bodiesTooLarge += 1;
    this.refuse({ status: 400, message: `the request body must be <= ${this.front.bodyBytesMax} bytes` });
  }

  private finishRefused(refusal: Refusal, closing: boolean): void {
    if (refusal.status === 503) this.front.stats.refusedInFlight += 1;
    this.finish(refusal.status, JSON_HEADERS, JSON.stringify({ error: refusal.message }), closing);
  }

  private finish(
    status: number,
    headers: ReplyHeaders,
    body: string | Uint8Array | readonly Uint8Array[],
    closing: boolean,
  ): void {
    this.release();
    this.write(status, headers, body, closing || this.front.draining);
  }

  private release(): void {
    if (this.uploadDeadlineMs !== 0) this.front.uploadEnded(this);
    this.front.release(this.heldBytes);
    this.heldBytes = 0;
    this.state = DONE;
    this.upload = null;
    this.body = NO_BYTES;
    this.gone = null;
    this.front.stats.requestsOpen -= 1;
  }

  private bug(error: unknown): void {
    this.front.stats.handlerErrors += 1;
    this.front.log.error({ err: error, path: this.path }, 'bug in an HTTP handler');
  }
}

/** The parts of a reply as one: what is small is sent in one write, and a rest that waits for its reader is one buffer. */
export function joined(body: string | Uint8Array | readonly Uint8Array[]): string | Uint8Array {
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  return body.length === 1 ? body[0] : Buffer.concat(body);
}
