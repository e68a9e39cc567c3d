import { combine32 } from '../base/index.js';
import type { AdColumns } from '../contract/index.js';
import { NumberList, newShared } from './growable.js';
import type { CompiledCatalog, TextLinks } from './layout.js';
import { ADS_MAX, LimitReached } from './limits.js';
import { rankOrder } from './rank.js';
import type { RecordStore } from './store.js';

export type CompiledAds = Pick<CompiledCatalog, 'ads' | 'startMs' | 'endMs' | 'links'>;

/** Numbers the (line item, creative) pairs that can run, best static rank first, and writes their columns. */
export function compileAds(store: RecordStore): CompiledAds {
  const { lineItem, creative } = rankedPairs(store);
  const links = linkTexts(store, lineItem, creative);
  const { startMs, endMs } = flights(store, lineItem);
  return { ads: adColumns(store, lineItem, creative), startMs, endMs, links };
}

/** Paused ads and those whose two flights never meet get no number: nothing can make them run but another load. */
function rankedPairs(store: RecordStore): { lineItem: Uint32Array; creative: Uint32Array } {
  const { lineItems, creatives, pool, texts } = store;
  const lineItem = new NumberList(Uint32Array);
  const creative = new NumberList(Uint32Array);
  const ecpm = new NumberList(Float64Array);
  const tie = new NumberList(Uint32Array);
  for (let item = 0; item < lineItems.count; item++) {
    if (!canRun(store, item)) continue;
    const itemCode = texts.code(lineItems.id.get(item));
    const list = lineItems.creatives.get(item);
    for (let i = 1; i <= pool.get(list); i++) {
      const member = pool.get(list + i);
      lineItem.push(item);
      creative.push(member);
      ecpm.push(lineItems.ecpmMicros.get(item));
      tie.push(combine32(itemCode, texts.code(creatives.id.get(member))));
    }
  }
  const count = lineItem.length;
  if (count > ADS_MAX) throw new LimitReached(`${count} ads (line item and creative pairs), more than ${ADS_MAX}`);
  const order = rankOrder(ecpm.values.slice(0, count), tie.values);
  return { lineItem: permuted(lineItem, order), creative: permuted(creative, order) };
}

function canRun(store: RecordStore, item: number): boolean {
  const { lineItems, campaigns } = store;
  const campaign = lineItems.campaign.get(item);
  if (lineItems.paused.get(item) === 1 || campaigns.paused.get(campaign) === 1) return false;
  const startMs = Math.max(lineItems.startMs.get(item), campaigns.startMs.get(campaign));
  return startMs < Math.min(lineItems.endMs.get(item), campaigns.endMs.get(campaign));
}

function permuted(list: NumberList<Uint32Array>, order: Uint32Array): Uint32Array {
  const result = newShared(Uint32Array, order.length);
  for (let i = 0; i < order.length; i++) result[i] = list.get(order[i]);
  return result;
}

function adColumns(store: RecordStore, lineItem: Uint32Array, creative: Uint32Array): AdColumns {
  const count = lineItem.length;
  const { lineItems, creatives, campaigns, advertisers, texts } = store;
  const codes = () => newShared(Uint32Array, count);
  const shorts = () => newShared(Uint16Array, count);
  const ads = {
    count,
    advertiserCode: codes(),
    campaignCode: codes(),
    lineItemCode: codes(),
    creativeCode: codes(),
    categoryCode: codes(),
    domainCode: codes(),
    format: newShared(Uint8Array, count),
    width: shorts(),
    height: shorts(),
    durationSeconds: shorts(),
    goal: newShared(Uint8Array, count),
    bidMicros: newShared(Float64Array, count),
  };
  for (let ad = 0; ad < count; ad++) {
    const item = lineItem[ad];
    const member = creative[ad];
    const campaign = lineItems.campaign.get(item);
    const advertiser = campaigns.advertiser.get(campaign);
    ads.advertiserCode[ad] = texts.code(advertisers.id.get(advertiser));
    ads.campaignCode[ad] = texts.code(campaigns.id.get(campaign));
    ads.lineItemCode[ad] = texts.code(lineItems.id.get(item));
    ads.creativeCode[ad] = texts.code(creatives.id.get(member));
    ads.categoryCode[ad] = firstCategoryCode(store, member, advertiser);
    ads.domainCode[ad] = texts.code(advertisers.domain.get(advertiser));
    ads.format[ad] = creatives.format.get(member);
    ads.width[ad] = creatives.width.get(member);
    ads.height[ad] = creatives.height.get(member);
    ads.durationSeconds[ad] = creatives.durationSeconds.get(member);
    ads.goal[ad] = lineItems.goal.get(item);
    ads.bidMicros[ad] = lineItems.bidMicros.get(item);
  }
  return ads;
}

function firstCategoryCode(store: RecordStore, creative: number, advertiser: number): number {
  const list = store.creatives.categories.get(creative) || store.advertisers.categories.get(advertiser);
  return list === 0 ? 0 : store.texts.code(store.lists.get(list + 1));
}

function flights(store: RecordStore, lineItem: Uint32Array): { startMs: Float64Array; endMs: Float64Array } {
  const { lineItems, campaigns } = store;
  const startMs = newShared(Float64Array, lineItem.length);
  const endMs = newShared(Float64Array, lineItem.length);
  for (let ad = 0; ad < lineItem.length; ad++) {
    const item = lineItem[ad];
    const campaign = lineItems.campaign.get(item);
    startMs[ad] = Math.max(lineItems.startMs.get(item), campaigns.startMs.get(campaign));
    endMs[ad] = Math.min(lineItems.endMs.get(item), campaigns.endMs.get(campaign));
  }
  return { startMs, endMs };
}

function linkTexts(store: RecordStore, lineItemOfAd: Uint32Array, creativeOfAd: Uint32Array): TextLinks {
  const { lineItems, creatives, campaigns, advertisers } = store;
  return {
    texts: store.texts.toShared(),
    lists: store.lists.toShared(),
    lineItemOfAd,
    creativeOfAd,
    lineItemId: lineItems.id.toShared(),
    campaignOfLineItem: lineItems.campaign.toShared(),
    campaignId: campaigns.id.toShared(),
    advertiserOfCampaign: campaigns.advertiser.toShared(),
    advertiserId: advertisers.id.toShared(),
    advertiserDomain: advertisers.domain.toShared(),
    advertiserCategories: advertisers.categories.toShared(),
    creativeId: creatives.id.toShared(),
    creativeMime: creatives.mime.toShared(),
    creativeCategories: creatives.categories.toShared(),
    creativeAttributes: creatives.attributes.toShared(),
    creativeBundle: creatives.bundle.toShared(),
    creativeMarkup: creatives.markup.toShared(),
  };
}
