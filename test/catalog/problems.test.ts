import { expect, test } from 'vitest';
import { snapshotOfRecords } from '../../src/catalog/index.js';
import { OperatingError } from '../../src/contract/index.js';
import { smallCatalog, withChange } from './records.js';

function findings(records: Iterable<unknown>): OperatingError {
  try {
    snapshotOfRecords(records as ReturnType<typeof smallCatalog>, 0);
  } catch (error) {
    if (error instanceof OperatingError) return error;
    throw error;
  }
  throw new Error('accepted');
}

const targeting = (value: object) => ({ targeting: value });

/** What is changed, in which record, and the one sentence that must be listed. */
const CASES: [string, object, string][] = [
  ['adv', { domain: undefined }, 'records:1: domain: Invalid input: expected string, received undefined'],
  ['adv', { colour: 'red' }, 'records:1: Unrecognized key: "colour"'],
  ['adv', { domain: '' }, 'records:1: domain: Too small: expected string to have >=1 characters'],
  ['cmp', { advertiser_id: 'nobody' }, 'records:2: advertiser_id: no advertiser "nobody"'],
  [
    'cmp',
    { start: '2026-02-30x' },
    'records:2: start: Not an ISO 8601 date, or a time without its offset (2026-03-01T00:00:00Z)',
  ],
  [
    'cmp',
    { start: '2026-03-01T00:00:00' },
    'records:2: start: Not an ISO 8601 date, or a time without its offset (2026-03-01T00:00:00Z)',
  ],
  ['cmp', { start: '2026-03-02', end: '2026-03-02' }, 'records:2: end must be after start'],
  ['banner', { width: undefined }, 'records:3: width: Invalid input: expected number, received undefined'],
  ['banner', { height: 0 }, 'records:3: height: Too small: expected number to be >=1'],
  [
    'video',
    { duration_seconds: undefined },
    'records:4: duration_seconds: Invalid input: expected number, received undefined',
  ],
  ['video', { mime: 'mp4' }, 'records:4: mime: Not a MIME type, such as video/mp4'],
  ['native', { markup: '' }, 'records:6: markup: Too small: expected string to have >=1 characters'],
  ['item', { creative_ids: [] }, 'records:7: creative_ids: Too small: expected array to have >=1 items'],
  ['item', { creative_ids: ['banner', 'ghost'] }, 'records:7: creative_ids[1]: no creative "ghost"'],
  ['item', { creative_ids: ['banner', 'banner'] }, 'records:7: creative_ids[1]: names twice the creative "banner"'],
  ['item', { campaign_id: 'ghost' }, 'records:7: campaign_id: no campaign "ghost"'],
  ['item', { bid_micros: 0 }, 'records:7: bid_micros: Too small: expected number to be >=1'],
  ['item', { bid_micros: 1.5 }, 'records:7: bid_micros: Invalid input: expected int, received number'],
  ['item', { goal: 'cpx' }, 'records:7: goal: Invalid option: expected one of "cpm"|"cpc"|"cpa"'],
  [
    'item',
    targeting({ country: ['USA', 'US'] }),
    'records:7: targeting.country[1]: Not an ISO-3166-1 alpha-3 country in upper case, such as USA',
  ],
  [
    'item',
    targeting({ segment: { exclude: [7] } }),
    'records:7: targeting.segment.exclude[0]: Invalid input: expected string, received number',
  ],
  ['item', targeting({ os: { includes: ['ios'] } }), 'records:7: targeting.os: Unrecognized key: "includes"'],
  ['item', targeting({ os: 'ios' }), 'records:7: targeting.os: Expected a list or an object with include and exclude'],
  ['item', targeting({ planet: ['mars'] }), 'records:7: targeting: Unrecognized key: "planet"'],
  [
    'item',
    targeting({ daypart: [{ from: 22, to: 6 }] }),
    'records:7: targeting.daypart[0]: from must be before to; split a night at midnight into two parts',
  ],
];

test.each(CASES)('%s with %j is refused', (id, change, sentence) => {
  const error = findings(withChange(id, change));
  expect(error).toMatchObject({ code: 'VK_CATALOG_INVALID', fixedBy: 'catalog owner' });
  expect(error.details).toEqual([sentence]);
  expect(error.message).toContain(sentence);
});

test('a creative of another advertiser is refused', () => {
  const other = { kind: 'advertiser', id: 'other', name: 'Other', domain: 'other.example' };
  const { details } = findings([...withChange('video', { advertiser_id: 'other' }), other]);
  expect(details).toEqual(['records:7: creative_ids[1]: another advertiser owns the creative "video"']);
});

test('the second record with an id is refused, and names the first', () => {
  const { details } = findings([...smallCatalog(), smallCatalog()[3]]);
  expect(details).toEqual(['records:8: creative "video" is defined twice; first at records:4']);
});

test('records of different kinds may share an id', () => {
  const records = withChange('cmp', { id: 'adv' }).map((r) =>
    r.kind === 'line_item' ? { ...r, campaign_id: 'adv' } : r,
  );
  expect(snapshotOfRecords(records, 0).ads.count).toBe(4);
});

test('all problems come at once, up to a thousand of them, with their count', () => {
  const bad = Array.from({ length: 1500 }, (_, i) => ({
    kind: 'campaign',
    id: `c${i}`,
    advertiser_id: 'nobody',
    x: 1,
  }));
  const error = findings([...withChange('banner', { width: -1, height: 'a' }), ...bad]);
  expect(error.details).toHaveLength(1000);
  expect(error.message).toMatch(/refused: 1502 errors, the first 1000 listed\. First: records:3: width: /);
});

test('a key named __proto__ is an unknown key like any other', () => {
  const record = JSON.parse('{"kind":"campaign","id":"p","advertiser_id":"adv","__proto__":{"status":"paused"}}');
  expect(findings([...smallCatalog(), record]).details).toEqual(['records:8: Unrecognized key: "__proto__"']);
});
