/**
 * A bid request as every room after `openrtb/` sees it: normalised, encoding-free, pooled. The decoder fills it in place
 * and `reset` returns it to empty, so that no object is made per request beyond what the parser makes.
 *
 * Strings are '' when absent; numbers say beside each field what stands for absent.
 */

/** Ad formats; the numbers are OpenRTB's `mtype`. */
export const FORMAT = { banner: 1, video: 2, audio: 3, native: 4 } as const;
export type FormatName = keyof typeof FORMAT;

/** Where the impression is: OpenRTB's mutually exclusive site/app/dooh objects. */
export const INVENTORY = { none: 0, site: 1, app: 2, dooh: 3 } as const;

/** At most this many sizes of one banner imp are considered; more are ignored. */
export const BANNER_SIZES_MAX = 16;
/** At most this many imps of one request are considered. 8 × 64 candidates = 512 rows is what a slot holds. */
export const IMPS_MAX = 8;
/** At most this many segments and categories of one request are considered. */
export const SEGMENTS_MAX = 64;
export const CATEGORIES_MAX = 16;

/** One size as `width << 16 | height`, so that a set of sizes is a set of integers. */
export function packSize(width: number, height: number): number {
  return ((width & 0xffff) << 16) | (height & 0xffff);
}

export class Imp {
  id = '';
  /** Bit `1 << FORMAT.x` is set for each format that may be bid on; 0 = nothing biddable. */
  formatMask = 0;
  /** Banner sizes, packed; empty with the banner bit set means any size. */
  readonly bannerSizes: number[] = [];
  /** Player size; 0 = unknown. */
  videoWidth = 0;
  videoHeight = 0;
  /** Video or audio length bounds in seconds; `durationSecondsMax` 0 = no bound. */
  durationSecondsMin = 0;
  durationSecondsMax = 0;
  /** Accepted MIME types of video and audio; empty = not said. */
  readonly videoMimes: string[] = [];
  readonly audioMimes: string[] = [];
  /** CPM in micros of `floorCurrency`, inclusive; 0 = no floor. */
  floorMicros = 0;
  floorCurrency = 'USD';
  /** Ad position on screen (OpenRTB list); 0 = unknown. */
  position = 0;
  interstitial = false;
  /** Only deals may bid. */
  privateAuction = false;

  reset(): void {
    this.id = '';
    this.formatMask = 0;
    this.bannerSizes.length = 0;
    this.videoWidth = 0;
    this.videoHeight = 0;
    this.durationSecondsMin = 0;
    this.durationSecondsMax = 0;
    this.videoMimes.length = 0;
    this.audioMimes.length = 0;
    this.floorMicros = 0;
    this.floorCurrency = 'USD';
    this.position = 0;
    this.interstitial = false;
    this.privateAuction = false;
  }
}

export class AuctionRequest {
  id = '';
  /** 1 first price, 2 second price plus, 500+ private rules. */
  auctionType = 2;
  /** The exchange's whole time budget in milliseconds, network included; 0 = not said. */
  tmaxMs = 0;
  /** Allowed bid currencies; empty = USD. */
  readonly currencies: string[] = [];
  test = false;

  /** The first `impCount` imps are this request's. */
  readonly imps: Imp[] = [];
  impCount = 0;

  /** One of INVENTORY. */
  inventoryKind = 0;
  /** `site.domain` or `app.bundle`, lower case: the key that inventory targeting names. */
  inventory = '';
  publisherId = '';
  /** IAB content categories of the site or app. */
  readonly categories: string[] = [];

  /** OpenRTB device type list; 0 = unknown. */
  deviceType = 0;
  /** Lower case, such as `ios`, `android`, `windows`. */
  os = '';
  make = '';
  /** ISO-639-1, lower case, region removed (`en-US` → `en`). */
  language = '';
  /** OpenRTB connection type list; 0 = unknown. */
  connectionType = 0;
  /** ISO-3166-1 alpha-3, upper case. */
  country = '';
  /** ISO-3166-2 subdivision without the country, upper case. */
  region = '';
  /** Minutes the device's local time is ahead of UTC; NaN = unknown. */
  utcOffsetMinutes = Number.NaN;

  /** `user.buyeruid`, else `user.id`, else `device.ifa`. */
  userId = '';
  /** `user.data[].segment[].id`. */
  readonly segments: string[] = [];

  /** The imp at `index`, made on first use and pooled from then on. */
  impAt(index: number): Imp {
    let imp = this.imps[index];
    if (imp === undefined) {
      imp = new Imp();
      this.imps[index] = imp;
    }
    return imp;
  }

  reset(): void {
    this.id = '';
    this.auctionType = 2;
    this.tmaxMs = 0;
    this.currencies.length = 0;
    this.test = false;
    for (let i = 0; i < this.impCount; i++) this.imps[i].reset();
    this.impCount = 0;
    this.inventoryKind = INVENTORY.none;
    this.inventory = '';
    this.publisherId = '';
    this.categories.length = 0;
    this.deviceType = 0;
    this.os = '';
    this.make = '';
    this.language = '';
    this.connectionType = 0;
    this.country = '';
    this.region = '';
    this.utcOffsetMinutes = Number.NaN;
    this.userId = '';
    this.segments.length = 0;
  }
}

/** Hour of the week in the user's local time where the offset is known, else UTC. 0 = Monday 00:00, 167 = Sunday 23:00. */
export function hourOfWeek(epochMs: number, utcOffsetMinutes: number): number {
  const offsetMs = Number.isNaN(utcOffsetMinutes) ? 0 : utcOffsetMinutes * 60_000;
  // 1970-01-01 was a Thursday, three days after a Monday.
  const hours = Math.floor((epochMs + offsetMs) / 3_600_000) + 72;
  return ((hours % 168) + 168) % 168;
}
