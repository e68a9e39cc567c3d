import { BANNER_SIZES_MAX, FORMAT, type Imp, packSize } from '../contract/index.js';
import {
  appendTexts,
  arrayOf,
  flagOf,
  floorMicrosOf,
  integerOf,
  isObject,
  isPresent,
  type JsonObject,
  objectOf,
  textOf,
} from './read.js';

const MIMES_MAX = 32;
const DURATION_FLOORS_MAX = 64;
/** Longest ad considered: a day. */
const DURATION_SECONDS_MAX = 86_400;
/** A native request larger than this is not looked at; those of the corpus have at most 1.5 kB. */
const NATIVE_REQUEST_CHARS_MAX = 32_768;

/** Fills `imp`, which must be empty, from a request's imp object. A format that cannot be bid on leaves its bit clear. */
export function normaliseImp(source: JsonObject, imp: Imp): void {
  imp.floorMicros = floorMicrosOf(source.bidfloor);
  if (isObject(source.banner)) readBanner(source.banner, imp);
  if (isObject(source.video)) readPlayer(source.video, FORMAT.video, imp.videoMimes, imp);
  if (isObject(source.audio)) readPlayer(source.audio, FORMAT.audio, imp.audioMimes, imp);
  if (isObject(source.native) && isNativeRequest(source.native.request)) imp.formatMask |= 1 << FORMAT.native;

  const currency = textOf(source.bidfloorcur);
  if (currency !== '' && currency !== 'USD') imp.floorCurrency = currency.trim().toUpperCase() || 'USD';
  imp.interstitial = flagOf(source.instl);
  imp.privateAuction = flagOf(objectOf(source.pmp).private_auction);
}

/** `format[]`, else `w`/`h`, else any size. Sizes that were sent but cannot be read make the banner unbiddable. */
function readBanner(banner: JsonObject, imp: Imp): void {
  const formats = arrayOf(banner.format);
  for (let i = 0; i < formats.length && imp.bannerSizes.length < BANNER_SIZES_MAX; i++) {
    const format = objectOf(formats[i]);
    pushSize(format.w, format.h, imp.bannerSizes);
  }
  if (imp.bannerSizes.length === 0) pushSize(banner.w, banner.h, imp.bannerSizes);
  imp.position = integerOf(banner.pos, 0, 0xff, imp.position);
  if (imp.bannerSizes.length > 0 || (saysNoSize(banner, formats) && !isEmpty(banner))) {
    imp.formatMask |= 1 << FORMAT.banner;
  }
}

function pushSize(w: unknown, h: unknown, out: number[]): void {
  const width = integerOf(w, 1, 0xffff, 0);
  const height = integerOf(h, 1, 0xffff, 0);
  if (width !== 0 && height !== 0) out.push(packSize(width, height));
}

/** 0 × 0 is how some senders write "not known". */
function saysNoSize(banner: JsonObject, formats: readonly unknown[]): boolean {
  if (formats.length > 0 || (isPresent(banner.format) && !Array.isArray(banner.format))) return false;
  return (!isPresent(banner.w) || banner.w === 0) && (!isPresent(banner.h) || banner.h === 0);
}

function isEmpty(object: JsonObject): boolean {
  for (const _ in object) return false;
  return true;
}

/**
 * Video and audio. `mimes` is required (3.2.7, 3.2.8): without it there is no telling what the player can play. The
 * length bounds of both are kept in one pair, so an imp with both formats gets the lengths that suit both.
 */
function readPlayer(player: JsonObject, format: number, mimes: string[], imp: Imp): void {
  appendTexts(player.mimes, mimes, MIMES_MAX);
  if (mimes.length === 0) return;
  for (let i = 0; i < mimes.length; i++) mimes[i] = mimes[i].toLowerCase();

  let min = integerOf(player.minduration, 0, DURATION_SECONDS_MAX, 0);
  let max = integerOf(player.maxduration, 0, DURATION_SECONDS_MAX, 0);
  // One ad never outlasts the pod it is in.
  if (max === 0) max = integerOf(player.poddur, 0, DURATION_SECONDS_MAX, 0);
  const required = integerOf(arrayOf(player.rqddurs)[0], 1, DURATION_SECONDS_MAX, 0);
  if (required !== 0) {
    // The exact lengths exclude the range. One of them is kept, which loses bids but never makes an invalid one.
    min = required;
    max = required;
  }
  if (imp.durationSecondsMin > min) min = imp.durationSecondsMin;
  if (imp.durationSecondsMax !== 0 && (max === 0 || imp.durationSecondsMax < max)) max = imp.durationSecondsMax;
  if (max !== 0 && min > max) return;
  const floorMicros = playerFloorMicros(player, max);
  if (floorMicros === Number.POSITIVE_INFINITY) return;
  imp.floorMicros = Math.max(imp.floorMicros, floorMicros);
  imp.durationSecondsMin = min;
  imp.durationSecondsMax = max;

  if (format === FORMAT.video) {
    imp.videoWidth = integerOf(player.w, 1, 0xffff, 0);
    imp.videoHeight = integerOf(player.h, 1, 0xffff, 0);
    if (imp.position === 0) imp.position = integerOf(player.pos, 0, 0xff, 0);
  }
  imp.formatMask |= 1 << format;
}

/**
 * The floor that holds for an ad of any admissible length (7.11): `mincpmpersec` times the longest, and the highest of
 * `durfloors`. It is stricter than need be for a shorter ad and for the banner beside a video, which loses bids but
 * never makes one below its floor.
 *
 * @returns infinite where it grows with a length that has no bound
 */
function playerFloorMicros(player: JsonObject, longestSeconds: number): number {
  let floorMicros = 0;
  const perSecond = floorMicrosOf(player.mincpmpersec);
  if (perSecond > 0) floorMicros = longestSeconds === 0 ? Number.POSITIVE_INFINITY : perSecond * longestSeconds;
  const floors = arrayOf(player.durfloors);
  for (let i = 0; i < floors.length && i < DURATION_FLOORS_MAX; i++) {
    floorMicros = Math.max(floorMicros, floorMicrosOf(objectOf(floors[i]).bidfloor));
  }
  return floors.length > DURATION_FLOORS_MAX ? Number.POSITIVE_INFINITY : floorMicros;
}

/** Whether `native.request` is a native request with assets: a text (1.0 wraps it in `native`), or an object by practice. */
function isNativeRequest(request: unknown): boolean {
  let value = request;
  if (typeof value === 'string') {
    if (value.length === 0 || value.length > NATIVE_REQUEST_CHARS_MAX) return false;
    try {
      value = JSON.parse(value);
    } catch {
      return false;
    }
  }
  let native = objectOf(value);
  if (isObject(native.native)) native = native.native;
  return arrayOf(native.assets).length > 0;
}
