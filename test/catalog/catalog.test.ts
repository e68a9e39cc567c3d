import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { Catalog, type CatalogRecord } from '../../src/catalog/index.js';
import { smallCatalog, withChange } from './records.js';

// These load as the server does, in a thread, from the compiled JavaScript: build first.
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vickrey-catalog-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

const lines = (records: readonly unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');

const ARRAYS = { advertiser: 'advertisers', campaign: 'campaigns', creative: 'creatives', line_item: 'line_items' };

function asDocument(records: readonly CatalogRecord[]): Record<string, object[]> {
  const document: Record<string, object[]> = {};
  for (const { kind, ...record } of records) {
    document[ARRAYS[kind]] ??= [];
    document[ARRAYS[kind]].push(record);
  }
  return document;
}

async function refusal(): Promise<{ details: readonly string[]; code: string }> {
  return Catalog.load(directory).then(
    () => expect.unreachable(),
    (error) => error,
  );
}

test.each([
  ['JSONL', () => write('all.jsonl', lines(smallCatalog()))],
  [
    'JSONL without a last newline, with blank lines and a byte order mark',
    () => write('a.jsonl', `\ufeff\n${lines(smallCatalog()).replaceAll('\n', '\r\n\n').trimEnd()}`),
  ],
  ['JSON', () => write('all.json', JSON.stringify(asDocument(smallCatalog())))],
  ['YAML', () => write('all.yml', stringify(asDocument(smallCatalog())))],
  [
    'one file of each kind, references ahead, and files of others beside them',
    () => {
      const records = smallCatalog().reverse();
      write('1.jsonl', lines(records.slice(0, 3)));
      write('2.yaml', stringify(asDocument(records.slice(3, 4))));
      write('3.json', JSON.stringify(asDocument(records.slice(4))));
      write('README.md', '# not a catalog');
      mkdirSync(join(directory, 'old.json'));
    },
  ],
])('loads %s', async (_, prepare) => {
  prepare();
  const { snapshot, report } = await Catalog.load(directory);
  expect(snapshot.ads.count).toBe(4);
  expect(snapshot.texts(0).lineItemId).toBe('item');
  expect(report).toMatchObject({ advertisers: 1, campaigns: 1, creatives: 4, lineItems: 1, ads: 4 });
  expect(report.generation).toBe(snapshot.generation);
  expect(report.bytes.total).toBe(report.bytes.columns + report.bytes.texts + report.bytes.index);
});

test('an anchor of a YAML document may be used a thousand times', async () => {
  const { line_items = [], ...rest } = asDocument(smallCatalog());
  const item = (id: string, targeting: string) =>
    `  - { ${JSON.stringify({ ...line_items[0], id }).slice(1, -1)}, targeting: ${targeting} }\n`;
  const items = Array.from({ length: 1000 }, (_, i) => item(`i${i}`, '*shared'));
  const first = item('first', '&shared { country: [USA] }');
  write('a.yaml', `${stringify(rest)}line_items:\n${first}${items.join('')}`);
  expect((await Catalog.load(directory)).report.lineItems).toBe(1001);
});

test.each<[string, string, string, RegExp]>([
  ['a line that is not JSON', 'a.jsonl', '{"kind":\n', /^a\.jsonl:1: Not JSON: /],
  ['a line without kind', 'a.jsonl', '\n{"id":"a"}\n', /^a\.jsonl:2: kind: Must be one of advertiser, campaign/],
  ['a kind from the prototype', 'a.jsonl', '{"kind":"constructor"}', /^a\.jsonl:1: kind: Must be one of/],
  ['a line that is null', 'a.jsonl', 'null', /^a\.jsonl:1: kind: Must be one of/],
  ['JSON that is not', 'a.json', '{', /^a\.json: Not JSON: /],
  ['a document that is a list', 'a.json', '[]', /^a\.json: Must be an object with any of advertisers/],
  ['an unknown array', 'a.json', '{"creative":[]}', /^a\.json: Unrecognized key: "creative"$/],
  ['an array that is none', 'a.json', '{"creatives":{}}', /^a\.json: creatives: Must be a list$/],
  [
    'a record that is none',
    'a.json',
    '{"campaigns":[null]}',
    /^a\.json: campaigns\[0\]: Invalid input: expected object/,
  ],
  [
    'a record of a document',
    'a.json',
    '{"campaigns":[{"id":"c","advertiser_id":1}]}',
    /^a\.json: campaigns\[0\]: advertiser_id: /,
  ],
  ['YAML that is not', 'a.yaml', 'campaigns:\n  - {id: a\n', /^a\.yaml:\d: Not YAML: /],
  [
    'a YAML key given twice',
    'a.yaml',
    'campaigns: []\ncampaigns: []\n',
    /^a\.yaml:2: Not YAML: Map keys must be unique/,
  ],
  ['YAML that nests too deeply', 'a.yaml', '['.repeat(100_000), /^a\.yaml(:\d+)?: Not YAML: /],
  [
    'YAML that unfolds',
    'a.yaml',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdef'].map((c, i) => `${c}: &${c} [${`*${'abcde'[i]},`.repeat(9)}]\n`).join('')}`,
    /^a\.yaml: Not YAML: Excessive alias count/,
  ],
  ['a directory without files', 'notes.txt', 'nothing', /Holds no catalog file/],
])('refuses %s', async (_, name, text, finding) => {
  write(name, text);
  const { code, details } = await refusal();
  expect(code).toBe('VK_CATALOG_INVALID');
  expect(details[0]).toMatch(finding);
});

test('refuses a directory that is not there', async () => {
  rmSync(directory, { recursive: true });
  const { details } = await refusal();
  mkdirSync(directory);
  expect(details[0]).toMatch(/Cannot be read: ENOENT/);
});

test('a line is at most a megabyte; the lines after a longer one keep their numbers', async () => {
  const long = (bytes: number) => JSON.stringify({ kind: 'campaign', id: 'x'.repeat(bytes) });
  write('a.jsonl', [long(1 << 20), long(6 << 20), '{}', long(1 << 20)].join('\n'));
  const { details } = await refusal();
  expect(details.map((detail) => detail.slice(0, 20))).toEqual([
    'a.jsonl:1: Longer th',
    'a.jsonl:2: Longer th',
    'a.jsonl:3: kind: Mus',
    'a.jsonl:4: Longer th',
  ]);
});

test('lines across read buffers arrive whole', async () => {
  const markup = (i: number) => `<p>${'é'.repeat(20_000 + ((i * 7919) % 9973))}${i}</p>`;
  const creatives = Array.from({ length: 300 }, (_, i) => ({
    kind: 'creative',
    id: `cr${i}`,
    advertiser_id: 'adv',
    format: 'native',
    markup: markup(i),
  }));
  const items = creatives.map(({ id }, i) => ({ ...smallCatalog()[6], id: `li${i}`, creative_ids: [id] }));
  write('a.jsonl', lines([...smallCatalog(), ...creatives, ...items]));
  const { snapshot } = await Catalog.load(directory);
  expect(snapshot.ads.count).toBe(304);
  for (let ad = 0; ad < 304; ad++) {
    const { creativeId, markup: text } = snapshot.texts(ad);
    if (creativeId.startsWith('cr')) expect(text).toBe(markup(Number(creativeId.slice(2))));
  }
});

test('a reload swaps the snapshot; who holds the old one keeps it', async () => {
  write('a.jsonl', lines(smallCatalog()));
  const catalog = await Catalog.load(directory);
  const before = catalog.snapshot;
  write('a.jsonl', lines(withChange('item', { creative_ids: ['video'] })));
  const report = await catalog.reload();
  expect(report).toBe(catalog.report);
  expect(report.ads).toBe(1);
  expect(catalog.snapshot.generation).toBeGreaterThan(before.generation);
  expect(catalog.snapshot.texts(0).creativeId).toBe('video');
  expect(before.ads.count).toBe(4);
  expect(new Set([0, 1, 2, 3].map((ad) => before.texts(ad).creativeId)).size).toBe(4);
});

test('a refused reload lists every problem and changes nothing; the next good one is taken', async () => {
  write('a.jsonl', lines(smallCatalog()));
  const catalog = await Catalog.load(directory);
  const { snapshot, report } = catalog;
  write('b.jsonl', lines([{ kind: 'campaign', id: 'x', advertiser_id: 'nobody' }, { kind: 'advertiser' }]));
  await expect(catalog.reload()).rejects.toMatchObject({
    code: 'VK_CATALOG_INVALID',
    details: expect.arrayContaining(['b.jsonl:1: advertiser_id: no advertiser "nobody"']),
  });
  expect(catalog.snapshot).toBe(snapshot);
  expect(catalog.report).toBe(report);
  rmSync(join(directory, 'b.jsonl'));
  expect((await catalog.reload()).generation).toBe(snapshot.generation + 1);
});

test('reloads that arrive during one share one further reload', async () => {
  write('a.jsonl', lines(smallCatalog()));
  const catalog = await Catalog.load(directory);
  const { generation } = catalog.snapshot;
  const running = catalog.reload();
  const again = running.then(() => catalog.reload());
  const waiting = [catalog.reload(), catalog.reload()];
  expect((await running).generation).toBe(generation + 1);
  for (const report of await Promise.all(waiting)) expect(report.generation).toBe(generation + 2);
  expect((await again).generation).toBe(generation + 2);
});
