import type { HttpHandler } from '../contract/index.js';
import type { IngressLog } from './on-bid.js';

export interface PlainHttpOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** `auto` is uWebSockets.js where it loads, else node:http with a warning that says why. */
  readonly backend: 'auto' | 'uws' | 'node';
  /** Lower-case names of the headers that the handler reads; the others are not kept. */
  readonly headers: readonly string[];
  /** Bytes of one body as sent. */
  readonly bodyBytesMax: number;
  /** Bytes of all bodies that are arriving or not yet answered. Default 8 × `bodyBytesMax`. */
  readonly bodyBytesHeldMax?: number;
  /** Requests not yet answered, those still arriving included. A GET is never refused, so probes see an overloaded server. */
  readonly requestsInFlightMax: number;
  /** Open connections; more are closed at once. */
  readonly connectionsMax: number;
  /** From the first part of a body to its last. */
  readonly uploadMsMax: number;
  readonly handler: HttpHandler;
  readonly log: IngressLog;
}

/** Counts since the start, and what is open now. */
export interface PlainHttpStats {
  connectionsOpen: number;
  connectionsRefused: number;
  /** Neither answered nor aborted. */
  requestsOpen: number;
  /** Of those, the ones whose body is still arriving. */
  uploadsOpen: number;
  bodyBytesHeld: number;
  requests: number;
  /** The client went away before its answer. */
  aborted: number;
  uploadsTimedOut: number;
  bodiesTooLarge: number;
  /** Answered 503 by the server itself. */
  refusedInFlight: number;
  /** The handler threw or answered twice: bugs, each logged. */
  handlerErrors: number;
}

export interface PlainHttpServer {
  readonly port: number;
  readonly backend: 'uws' | 'node';
  /** Closes the listener. Connections stay until their next answer, which tells the client to close. */
  stopAccepting(): void;
  /** Ends when every open request is answered, or after `drainMsMax`; then all connections are closed. */
  close(drainMsMax?: number): Promise<void>;
  /** A copy. */
  stats(): PlainHttpStats;
}

export const PLAIN_DRAIN_MS_MAX = 5_000;
/** Bodies of full size that may be held at once by default. */
const BODIES_HELD = 8;
/** Slow uploads are looked for this often; a timer per request would cost more than reading a small one. */
const SWEEP_MS = 250;
const DRAIN_POLL_MS = 10;

/** A body that is still arriving. */
interface Upload {
  /** On the clock of `performance.now`. */
  uploadDeadlineMs: number;
  uploadTimedOut(): void;
}

/** What the calls of one server share: limits, counters and the list of bodies still arriving. */
export class PlainFront {
  readonly stats: PlainHttpStats = {
    connectionsOpen: 0,
    connectionsRefused: 0,
    requestsOpen: 0,
    uploadsOpen: 0,
    bodyBytesHeld: 0,
    requests: 0,
    aborted: 0,
    uploadsTimedOut: 0,
    bodiesTooLarge: 0,
    refusedInFlight: 0,
    handlerErrors: 0,
  };
  draining = false;
  readonly headers: readonly string[];
  readonly bodyBytesMax: number;
  readonly requestsInFlightMax: number;
  readonly connectionsMax: number;
  readonly uploadMsMax: number;
  readonly handler: HttpHandler;
  readonly log: IngressLog;
  private readonly bodyBytesHeldMax: number;
  private readonly uploads = new Set<Upload>();
  private readonly sweeper: NodeJS.Timeout;

  constructor(options: PlainHttpOptions) {
    this.headers = options.headers;
    this.bodyBytesMax = options.bodyBytesMax;
    this.bodyBytesHeldMax = options.bodyBytesHeldMax ?? BODIES_HELD * options.bodyBytesMax;
    this.requestsInFlightMax = options.requestsInFlightMax;
    this.connectionsMax = options.connectionsMax;
    this.uploadMsMax = options.uploadMsMax;
    this.handler = options.handler;
    this.log = options.log;
    this.sweeper = setInterval(() => this.sweep(), Math.min(SWEEP_MS, this.uploadMsMax));
    this.sweeper.unref();
  }

  /** @returns false where so many bytes more must not be held; else they are the caller's until it calls `release` */
  hold(bytes: number): boolean {
    if (this.stats.bodyBytesHeld + bytes > this.bodyBytesHeldMax) return false;
    this.stats.bodyBytesHeld += bytes;
    return true;
  }

  release(bytes: number): void {
    this.stats.bodyBytesHeld -= bytes;
  }

  /** A body did not come whole with its headers: from here on it is under the clock. */
  uploadStarted(upload: Upload): void {
    upload.uploadDeadlineMs = performance.now() + this.uploadMsMax;
    this.uploads.add(upload);
    this.stats.uploadsOpen = this.uploads.size;
  }

  uploadEnded(upload: Upload): void {
    if (this.uploads.delete(upload)) this.stats.uploadsOpen = this.uploads.size;
  }

  /** Resolves when nothing is open any more, or after `drainMsMax`. */
  async drained(drainMsMax: number): Promise<void> {
    const untilMs = performance.now() + drainMsMax;
    while (this.stats.requestsOpen > 0 && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
    this.stop();
  }

  stop(): void {
    clearInterval(this.sweeper);
  }

  private sweep(): void {
    const nowMs = performance.now();
    for (const upload of this.uploads) {
      // In the order of arrival, so the first one that still has time ends the search.
      if (upload.uploadDeadlineMs > nowMs) break;
      this.stats.uploadsTimedOut += 1;
      upload.uploadTimedOut();
    }
  }
}
