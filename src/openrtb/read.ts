/**
 * Liberal readers of single values: what exchanges send in place of what the specification says. A value of the wrong
 * type counts as absent, never as an error. No regular expressions and no allocation on the usual types.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Ids are echoed exactly, so a longer one cannot be cut: it makes the request malformed. The longest seen has 64. */
const ID_CHARS_MAX = 512;
/** Every other text that the request keeps; longer ones count as absent. */
const TEXT_CHARS_MAX = 512;
/** `Number()` of a long text is slow and a number never needs it. */
const NUMBER_CHARS_MAX = 32;
/** One million currency units CPM, in micros: nothing is sold above it, and below it all sums are exact in a double. */
const PRICE_MICROS_MAX = 1e12;

const EMPTY: JsonObject = Object.freeze(Object.create(null));
const NONE: readonly unknown[] = Object.freeze([]);

/** The object itself, or an empty one, so that reading on needs no checks. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : EMPTY;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : NONE;
}

/** Whether a field was sent with something in it; null stands for absent. */
export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A finite number, also from a text such as `"120"`; NaN where there is none. */
export function numberOf(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? value : Number.NaN;
  if (typeof value !== 'string' || value.length === 0 || value.length > NUMBER_CHARS_MAX) return Number.NaN;
  const trimmed = value.trim();
  if (trimmed === '') return Number.NaN;
  const number = Number(trimmed);
  return Number.isFinite(number) ? number : Number.NaN;
}

/** A whole number within `min … max`, fractions cut off; `absent` for anything else. */
export function integerOf(value: unknown, min: number, max: number, absent: number): number {
  const number = Math.trunc(numberOf(value));
  return number >= min && number <= max ? number : absent;
}

/** OpenRTB's 0/1 flags; protobuf-minded senders write booleans. */
export function flagOf(value: unknown): boolean {
  return value === 1 || value === true || (typeof value === 'string' && numberOf(value) === 1);
}

/** A text of at most TEXT_CHARS_MAX, else ''. */
export function textOf(value: unknown): string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX ? value : '';
}

/** An id: a non-empty text, or a whole number as some exchanges send; '' where it is neither, or too long to echo. */
export function idOf(value: unknown): string {
  if (typeof value === 'string') return value.length <= ID_CHARS_MAX ? value : '';
  return Number.isSafeInteger(value) ? String(value) : '';
}

/** Appends the texts of a list (or one bare text) to `out`, up to `limit` in all. */
export function appendTexts(value: unknown, out: string[], limit: number): void {
  if (typeof value === 'string') {
    if (value !== '' && out.length < limit && value.length <= TEXT_CHARS_MAX) out.push(value);
    return;
  }
  const list = arrayOf(value);
  for (let i = 0; i < list.length && out.length < limit; i++) {
    const text = textOf(list[i]);
    if (text !== '') out.push(text);
  }
}

/**
 * A floor in currency units to the smallest whole number of micros that is not below it, so that a bid of exactly that
 * many micros always meets the floor when both are compared as decimals again. Negative or unreadable is no floor;
 * infinite or absurd is a floor that nothing meets.
 */
export function floorMicrosOf(value: unknown): number {
  if (value === undefined) return 0;
  const units = value === Number.POSITIVE_INFINITY ? value : numberOf(value);
  if (!(units > 0)) return 0;
  if (units >= PRICE_MICROS_MAX / 1e6) return PRICE_MICROS_MAX;
  const nearest = Math.round(units * 1e6);
  // `n / 1e6` is the double closest to that decimal, which is what a parser makes of it: the comparison is exact.
  return nearest / 1e6 < units ? nearest + 1 : nearest;
}
