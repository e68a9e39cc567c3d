import { OUTCOME, type Outcome } from '../contract/index.js';

/** Small enough to be cheap, large enough that compression wins: below it headers are most of the reply. */
const GZIP_RESPONSE_CHARS_MIN = 1024;
const HEADER_CHARS_MAX = 256;
const VERSION_CHARS_MAX = 8;

/** OpenRTB 2.1: a bid is 200, an unreadable request 400, and everything else is an empty 204. */
export function statusOf(outcome: Outcome): 200 | 204 | 400 {
  if (outcome === OUTCOME.bid) return 200;
  return outcome === OUTCOME.malformed ? 400 : 204;
}

/** No content type means JSON (2.3); parameters such as the charset are ignored; `application/x.y+json` is JSON too. */
export function isJsonContentType(header: string): boolean {
  if (header === '' || header === 'application/json') return true;
  if (header.length > HEADER_CHARS_MAX) return false;
  const semicolon = header.indexOf(';');
  const type = (semicolon === -1 ? header : header.slice(0, semicolon)).trim().toLowerCase();
  if (type === '' || type === 'application/json' || type === 'text/json') return true;
  return type.startsWith('application/') && (type.endsWith('+json') || type.endsWith('-json'));
}

/** Plain and gzip bodies are read (2.4); any other coding is not. */
export function bodyCodingOf(header: string): 'plain' | 'gzip' | 'unknown' {
  if (header === '') return 'plain';
  if (header.length > HEADER_CHARS_MAX) return 'unknown';
  const coding = header.trim().toLowerCase();
  if (coding === 'gzip' || coding === 'x-gzip') return 'gzip';
  return coding === '' || coding === 'identity' ? 'plain' : 'unknown';
}

/** Whether this reply goes out compressed: the client named gzip without `q=0`, and it is worth it. */
export function wantsGzip(acceptEncoding: string, body: string): boolean {
  if (acceptEncoding === '' || body.length < GZIP_RESPONSE_CHARS_MIN) return false;
  if (acceptEncoding.length > HEADER_CHARS_MAX) return false;
  for (const item of acceptEncoding.toLowerCase().split(',')) {
    const [coding, ...parameters] = item.split(';').map((part) => part.trim());
    if (coding !== 'gzip' && coding !== 'x-gzip') continue;
    const quality = parameters.find((part) => part.startsWith('q='));
    return quality === undefined || Number(quality.slice(2)) > 0;
  }
  return false;
}

/**
 * The version to send back (2.5): what came, if it looks like a version (`2.5`, `2.6`, `2.6-202409`); '' = none. It is
 * an attacker's text in our header, so only digits, points and a hyphen pass.
 */
export function versionToEcho(header: string): string {
  if (header === '' || header.length > 2 * VERSION_CHARS_MAX) return '';
  if (header === '2.6' || header === '2.5') return header;
  return /^\d\.\d{1,2}(-\d{1,6})?$/.test(header) ? header : '';
}

/** Reads the exchange's name out of a path that starts with `/openrtb2/bid`; undefined where there is no such route. */
export function exchangeOfPath(path: string, exchanges: ReadonlySet<string>): string | undefined {
  if (path === BID_PATH) return '';
  if (!path.startsWith(BID_PATH) || path.charCodeAt(BID_PATH.length) !== 0x2f) return undefined;
  const name = path.slice(BID_PATH.length + 1);
  return exchanges.has(name) ? name : undefined;
}

export const BID_PATH = '/openrtb2/bid';
