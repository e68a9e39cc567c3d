/**
 * openrtb/: bytes to request and response to bytes. The only room that knows an encoding; JSON so far.
 *
 * Takes: a request body as bytes; offers and the texts of their ads.
 * Gives: a filled `AuctionRequest`; the body of a bid response.
 * Owns: the cache of pre-rendered ad fragments (`BidResponseEncoder`).
 * Never: judges a bid, opens a socket, knows a status code, keeps the caller's bytes.
 * Fails: `decodeJson` returns false for a body that is not a bid request and never throws; everything optional that is
 * broken counts as absent.
 */
export { BidIdSource } from './bid-id.js';
export { decodeJson } from './json-decode.js';
export { BidResponseEncoder } from './json-encode.js';
