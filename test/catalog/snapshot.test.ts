import { expect, test } from 'vitest';
import { hashString } from '../../src/base/index.js';
import { snapshotOfRecords } from '../../src/catalog/index.js';
import { AuctionRequest, FORMAT, GOAL } from '../../src/contract/index.js';
import { smallCatalog, withChange } from './records.js';

const FORMAT_OF = { banner: FORMAT.banner, video: FORMAT.video, audio: FORMAT.audio, native: FORMAT.native };

test('columns and texts of every ad say what its records say', () => {
  const snapshot = snapshotOfRecords(smallCatalog(), 0);
  const { ads } = snapshot;
  expect(ads.count).toBe(4);
  expect(snapshot.counts).toEqual({ advertisers: 1, campaigns: 1, creatives: 4, lineItems: 1 });
  for (let ad = 0; ad < ads.count; ad++) {
    const texts = snapshot.texts(ad);
    const name = texts.creativeId as keyof typeof FORMAT_OF;
    const creative = smallCatalog().find((record) => record.id === name);
    expect(creative).toMatchObject({ markup: texts.markup });
    expect(texts).toMatchObject({ advertiserId: 'adv', campaignId: 'cmp', lineItemId: 'item' });
    expect(texts.advertiserDomains).toEqual(['adv.example']);
    expect(texts.categories).toEqual(name === 'banner' ? ['IAB1', 'IAB2'] : ['IAB20']);
    expect(texts.attributes).toEqual(name === 'banner' ? [1, 3] : []);
    expect(texts.bundle).toBe(name === 'banner' ? 'com.adv' : '');
    expect(ads.advertiserCode[ad]).toBe(hashString('adv'));
    expect(ads.campaignCode[ad]).toBe(hashString('cmp'));
    expect(ads.lineItemCode[ad]).toBe(hashString('item'));
    expect(ads.creativeCode[ad]).toBe(hashString(name));
    expect(ads.categoryCode[ad]).toBe(hashString(name === 'banner' ? 'IAB1' : 'IAB20'));
    expect(ads.domainCode[ad]).toBe(hashString('adv.example'));
    expect(ads.format[ad]).toBe(FORMAT_OF[name]);
    expect([ads.width[ad], ads.height[ad]]).toEqual({ banner: [300, 250], native: [50, 60] }[name as string] ?? [0, 0]);
    expect(ads.durationSeconds[ad]).toBe({ video: 15, audio: 30 }[name as string] ?? 0);
    expect(ads.goal[ad]).toBe(GOAL.cpc);
    expect(ads.bidMicros[ad]).toBe(250_000);
  }
});

test('the columns are shared memory, so that threads read the same bytes', () => {
  const { count, ...columns } = snapshotOfRecords(smallCatalog(), 0).ads;
  for (const column of Object.values(columns)) {
    expect(column.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(column.length).toBe(count);
  }
});

test.each([
  ['a paused line item', 'item', { status: 'paused' }, 0],
  ['a paused campaign', 'cmp', { status: 'paused' }, 0],
  ['a flight that is over stays, for replays', 'item', { end: '1999-01-01' }, 4],
  ['no line item of a campaign', 'item', { creative_ids: ['video'] }, 1],
])('%s: ads that can run', (_, id, change, ads) => {
  expect(snapshotOfRecords(withChange(id, change), Date.now()).ads.count).toBe(ads);
});

test('flights of campaign and line item that never meet make no ad', () => {
  const records = withChange('cmp', { start: '2026-03-01' }).map((record) =>
    record.kind === 'line_item' ? { ...record, end: '2026-03-01' } : record,
  );
  expect(snapshotOfRecords(records, 0).ads.count).toBe(0);
});

test('an empty catalog finds nothing', () => {
  const snapshot = snapshotOfRecords([], 0);
  const request = new AuctionRequest();
  request.country = 'USA';
  request.segments.push('x');
  const imp = request.impAt(0);
  imp.formatMask = 30;
  expect(snapshot.find(request, imp, 0, 0, new Int32Array(4), 0, 4)).toBe(0);
});

test('the generation grows with every snapshot', () => {
  const first = snapshotOfRecords(smallCatalog(), 0);
  expect(snapshotOfRecords(smallCatalog(), 0).generation).toBe(first.generation + 1);
});
