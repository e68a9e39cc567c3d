import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Catalog } from '../../src/catalog/index.js';
import { loadConfig } from '../../src/config/index.js';
import { AD_SOURCES, compileProgram, REQUEST_SOURCES } from '../../src/features/index.js';
import { loadRepository } from '../../src/inference/index.js';

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

it('docs/model-server.md: its configurations load, and it names every metric of the protocol', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-docs-'));
  const text = read('model-server.md');
  const configs = text.split('```pbtxt\n').slice(1);
  for (const config of configs) {
    const name = /^name: "(\w+)"/.exec(config)![1];
    mkdirSync(join(directory, name, '1'), { recursive: true });
    writeFileSync(join(directory, name, 'config.pbtxt'), config.split('```')[0]);
    if (!config.includes('onnxruntime_onnx')) continue;
    cpSync(new URL(`../../native-models/${name}/1/model.onnx`, import.meta.url), join(directory, name, '1/model.onnx'));
  }
  expect(loadRepository(directory).map(({ name }) => name)).toEqual(['heavy_ranker', 'price_twice', 'win_price']);
  rmSync(directory, { recursive: true });
  const metrics = readFileSync(new URL('../../src/inference/serving-families.ts', import.meta.url), 'utf8');
  for (const [, name] of metrics.matchAll(/'(nv_\w+|vickrey_\w+)'/g)) expect(text).toContain(`\`${name}`);
});

it('docs/model-server.md names every parameter of config.pbtxt', () => {
  const text = read('model-server.md');
  const source = (file: string) => readFileSync(new URL(`../../src/inference/${file}`, import.meta.url), 'utf8');
  const own = [
    ...source('model-parameters.ts')
      .split('const RULES = {')[1]
      .split('}')[0]
      .matchAll(/^ {2}(\w+):/gm),
  ];
  const remote = [...source('backends/remote-settings.ts').matchAll(/^ {2}'(remote_\w+)',$/gm)];
  expect(own.length + remote.length).toBeGreaterThan(20);
  for (const [, name] of [...own, ...remote]) expect(text).toContain(`\`${name}\``);
});
