import type { CatalogRecord } from '../../src/catalog/index.js';

/** One advertiser, one campaign, one creative of each format and one line item over all of them. */
export function smallCatalog(): CatalogRecord[] {
  return [
    { kind: 'advertiser', id: 'adv', name: 'Adventure', domain: 'Adv.Example', categories: ['IAB20'] },
    { kind: 'campaign', id: 'cmp', advertiser_id: 'adv' },
    {
      kind: 'creative',
      id: 'banner',
      advertiser_id: 'adv',
      format: 'banner',
      width: 300,
      height: 250,
      markup: '<b>ü</b>',
      attributes: [1, 3],
      bundle: 'com.adv',
      categories: ['IAB1', 'IAB2'],
    },
    { kind: 'creative', id: 'video', advertiser_id: 'adv', format: 'video', duration_seconds: 15, markup: '<VAST/>' },
    { kind: 'creative', id: 'audio', advertiser_id: 'adv', format: 'audio', duration_seconds: 30, markup: '<VAST/>' },
    { kind: 'creative', id: 'native', advertiser_id: 'adv', format: 'native', width: 50, height: 60, markup: '{}' },
    {
      kind: 'line_item',
      id: 'item',
      campaign_id: 'cmp',
      goal: 'cpc',
      bid_micros: 250_000,
      creative_ids: ['banner', 'video', 'audio', 'native'],
    },
  ];
}

/** The catalog with a change to one record; `undefined` takes a key away. */
export function withChange(id: string, change: object): CatalogRecord[] {
  return smallCatalog().map((record) => {
    if (record.id !== id) return record;
    const changed = Object.entries({ ...record, ...change }).filter(([, value]) => value !== undefined);
    return Object.fromEntries(changed) as CatalogRecord;
  });
}
