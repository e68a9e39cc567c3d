import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Catalog } from '../../src/catalog/index.js';
import { loadConfig } from '../../src/config/index.js';
import { AD_SOURCES, compileProgram, REQUEST_SOURCES } from '../../src/features/index.js';

const read = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
const example = (file: string, language: string) => read(file).split(`\`\`\`${language}\n`)[1].split('```')[0];

it('docs/configuration.md names every option with its default', () => {
  const text = read('configuration.md');
  for (const [section, options] of Object.entries(loadConfig(''))) {
    const names =
      typeof options === 'object' && !Array.isArray(options)
        ? Object.keys(options).map((name) => `${section}.${name}`)
        : [section];
    for (const name of names) expect(text).toContain(`\`${name}\``);
  }
});

it('the example of docs/catalog.md loads', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-docs-'));
  writeFileSync(join(directory, 'example.yaml'), example('catalog.md', 'yaml'));
  const catalog = await Catalog.load(directory);
  expect(catalog.report.lineItems).toBe(1);
  rmSync(directory, { recursive: true });
});

it('the example of docs/features.md compiles, and the page names every source', () => {
  compileProgram(JSON.parse(example('features.md', 'json')), 'docs/features.md');
  const text = read('features.md');
  for (const { name } of [...REQUEST_SOURCES, ...AD_SOURCES]) expect(text).toContain(`\`${name}\``);
});
