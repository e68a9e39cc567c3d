import { invalid } from './http-errors.js';

/** Digits from which a number may not be exact any more: 2⁵³ has 16. */
const EXACT_DIGITS_MAX = 15;
const INTEGER = /^-?[0-9]+$/;
const NOT_FINITE = /NaN|Inf/;

/**
 * Reads JSON as Triton does: `NaN`, `Infinity`, `-Infinity` (and `Inf`) are numbers too, since Python writes them. Where
 * there are any, they come as strings of that spelling.
 *
 * @throws InferError INVALID_ARG
 */
export function parseDocument(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The second look costs only those who are refused anyway, and those who really send such numbers.
    if (NOT_FINITE.test(text)) return parseRewritten(text);
    throw refusal(error);
  }
}

/** The same document with every integer of more than 15 digits as a string: JSON.parse would round it to a double. */
export function parseRewritten(text: string): unknown {
  try {
    return JSON.parse(withQuotedLiterals(text));
  } catch (error) {
    throw refusal(error);
  }
}

function refusal(error: unknown): Error {
  return invalid(`failed to parse the request JSON buffer: ${error instanceof Error ? error.message : String(error)}`);
}

/** One walk over the text: strings are skipped, every bare word is looked at. No regular expression sees a whole string. */
function withQuotedLiterals(text: string): string {
  let rewritten = '';
  let copiedTo = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
      continue;
    }
    if (!isWordCode(code)) {
      at += 1;
      continue;
    }
    const start = at;
    while (at < text.length && isWordCode(text.charCodeAt(at))) at += 1;
    const word = text.slice(start, at);
    if (!mustBeQuoted(word)) continue;
    rewritten += `${text.slice(copiedTo, start)}"${word}"`;
    copiedTo = at;
  }
  return rewritten + text.slice(copiedTo);
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== 0x22) at += text.charCodeAt(at) === 0x5c ? 2 : 1;
  return at + 1;
}

/** Letters, digits, `+`, `-`, `.`: what numbers and the literals are made of. */
function isWordCode(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true;
  return (
    (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x2b || code === 0x2d || code === 0x2e
  );
}

function mustBeQuoted(word: string): boolean {
  if (word.length > EXACT_DIGITS_MAX && INTEGER.test(word)) return true;
  return notFinite(word) !== undefined;
}

/** The number that JSON has no word for; undefined where it is another word. */
export function notFinite(word: string): number | undefined {
  switch (word) {
    case 'NaN':
      return Number.NaN;
    case 'Infinity':
    case 'Inf':
      return Number.POSITIVE_INFINITY;
    case '-Infinity':
    case '-Inf':
      return Number.NEGATIVE_INFINITY;
    default:
      return undefined;
  }
}
