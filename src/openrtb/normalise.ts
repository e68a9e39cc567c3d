import { type AuctionRequest, CATEGORIES_MAX, IMPS_MAX, INVENTORY, SEGMENTS_MAX } from '../contract/index.js';
import { normaliseImp } from './normalise-imp.js';
import {
  appendTexts,
  arrayOf,
  flagOf,
  idOf,
  integerOf,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  textOf,
} from './read.js';

/** Longer budgets than this are a mistake of the sender. */
const TMAX_MS_MAX = 60_000;
const CURRENCIES_MAX = 16;
/** Real offsets go from −12 h to +14 h. */
const UTC_OFFSET_MINUTES_MAX = 14 * 60;

/**
 * Fills `into`, which must be empty, from a parsed request of OpenRTB 2.5 or 2.6.
 *
 * Malformed is only what cannot be answered: no id to echo, or no imp to bid on by its id. Two findings of the Prebid
 * corpus are tolerated although section 3.2.1 forbids them: more than one of site/app/dooh (the first of app, site,
 * dooh counts), and imps that share an id (none of them is biddable, since a bid could not say which one it is for).
 *
 * @returns false = malformed
 */
export function normaliseRequest(root: unknown, into: AuctionRequest): boolean {
  if (!isObject(root)) return false;
  into.id = idOf(root.id);
  if (into.id === '') return false;
  if (!normaliseImps(root.imp, into)) return false;

  into.auctionType = integerOf(root.at, 1, 0xffff, 2);
  const tmaxMs = numberOf(root.tmax);
  // A fraction of a millisecond is still a budget: 0 would read as "not said".
  if (tmaxMs > 0) into.tmaxMs = Math.min(TMAX_MS_MAX, Math.max(1, Math.floor(tmaxMs)));
  into.test = flagOf(root.test);
  appendTexts(root.cur, into.currencies, CURRENCIES_MAX);
  for (let i = 0; i < into.currencies.length; i++) into.currencies[i] = into.currencies[i].toUpperCase();

  normaliseInventory(root, into);
  const device = objectOf(root.device);
  const user = objectOf(root.user);
  const regs = objectOf(root.regs);
  normaliseDevice(device, into);
  if (!flagOf(regs.coppa)) normaliseGeo(objectOf(device.geo), objectOf(user.geo), into);
  if (identityAllowed(regs, device)) normaliseUser(user, device, into);
  return true;
}

function normaliseImps(value: unknown, into: AuctionRequest): boolean {
  const imps = arrayOf(value);
  if (imps.length === 0) return false;
  const count = Math.min(imps.length, IMPS_MAX);
  for (let i = 0; i < count; i++) {
    const source = imps[i];
    if (!isObject(source)) return false;
    const id = idOf(source.id);
    if (id === '') return false;
    const imp = into.impAt(i);
    // Counted before it is filled: `reset` must find it again whatever happens.
    into.impCount = i + 1;
    imp.id = id;
    normaliseImp(source, imp);
  }
  for (let i = 1; i < count; i++) {
    for (let j = 0; j < i; j++) {
      if (into.imps[i].id !== into.imps[j].id) continue;
      into.imps[i].formatMask = 0;
      into.imps[j].formatMask = 0;
    }
  }
  return true;
}

function normaliseInventory(root: JsonObject, into: AuctionRequest): void {
  let place: JsonObject;
  if (isObject(root.app)) {
    place = root.app;
    into.inventoryKind = INVENTORY.app;
    into.inventory = textOf(place.bundle).toLowerCase();
  } else if (isObject(root.site)) {
    place = root.site;
    into.inventoryKind = INVENTORY.site;
    into.inventory = textOf(place.domain).toLowerCase();
  } else if (isObject(root.dooh)) {
    place = root.dooh;
    into.inventoryKind = INVENTORY.dooh;
    into.inventory = textOf(place.domain).toLowerCase();
  } else {
    return;
  }
  into.publisherId = textOf(objectOf(place.publisher).id);
  appendTexts(place.cat, into.categories, CATEGORIES_MAX);
  // What is excluded by category must not slip in by the page, the section or the film that the ad would stand beside.
  appendTexts(place.pagecat, into.categories, CATEGORIES_MAX);
  appendTexts(place.sectioncat, into.categories, CATEGORIES_MAX);
  appendTexts(objectOf(place.content).cat, into.categories, CATEGORIES_MAX);
}

function normaliseDevice(device: JsonObject, into: AuctionRequest): void {
  into.deviceType = integerOf(device.devicetype, 0, 0xff, 0);
  into.os = textOf(device.os).toLowerCase();
  into.make = textOf(device.make);
  // 2.6 has the whole tag in `langb` and practice puts it into `language` too.
  const language = textOf(device.language) || textOf(device.langb);
  into.language = primaryLanguage(language);
  into.connectionType = integerOf(device.connectiontype, 0, 0xff, 0);
}

function primaryLanguage(tag: string): string {
  for (let i = 0; i < tag.length; i++) {
    const unit = tag.charCodeAt(i);
    if (unit === 0x2d || unit === 0x5f) return tag.slice(0, i).toLowerCase();
  }
  return tag.toLowerCase();
}

/** Where the device is, else where the user lives; each field by itself. */
function normaliseGeo(device: JsonObject, user: JsonObject, into: AuctionRequest): void {
  into.country = (textOf(device.country) || textOf(user.country)).toUpperCase();
  const region = textOf(device.region) || textOf(user.region);
  into.region = region.slice(region.indexOf('-') + 1).toUpperCase();
  let offset = integerOf(device.utcoffset, -UTC_OFFSET_MINUTES_MAX, UTC_OFFSET_MINUTES_MAX, Number.NaN);
  if (Number.isNaN(offset)) {
    offset = integerOf(user.utcoffset, -UTC_OFFSET_MINUTES_MAX, UTC_OFFSET_MINUTES_MAX, Number.NaN);
  }
  into.utcOffsetMinutes = offset;
}

function normaliseUser(user: JsonObject, device: JsonObject, into: AuctionRequest): void {
  into.userId = textOf(user.buyeruid) || textOf(user.id) || textOf(device.ifa);
  const data = arrayOf(user.data);
  for (let i = 0; i < data.length && into.segments.length < SEGMENTS_MAX; i++) {
    const list = arrayOf(objectOf(data[i]).segment);
    for (let j = 0; j < list.length && into.segments.length < SEGMENTS_MAX; j++) {
      const id = textOf(objectOf(list[j]).id);
      if (id !== '') into.segments.push(id);
    }
  }
}

/**
 * Whether ids and user data may be read at all. GDPR consent strings are not parsed yet, and what cannot be parsed
 * denies. 2.6 locations win over the 2.5 ones in `ext`.
 */
function identityAllowed(regs: JsonObject, device: JsonObject): boolean {
  if (flagOf(regs.coppa) || flagOf(device.lmt)) return false;
  const ext = objectOf(regs.ext);
  if (flagOf(regs.gdpr ?? ext.gdpr)) return false;
  if (flagOf(regs.gpc ?? ext.gpc)) return false;
  const usPrivacy = textOf(regs.us_privacy) || textOf(ext.us_privacy);
  return usPrivacy.charAt(2).toUpperCase() !== 'Y';
}
