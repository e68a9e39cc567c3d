import { FORMAT, GOAL } from '../contract/index.js';
import { TargetingPool } from './dimensions.js';
import { NumberList } from './growable.js';
import type { Problems } from './problems.js';
import { staticEcpmMicros } from './rank.js';
import {
  type Advertiser,
  type Campaign,
  type Creative,
  DOCUMENT_ARRAYS,
  type LineItem,
  type RecordKind,
  SCHEMA,
} from './schema.js';
import { TextTable } from './text-table.js';

const DEFAULT_CLICK_RATE = 0.01;
const DEFAULT_CONVERSION_RATE = 0.05;

const ints = () => new NumberList(Int32Array);
const floats = () => new NumberList(Float64Array);

/** No record has the id. */
export const MISSING = -1;
/** A record has the id, but the schema refused it: references to it are no further problem. */
const BROKEN = -2;

/** Where each record of one kind came from, and the way from its id to its number. */
class Register {
  readonly id = ints();
  readonly file = ints();
  readonly position = ints();
  /** By text number of the id: record number + 1, or 0 = no such record, or -1 = BROKEN. */
  private readonly byId = ints();

  constructor(readonly kind: RecordKind) {}

  get count(): number {
    return this.id.length;
  }

  /** @returns the record with this id, MISSING or BROKEN */
  find(idText: number): number {
    return idText < this.byId.values.length ? this.byId.get(idText) - 1 : MISSING;
  }

  addBroken(idText: number): void {
    this.byId.reserve(idText + 1);
    if (this.byId.get(idText) === 0) this.byId.set(idText, BROKEN + 1);
  }

  add(idText: number, file: number, position: number): void {
    this.byId.reserve(idText + 1);
    this.byId.set(idText, this.id.push(idText) + 1);
    this.file.push(file);
    this.position.push(position);
  }
}

/**
 * Takes records one by one, checks each against the schema, and keeps what matters as columns of numbers. References
 * are texts until `resolve.ts` turns them into record numbers, because a record may name one that is read later.
 */
export class RecordStore {
  readonly texts = new TextTable();
  /** Categories and attributes: lists, each its length and then its values. List 0 is the empty one. */
  readonly lists = ints();
  /** The same for what only the loader reads: creatives of line items, and targeting. */
  readonly pool = ints();
  readonly targetings = new TargetingPool(this.pool);

  readonly advertisers = Object.assign(new Register('advertiser'), { domain: ints(), categories: ints() });
  readonly campaigns = Object.assign(new Register('campaign'), {
    advertiser: ints(),
    paused: ints(),
    startMs: floats(),
    endMs: floats(),
  });
  readonly creatives = Object.assign(new Register('creative'), {
    advertiser: ints(),
    format: ints(),
    width: ints(),
    height: ints(),
    durationSeconds: ints(),
    /** Text number of the MIME type in lower case; 0 = not said. */
    mime: ints(),
    categories: ints(),
    attributes: ints(),
    bundle: ints(),
    markup: ints(),
  });
  readonly lineItems = Object.assign(new Register('line_item'), {
    campaign: ints(),
    paused: ints(),
    startMs: floats(),
    endMs: floats(),
    goal: ints(),
    bidMicros: floats(),
    ecpmMicros: floats(),
    creatives: ints(),
    targeting: ints(),
  });

  private readonly files: { readonly name: string; readonly isLines: boolean }[] = [];

  constructor(readonly problems: Problems) {
    this.lists.push(0);
    this.pool.push(0);
  }

  /** Records added from now on come from this file. */
  beginFile(name: string, isLines: boolean): void {
    this.files.push({ name, isLines });
  }

  /** @param position 1-based line of a JSONL file, 0-based index in the array of a document */
  add(kind: RecordKind, record: unknown, position: number): void {
    const checked = SCHEMA[kind].safeParse(record);
    if (!checked.success) {
      this.problems.addIssues(this.placeText(kind, this.files.length - 1, position), checked.error.issues);
      const id = (record as { id?: unknown } | null)?.id;
      if (typeof id === 'string') this.registerOf(kind).addBroken(this.texts.intern(id));
      return;
    }
    if (!this.register(kind, checked.data.id, position)) return;
    if (kind === 'line_item') this.addLineItem(checked.data as LineItem);
    else if (kind === 'creative') this.addCreative(checked.data as Creative);
    else if (kind === 'campaign') this.addCampaign(checked.data as Campaign);
    else this.addAdvertiser(checked.data as Advertiser);
  }

  /** Where a record came from, for a message. */
  place(register: Register, record: number): string {
    return this.placeText(register.kind, register.file.get(record), register.position.get(record));
  }

  private placeText(kind: RecordKind, file: number, position: number): string {
    const { name, isLines } = this.files[file];
    return isLines ? `${name}:${position}` : `${name}: ${ARRAY_OF[kind]}[${position}]`;
  }

  private register(kind: RecordKind, id: string, position: number): boolean {
    const register = this.registerOf(kind);
    const idText = this.texts.intern(id);
    const earlier = register.find(idText);
    const file = this.files.length - 1;
    if (earlier < 0) {
      register.add(idText, file, position);
      return true;
    }
    const there = this.place(register, earlier);
    this.problems.add(this.placeText(kind, file, position), `${kind} "${id}" is defined twice; first at ${there}`);
    return false;
  }

  private registerOf(kind: RecordKind): Register {
    if (kind === 'line_item') return this.lineItems;
    if (kind === 'creative') return this.creatives;
    return kind === 'campaign' ? this.campaigns : this.advertisers;
  }

  private addAdvertiser(record: Advertiser): void {
    this.advertisers.domain.push(this.texts.intern(record.domain.toLowerCase()));
    this.advertisers.categories.push(this.textList(this.lists, record.categories));
  }

  private addCampaign(record: Campaign): void {
    this.campaigns.advertiser.push(this.texts.intern(record.advertiser_id));
    addSchedule(this.campaigns, record);
  }

  private addCreative(record: Creative): void {
    const { creatives, texts } = this;
    creatives.advertiser.push(texts.intern(record.advertiser_id));
    creatives.format.push(FORMAT[record.format]);
    creatives.width.push('width' in record ? (record.width ?? 0) : 0);
    creatives.height.push('height' in record ? (record.height ?? 0) : 0);
    creatives.durationSeconds.push('duration_seconds' in record ? record.duration_seconds : 0);
    creatives.mime.push('mime' in record ? texts.intern((record.mime ?? '').toLowerCase()) : 0);
    creatives.categories.push(this.textList(this.lists, record.categories));
    creatives.attributes.push(addList(this.lists, record.attributes ?? []));
    creatives.bundle.push(texts.intern(record.bundle ?? ''));
    creatives.markup.push(texts.intern(record.markup));
  }

  private addLineItem(record: LineItem): void {
    const { lineItems } = this;
    lineItems.campaign.push(this.texts.intern(record.campaign_id));
    addSchedule(lineItems, record);
    lineItems.goal.push(GOAL[record.goal]);
    lineItems.bidMicros.push(record.bid_micros);
    const clickRate = record.expected_ctr ?? DEFAULT_CLICK_RATE;
    const conversionRate = record.expected_cvr ?? DEFAULT_CONVERSION_RATE;
    lineItems.ecpmMicros.push(staticEcpmMicros(record.goal, record.bid_micros, clickRate, conversionRate));
    lineItems.creatives.push(this.textList(this.pool, record.creative_ids));
    lineItems.targeting.push(this.targetings.add(record.targeting));
  }

  private textList(to: NumberList<Int32Array>, texts: readonly string[] = []): number {
    return addList(
      to,
      texts.map((text) => this.texts.intern(text)),
    );
  }
}

function addList(to: NumberList<Int32Array>, values: readonly number[]): number {
  if (values.length === 0) return 0;
  const at = to.push(values.length);
  for (const value of values) to.push(value);
  return at;
}

const ARRAY_OF = Object.fromEntries(Object.entries(DOCUMENT_ARRAYS).map(([name, kind]) => [kind, name]));

function addSchedule(
  to: { paused: NumberList<Int32Array>; startMs: NumberList<Float64Array>; endMs: NumberList<Float64Array> },
  record: Campaign | LineItem,
): void {
  to.paused.push(record.status === 'paused' ? 1 : 0);
  to.startMs.push(record.start === undefined ? Number.NEGATIVE_INFINITY : Date.parse(record.start));
  to.endMs.push(record.end === undefined ? Number.POSITIVE_INFINITY : Date.parse(record.end));
}
