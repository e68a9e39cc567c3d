import type { IngressLog, OnBid } from './on-bid.js';

export interface HttpServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** `auto` is uWebSockets.js where it loads, else node:http with a warning that says why. */
  readonly backend: 'auto' | 'uws' | 'node';
  /** Names accepted behind `/openrtb2/bid/`; the bare path is always there. */
  readonly exchanges: readonly string[];
  /** Bytes of a body as sent. Larger ones are read off and thrown away, then answered 400. */
  readonly bodyBytesMax: number;
  /** Bytes of a body after gzip. */
  readonly bodyDecompressedBytesMax: number;
  /**
   * Requests handed to `onBid` and not answered, and as many again whose body is still arriving; more are answered 204
   * at once. Default 4096.
   */
  readonly requestsInFlightMax?: number;
  /** Open connections; more are closed at once. Default 8192. */
  readonly connectionsMax?: number;
  /** From the headers to the last byte of the body. Default 5 s: exchanges send a body within one round trip. */
  readonly uploadMsMax?: number;
  /** How long a connection may wait for its next request. Default 5 min. uWebSockets.js has 10 s built in. */
  readonly idleMsMax?: number;
  readonly onBid: OnBid;
  readonly log: IngressLog;
}

/** Counts since the start, and what is open now. */
export interface HttpStats {
  connectionsOpen: number;
  connectionsRefused: number;
  /** Bid requests whose headers came and that are neither answered nor aborted. */
  requestsOpen: number;
  /** Of those, the ones whose body is still arriving. */
  uploadsOpen: number;
  requests: number;
  answered200: number;
  answered204: number;
  answered400: number;
  /** 404 and 405. */
  answeredOther: number;
  /** The client went away before its answer. */
  aborted: number;
  uploadsTimedOut: number;
  bodiesTooLarge: number;
  /** Answered 204 because `requestsInFlightMax` was reached. */
  refusedInFlight: number;
  /** `onBid` threw or `answer` was called twice: bugs, each logged. */
  handlerErrors: number;
}

export interface HttpServer {
  readonly port: number;
  readonly backend: 'uws' | 'node';
  /** Closes the listener. Connections stay until their next answer, which tells the client to close. */
  stopAccepting(): void;
  /** Ends when every open request is answered, or after `drainMsMax`; then all connections are closed. */
  close(drainMsMax?: number): Promise<void>;
  /** A copy. */
  stats(): HttpStats;
}

const REQUESTS_IN_FLIGHT_MAX = 4096;
const CONNECTIONS_MAX = 8192;
const UPLOAD_MS_MAX = 5_000;
const IDLE_MS_MAX = 300_000;
/** Slow uploads are looked for this often. A timer per request would cost more than the request's parsing. */
const SWEEP_MS = 250;
const DRAIN_POLL_MS = 10;

/** A body that is still arriving. */
interface Upload {
  /** On the clock of `performance.now`. */
  uploadDeadlineMs: number;
  uploadTimedOut(): void;
}

/** What the calls of one server share: limits, counters and the list of bodies still arriving. */
export class HttpFront {
  readonly stats: HttpStats = {
    connectionsOpen: 0,
    connectionsRefused: 0,
    requestsOpen: 0,
    uploadsOpen: 0,
    requests: 0,
    answered200: 0,
    answered204: 0,
    answered400: 0,
    answeredOther: 0,
    aborted: 0,
    uploadsTimedOut: 0,
    bodiesTooLarge: 0,
    refusedInFlight: 0,
    handlerErrors: 0,
  };
  /** Requests that `onBid` has and has not answered. */
  inFlight = 0;
  draining = false;
  readonly bodyBytesMax: number;
  readonly bodyDecompressedBytesMax: number;
  readonly requestsInFlightMax: number;
  readonly connectionsMax: number;
  readonly uploadMsMax: number;
  readonly idleMsMax: number;
  readonly onBid: OnBid;
  readonly log: IngressLog;
  private readonly uploads = new Set<Upload>();
  private readonly sweeper: NodeJS.Timeout;

  constructor(options: HttpServerOptions) {
    this.bodyBytesMax = options.bodyBytesMax;
    this.bodyDecompressedBytesMax = options.bodyDecompressedBytesMax;
    this.requestsInFlightMax = options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX;
    this.connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
    this.uploadMsMax = options.uploadMsMax ?? UPLOAD_MS_MAX;
    this.idleMsMax = options.idleMsMax ?? IDLE_MS_MAX;
    this.onBid = options.onBid;
    this.log = options.log;
    this.sweeper = setInterval(() => this.sweep(), Math.min(SWEEP_MS, this.uploadMsMax));
    this.sweeper.unref();
  }

  /**
   * A body did not come whole with its headers: from here on it is under the clock.
   * @returns false where `requestsInFlightMax` bodies are arriving already: the caller refuses it
   */
  uploadStarted(upload: Upload): boolean {
    if (this.uploads.size >= this.requestsInFlightMax) return false;
    upload.uploadDeadlineMs = performance.now() + this.uploadMsMax;
    this.uploads.add(upload);
    this.stats.uploadsOpen = this.uploads.size;
    return true;
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
