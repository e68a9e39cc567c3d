import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadRepository } from '../../src/inference/index.js';

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true });
});

/** A repository with these files; a path that ends in / is an empty folder. */
function repository(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'repository-'));
  made.push(directory);
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(path.endsWith('/') ? file : dirname(file), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(file, content);
  }
  return directory;
}

const CONFIG = 'backend: "onnxruntime"\n';
const served = (directory: string) => loadRepository(directory).map(({ name, version }) => `${name}:${version}`);
const versions = (...numbers: number[]) => Object.fromEntries(numbers.map((n) => [`m/${n}/model.onnx`, '']));

describe('model repository', () => {
  it('gives the latest version by number, and where its files are', () => {
    const directory = repository({ 'm/config.pbtxt': CONFIG, ...versions(2, 9, 10) });
    expect(loadRepository(directory)).toEqual([
      {
        name: 'm',
        version: 10,
        directory: join(directory, 'm'),
        versionDirectory: join(directory, 'm/10'),
        modelFile: join(directory, 'm/10/model.onnx'),
        config: expect.objectContaining({ maxBatchSize: 0 }),
        requestRowsMax: 64,
        candidateRowsMax: 2048,
        instanceCount: undefined,
      },
    ]);
  });

  it('passes over leading zeros, words, plain files and folders that are no models', () => {
    const directory = repository({
      'm/config.pbtxt': CONFIG,
      ...versions(1),
      'm/002/model.onnx': '',
      'm/latest/model.onnx': '',
      'm/7': 'a file, not a folder',
      'm/0/model.onnx': '',
      'train/encoder.py': '',
      'README.md': '',
    });
    expect(served(directory)).toEqual(['m:1']);
  });

  it.each([
    ['latest { num_versions: 2 }', ['m:4', 'm:3']],
    ['all {}', ['m:4', 'm:3', 'm:1']],
    ['specific { versions: [1, 3] }', ['m:3', 'm:1']],
  ])('honours version_policy { %s }', (policy, expected) => {
    const config = `${CONFIG}version_policy { ${policy} }`;
    expect(served(repository({ 'm/config.pbtxt': config, ...versions(1, 3, 4) }))).toEqual(expected);
  });

  it('takes another file name from the config', () => {
    const config = `${CONFIG}default_model_filename: "ranker.onnx"`;
    const [model] = loadRepository(repository({ 'm/config.pbtxt': config, 'm/1/ranker.onnx': '' }));
    expect(model.modelFile).toMatch(/ranker\.onnx$/);
  });

  it.each([
    [
      'a version without a config',
      { 'm/1/model.onnx': '' },
      /m\/config\.pbtxt is missing, but the folder has version 1/,
    ],
    ['a config without a version', { 'm/config.pbtxt': CONFIG }, /no version to serve; the folder has none/],
    ['a missing model file', { 'm/config.pbtxt': CONFIG, 'm/1/': '' }, /m\/1\/model\.onnx is missing/],
    ['a name that is not the folder', { 'm/config.pbtxt': `${CONFIG}name: "n"`, ...versions(1) }, /'n' is not .* 'm'/],
    [
      'a specific version that is not there',
      { 'm/config.pbtxt': `${CONFIG}version_policy { specific { versions: [1, 2] } }`, ...versions(1) },
      /version 2 is missing; the folder has 1/,
    ],
  ])('refuses %s', (_, files, message) => {
    expect(() => loadRepository(repository(files as Record<string, string>))).toThrowError(message);
  });

  it('lists the findings of every model', () => {
    const directory = repository({ 'a/1/model.onnx': '', 'b/config.pbtxt': 'nmae: "b"', 'b/1/model.onnx': '' });
    expect(() => loadRepository(directory)).toThrowError(
      expect.objectContaining({
        code: 'VK_MODEL_CONFIG',
        details: [expect.stringContaining('a/'), expect.stringContaining('nmae')],
      }),
    );
  });

  it('refuses a directory that is not there', () => {
    expect(() => loadRepository('no-such-directory')).toThrowError(
      expect.objectContaining({ code: 'VK_MODEL_REPOSITORY', fixedBy: 'operator' }),
    );
  });
});
