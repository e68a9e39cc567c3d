/** The border between `ingress/`, which owns the sockets, and whoever answers plain HTTP requests without one. */

export interface HttpAsk {
  /** As sent: `GET`, `POST`. */
  readonly method: string;
  /** Without the query; percent-encoded as sent. */
  readonly path: string;
  /** @param name lower case, one of those the server was told to keep; '' where the request has no such header */
  header(name: string): string;
  /** Whole, as sent (still compressed where it was); nobody else writes to it or takes it back. */
  readonly body: Uint8Array;
}

/** Exactly one `send` per request; after the client has gone it does nothing. */
export interface HttpReply {
  /** @param headers without content-length; @param body several parts are sent one behind the other */
  send(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | readonly Uint8Array[],
  ): void;
  /** Calls `gone` once when the client leaves before the answer, at once if it has left. A second call replaces the first. */
  onAborted(gone: () => void): void;
}

/** Owns the request until it calls `send`; what it throws is logged and answered 500. */
export type HttpHandler = (ask: HttpAsk, reply: HttpReply) => void;
