import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Catalog } from '../../src/catalog/index.js';
import { ensureDemo } from '../../world/index.js';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vickrey-demo-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const SMALL = { lineItems: 400, requests: 50 };

describe('the demo', () => {
  it('is generated once, and again only for another seed or size', () => {
    const dir = join(root, 'demo');
    expect(ensureDemo(dir, SMALL).generated).toBe(true);
    expect(ensureDemo(dir, SMALL).generated).toBe(false);
    const writtenMs = statSync(join(dir, 'requests.jsonl')).mtimeMs;
    expect(statSync(join(dir, 'requests.jsonl')).mtimeMs).toBe(writtenMs);
    expect(ensureDemo(dir, { ...SMALL, seed: 2 }).generated).toBe(true);
    expect(ensureDemo(dir, { ...SMALL, seed: 2, lineItems: 500 }).generated).toBe(true);
  });

  it('is generated anew where another version made it', () => {
    const dir = join(root, 'demo');
    const first = ensureDemo(dir, SMALL);
    const before = readFileSync(first.requestsFile, 'utf8');
    writeFileSync(join(dir, 'world.json'), '{"version":0}\n');
    writeFileSync(first.requestsFile, 'stale\n');
    expect(ensureDemo(dir, SMALL).generated).toBe(true);
    expect(readFileSync(first.requestsFile, 'utf8')).toBe(before);
  });

  it('loads as a catalog, and its requests are one JSON object a line', async () => {
    const demo = ensureDemo(join(root, 'demo'), SMALL);
    const catalog = await Catalog.load(demo.catalogDir);
    expect(catalog.report.lineItems).toBe(SMALL.lineItems);
    const lines = readFileSync(demo.requestsFile, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(SMALL.requests);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('imp');
  });
});
