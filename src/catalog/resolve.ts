import { MISSING, type RecordStore } from './store.js';

/**
 * Turns the ids that records name into record numbers, in place, and reports every reference that leads nowhere or to
 * the wrong advertiser. Nothing that comes after may run when this found a problem.
 */
export function resolveReferences(store: RecordStore): void {
  resolveAdvertisers(store, store.campaigns);
  resolveAdvertisers(store, store.creatives);
  resolveLineItems(store);
}

function resolveAdvertisers(store: RecordStore, owners: RecordStore['campaigns'] | RecordStore['creatives']): void {
  for (let record = 0; record < owners.count; record++) {
    const id = owners.advertiser.get(record);
    const advertiser = store.advertisers.find(id);
    owners.advertiser.set(record, advertiser);
    if (advertiser === MISSING) {
      store.problems.add(store.place(owners, record), `advertiser_id: no advertiser "${store.texts.read(id)}"`);
    }
  }
}

function resolveLineItems(store: RecordStore): void {
  const { lineItems, campaigns } = store;
  for (let record = 0; record < lineItems.count; record++) {
    const id = lineItems.campaign.get(record);
    const campaign = campaigns.find(id);
    lineItems.campaign.set(record, campaign);
    if (campaign === MISSING) {
      store.problems.add(store.place(lineItems, record), `campaign_id: no campaign "${store.texts.read(id)}"`);
    }
    resolveCreatives(store, record, campaign < 0 ? -1 : campaigns.advertiser.get(campaign));
  }
}

/** @param advertiser whose creatives these must be; negative = unknown, because its own record or the campaign's is */
function resolveCreatives(store: RecordStore, lineItem: number, advertiser: number): void {
  const { pool, creatives, problems, lineItems } = store;
  const list = lineItems.creatives.get(lineItem);
  for (let i = 0; i < pool.get(list); i++) {
    const id = pool.get(list + 1 + i);
    const creative = creatives.find(id);
    pool.set(list + 1 + i, creative);
    let fault = '';
    if (creative === MISSING) fault = 'no creative';
    else if (isListedBefore(pool.values, list, i, creative)) fault = 'names twice the creative';
    else if (creative >= 0 && advertiser >= 0 && creatives.advertiser.get(creative) >= 0) {
      if (creatives.advertiser.get(creative) !== advertiser) fault = 'another advertiser owns the creative';
    }
    if (fault === '') continue;
    problems.add(store.place(lineItems, lineItem), `creative_ids[${i}]: ${fault} "${store.texts.read(id)}"`);
  }
}

function isListedBefore(pool: Int32Array, list: number, position: number, creative: number): boolean {
  for (let i = 0; i < position; i++) if (pool[list + 1 + i] === creative) return true;
  return false;
}
