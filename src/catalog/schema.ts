import { z } from 'zod';

/** The longest id, name, domain or targeting value, in UTF-16 units. */
const TEXT_UNITS_MAX = 256;
/** The longest ad markup, in UTF-16 units: four times what exchanges commonly accept. */
const MARKUP_UNITS_MAX = 65_536;
/** Values in one include or exclude list: enough for the site list of a large buyer. */
const TARGETING_VALUES_MAX = 10_000;
/** Creatives of one line item. */
const CREATIVES_PER_LINE_ITEM_MAX = 256;
/** The dearest bid: one million units of the account currency. Sums of such bids stay exact in a float64. */
const BID_MICROS_MAX = 1e12;

const text = z.string().min(1).max(TEXT_UNITS_MAX);
const status = z.enum(['active', 'paused']);
const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/;
const isDate = (value: string) => DATE.test(value) && !Number.isNaN(Date.parse(value));
const date = z.string().refine(isDate, 'Not an ISO 8601 date, or a time without its offset (2026-03-01T00:00:00Z)');
const country = z.string().regex(/^[A-Z]{3}$/, 'Not an ISO-3166-1 alpha-3 country in upper case, such as USA');
const region = z.string().regex(/^[A-Z0-9]{1,3}$/, 'Not an ISO-3166-2 subdivision without its country, such as CA');
const language = z.string().regex(/^[a-z]{2,3}$/, 'Not an ISO-639 language in lower case, such as en');
const mime = z.string().regex(/^[\w.+-]+\/[\w.+-]+$/, 'Not a MIME type, such as video/mp4');
const pixels = z.int().min(1).max(65_535);
const seconds = z.int().min(1).max(65_535);

/** `[values]` is short for `{ include: [values] }`. */
function rule<T extends z.ZodType<string | number>>(value: T) {
  const list = z.array(value).min(1).max(TARGETING_VALUES_MAX);
  return z.union([list, z.strictObject({ include: list.optional(), exclude: list.optional() })]).optional();
}

const daypart = z
  .strictObject({
    days: z
      .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
      .min(1)
      .max(7)
      .optional(),
    from: z.int().min(0).max(23),
    to: z.int().min(1).max(24),
  })
  .refine((part) => part.from < part.to, 'from must be before to; split a night at midnight into two parts');

const targeting = z.strictObject({
  country: rule(country),
  region: rule(region),
  device_type: rule(z.int().min(1).max(255)),
  os: rule(text),
  inventory: rule(text),
  category: rule(text),
  segment: rule(text),
  language: rule(language),
  daypart: z.array(daypart).min(1).max(168).optional(),
});

/** `kind` names the record in JSONL; the arrays of a document say it already. */
const advertiser = z.strictObject({
  kind: z.literal('advertiser').optional(),
  id: text,
  name: z.string().max(TEXT_UNITS_MAX),
  domain: text,
  categories: z.array(text).max(64).optional(),
});

const flight = { start: date.optional(), end: date.optional() };
const endsLater = (value: { start?: string; end?: string }) =>
  value.start === undefined || value.end === undefined || Date.parse(value.start) < Date.parse(value.end);

const campaign = z
  .strictObject({
    kind: z.literal('campaign').optional(),
    id: text,
    advertiser_id: text,
    name: z.string().max(TEXT_UNITS_MAX).optional(),
    status: status.optional(),
    ...flight,
  })
  .refine(endsLater, 'end must be after start');

const anyCreative = {
  kind: z.literal('creative').optional(),
  id: text,
  advertiser_id: text,
  categories: z.array(text).max(64).optional(),
  attributes: z.array(z.int().min(0).max(65_535)).max(64).optional(),
  bundle: text.optional(),
  markup: z.string().min(1).max(MARKUP_UNITS_MAX),
};
const anySize = { width: pixels.optional(), height: pixels.optional() };

const creative = z.discriminatedUnion('format', [
  z.strictObject({ ...anyCreative, format: z.literal('banner'), width: pixels, height: pixels }),
  z.strictObject({
    ...anyCreative,
    ...anySize,
    format: z.literal('video'),
    duration_seconds: seconds,
    mime: mime.optional(),
  }),
  z.strictObject({ ...anyCreative, format: z.literal('audio'), duration_seconds: seconds, mime: mime.optional() }),
  z.strictObject({ ...anyCreative, ...anySize, format: z.literal('native') }),
]);

const lineItem = z
  .strictObject({
    kind: z.literal('line_item').optional(),
    id: text,
    campaign_id: text,
    name: z.string().max(TEXT_UNITS_MAX).optional(),
    status: status.optional(),
    ...flight,
    goal: z.enum(['cpm', 'cpc', 'cpa']),
    bid_micros: z.int().min(1).max(BID_MICROS_MAX),
    creative_ids: z.array(text).min(1).max(CREATIVES_PER_LINE_ITEM_MAX),
    expected_ctr: z.number().positive().max(1).optional(),
    expected_cvr: z.number().positive().max(1).optional(),
    targeting: targeting.optional(),
  })
  .refine(endsLater, 'end must be after start');

/** The one schema of catalog files: what a record of each kind must look like. */
export const SCHEMA = { advertiser, campaign, creative, line_item: lineItem } as const;

export type RecordKind = keyof typeof SCHEMA;
export type Advertiser = z.infer<typeof advertiser>;
export type Campaign = z.infer<typeof campaign>;
export type Creative = z.infer<typeof creative>;
export type LineItem = z.infer<typeof lineItem>;
export type Targeting = z.infer<typeof targeting>;
export type TargetingRule =
  | readonly (string | number)[]
  | { include?: (string | number)[]; exclude?: (string | number)[] };

/** One record as a JSONL line has it: with its kind. */
export type CatalogRecord =
  | (Advertiser & { kind: 'advertiser' })
  | (Campaign & { kind: 'campaign' })
  | (Creative & { kind: 'creative' })
  | (LineItem & { kind: 'line_item' });

/** Names of the arrays in a YAML or JSON document. */
export const DOCUMENT_ARRAYS = {
  advertisers: 'advertiser',
  campaigns: 'campaign',
  creatives: 'creative',
  line_items: 'line_item',
} as const satisfies Record<string, RecordKind>;
