import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeModel, fingerprint, forgetModel, listModels, loadRepository } from '../../src/inference/repository.js';

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true });
});

/** features [rows, 3] → score [rows, 1]. */
const GRAPH = readFileSync(new URL('./fixtures/single_scope.onnx', import.meta.url));

/** A repository with these files, the .onnx ones with a graph in them; a path that ends in / is an empty folder. */
function repository(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'repository-'));
  made.push(directory);
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(path.endsWith('/') ? file : dirname(file), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(file, path.endsWith('.onnx') ? GRAPH : content);
  }
  return directory;
}

const CONFIG = 'backend: "onnxruntime"\nmax_batch_size: 0\n';
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
        temporaryDirectory: '',
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
      '.hidden/1/model.onnx': '',
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
    const directory = repository({ 'a/1/': '', 'b/config.pbtxt': 'nmae: "b"', 'b/1/model.onnx': '' });
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

  it('keeps the code of the only model that it refuses', () => {
    const directory = repository({ 'm/1/model.onnx': '' });
    writeFileSync(join(directory, 'm/1/model.onnx'), 'no graph');
    expect(() => loadRepository(directory)).toThrowError(expect.objectContaining({ code: 'VK_MODEL_LOAD' }));
  });

  it('takes a model without a config as its graph is', () => {
    const [model] = loadRepository(repository(versions(3)));
    expect(model).toMatchObject({ name: 'm', version: 3, config: { maxBatchSize: 4, inputs: [{ dims: [3] }] } });
  });

  it('needs no file where the backend runs none', () => {
    const tensors =
      'input { name: "x" data_type: TYPE_FP32 dims: 1 } output { name: "y" data_type: TYPE_FP32 dims: 1 }';
    const [model] = loadRepository(repository({ 'm/config.pbtxt': `backend: "identity" ${tensors}`, 'm/1/': '' }));
    expect(model).toMatchObject({ modelFile: '', config: { backend: 'identity' } });
  });

  it('reads the data of a warm-up', () => {
    const warmUp = (file: string) =>
      `model_warmup { batch_size: 1 inputs { key: "features" value { data_type: TYPE_FP32 dims: [2, 3] input_data_file: "${file}" } } }`;
    const files = { ...versions(1), 'm/warmup/rows': 'x'.repeat(24), 'm/warmup/short': 'x'.repeat(20) };
    const [model] = loadRepository(repository({ 'm/config.pbtxt': CONFIG + warmUp('rows'), ...files }));
    expect(model.config.warmUps[0].inputs[0].data).toHaveLength(24);
    for (const [file, message] of [
      ['short', 'has 20 bytes, not the 24 of the shape'],
      ['none', 'is missing'],
    ]) {
      const directory = repository({ 'm/config.pbtxt': CONFIG + warmUp(file), ...files });
      expect(() => loadRepository(directory)).toThrowError(message);
    }
  });

  it('lists the models, good and bad, and describes one', () => {
    const directory = repository({ 'b/config.pbtxt': 'nmae: "b"', ...versions(1, 2), 'train/encoder.py': '' });
    expect(listModels(directory)).toEqual(['b', 'm']);
    expect(describeModel(directory, 'm').map(({ version }) => version)).toEqual([2]);
    for (const name of ['', '.', '..', 'train', 'm/1', '../m', 'x', 'm\0'])
      expect(() => describeModel(directory, name), name).toThrowError(
        expect.objectContaining({ code: 'VK_MODEL_UNKNOWN' }),
      );
  });

  it('never looks outside the repository', () => {
    const outer = repository({ '1/model.onnx': '', 'inner/m/1/model.onnx': '' });
    expect(() => describeModel(join(outer, 'inner'), '..')).toThrowError(/has no model '\.\.'/);
  });

  it('ships models that batch', () => {
    const models = new Map(loadRepository('native-models').map(({ name, config }) => [name, config]));
    for (const config of models.values()) expect(config.queue.dynamicBatching, config.name).toBe(true);
    expect(models.get('win_price')).toMatchObject({ maxBatchSize: 2048, outputs: [{ dims: [1], reshape: [] }] });
    for (const name of ['pctr_dlrm', 'pctr_gbm', 'pcvr'])
      expect(models.get(name)?.twoScope?.requestIndexInput, name).toBe('request_index');
  });
});

describe('a load with an override', () => {
  const config = '{"max_batch_size": 16, "dynamicBatching": {}}';
  const file = (path: string) => new Map([[path, new Uint8Array(GRAPH)]]);

  it('takes a configuration in place of config.pbtxt', () => {
    const directory = repository({ 'm/config.pbtxt': CONFIG, ...versions(1) });
    const [model] = describeModel(directory, 'm', { config, files: new Map() });
    expect(model.config.maxBatchSize).toBe(16);
    expect(model.modelFile).toBe(join(directory, 'm/1/model.onnx'));
    expect(() => describeModel(directory, 'm', { config: '{"name": "n"}', files: new Map() })).toThrowError(
      `The configuration of the load call for 'm': name: 'n' is not`,
    );
  });

  it('takes files in place of the folder, and gives them up', () => {
    const [model] = describeModel(repository({}), 'm', { config, files: file('7/model.onnx') });
    expect(model).toMatchObject({ name: 'm', version: 7, config: { maxBatchSize: 16 } });
    expect(readFileSync(model.modelFile).equals(GRAPH)).toBe(true);
    forgetModel(model);
    expect(existsSync(model.temporaryDirectory)).toBe(false);
  });

  it.each(['../x', '/etc/x', 'a//b', './x', '1/..', 'c:\\x', ''])('refuses the path %j', (path) => {
    const load = () => describeModel(repository({}), 'm', { config, files: file(path) });
    expect(load).toThrowError("is not a path below the model's folder");
  });

  it('refuses files without a configuration', () => {
    const load = () => describeModel(repository({}), 'm', { config: '', files: file('1/model.onnx') });
    expect(load).toThrowError('they need a configuration beside them');
  });
});

describe('the fingerprint of a model', () => {
  it('changes with every file of it and with nothing else', () => {
    const directory = repository({ 'm/config.pbtxt': CONFIG, ...versions(1), 'n/1/model.onnx': '' });
    const seen = new Set([fingerprint(directory, 'm')]);
    const changes: (() => void)[] = [
      () => writeFileSync(join(directory, 'm/config.pbtxt'), `${CONFIG}#`),
      () => utimesSync(join(directory, 'm/1/model.onnx'), 1, 1),
      () => mkdirSync(join(directory, 'm/2')),
      () => writeFileSync(join(directory, 'm/2/model.onnx'), GRAPH),
      () => rmSync(join(directory, 'm/1/model.onnx')),
    ];
    for (const change of changes) {
      change();
      const now = fingerprint(directory, 'm');
      expect(seen.has(now)).toBe(false);
      seen.add(now);
    }
    writeFileSync(join(directory, 'n/1/model.onnx'), 'other');
    expect(seen.has(fingerprint(directory, 'm'))).toBe(true);
    expect(fingerprint(directory, 'gone')).toBe('');
  });
});
