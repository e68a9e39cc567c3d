/** Loading and unloading over the wire: what is refused leaves the old model, and a role's model decides about bids. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { identityConfig, type ModelServerUnderTest, Repository, rowsOf, startModels } from './model-support.js';
import { bannerRequest } from './support.js';

const fixture = (name: string) => readFileSync(new URL(`../inference/fixtures/${name}`, import.meta.url));

describe('control mode explicit', () => {
  const repository = new Repository().copy('pctr_dlrm').copy('win_price');
  let server: ModelServerUnderTest;
  let v2: ModelServerUnderTest['v2'];
  beforeAll(async () => {
    repository.put('echo', identityConfig());
    server = await startModels(repository, { control_mode: 'explicit', load_models: ['win_price', 'echo'] });
    v2 = server.v2;
  });
  afterAll(async () => {
    await server?.running.stop();
    repository.remove();
  });
  afterEach(async () => {
    for (const model of ['win_price', 'pctr_dlrm', 'echo'])
      expect((await v2.get(`models/${model}/ready`)).status).toBe(200);
  });

  const bid = async () => (await server.running.post(bannerRequest())).status;
  const price = () =>
    v2.values('win_price', [
      { name: 'ids', datatype: 'INT32', shape: [1, 15], data: Array.from({ length: 15 }, (_, i) => i % 3) },
      { name: 'dense', datatype: 'FP32', shape: [1, 3], data: [0.1, 0.2, 0.3] },
    ]);

  it.each([
    ['a graph that is no ONNX', 'win_price', 'win_price/1/model.onnx', 'no graph', /model\.onnx|onnx/i],
    ['a config that is no pbtxt', 'win_price', 'win_price/config.pbtxt', 'name: "win_price" {{', /config\.pbtxt/],
    ['a config with an unknown field', 'win_price', 'win_price/config.pbtxt', 'max_batch_sise: 4', /max_batch_sise/],
    ['a role without its features', 'pctr_dlrm', 'pctr_dlrm/features.json', '{"version":', /features\.json/],
    [
      'a role with features of another kind',
      'pctr_dlrm',
      'pctr_dlrm/features.json',
      '{"features":[]}',
      /features\.json/,
    ],
    ['a role with a bad calibration', 'pctr_dlrm', 'pctr_dlrm/1/calibration.json', '{}', /calibration\.json/],
  ])('refuses %s, says why, and keeps what it had', async (_name, model, path, contents, reason) => {
    const before = await price();
    const good = readFileSync(join(repository.directory, path));
    repository.write(path, contents);
    const { status, json } = await v2.load(model);
    repository.write(path, good);
    expect(status).toBe(400);
    expect(json.error).toMatch(reason);
    expect(await price()).toEqual(before);
    expect(await bid()).toBe(200);
    expect(await v2.load(model)).toEqual({ status: 200, json: null });
    expect(await price()).toEqual(before);
    expect(await bid()).toBe(200);
  });

  it('takes a configuration from the load call until the next load', async () => {
    const batch = async () => (await v2.get('models/echo/config')).json.max_batch_size;
    expect(await batch()).toBe(64);
    const config = {
      name: 'echo',
      backend: 'identity',
      max_batch_size: 2,
      input: [{ name: 'IN', data_type: 'TYPE_FP32', dims: [1] }],
      output: [{ name: 'OUT', data_type: 'TYPE_FP32', dims: [1] }],
    };
    expect((await v2.load('echo', { config: JSON.stringify(config) })).status).toBe(200);
    expect(await batch()).toBe(2);
    expect((await v2.infer('echo', [rowsOf(1, 2, 3)])).json.error).toMatch(/batch-size must be <= 2 for 'echo'/);
    expect((await v2.load('echo', { config: '{"max_batch_sise":1}' })).status).toBe(400);
    expect(await batch()).toBe(2);
    expect((await v2.load('echo')).status).toBe(200);
    expect(await v2.values('echo', [rowsOf(1, 2, 3)])).toEqual([1, 2, 3]);
  });

  it('takes files from the load call, and refuses them without a configuration', async () => {
    const files = { 'file:3/model.onnx': fixture('single_scope.onnx').toString('base64') };
    expect((await v2.load('brought', files)).json.error).toMatch(/'config' must be specified/);
    const config = JSON.stringify({
      backend: 'onnxruntime',
      input: [{ name: 'features', data_type: 'TYPE_FP32', dims: [-1, 3] }],
      output: [{ name: 'score', data_type: 'TYPE_FP32', dims: [-1, 1] }],
    });
    expect(await v2.load('brought', { config, ...files })).toEqual({ status: 200, json: null });
    expect((await v2.get('models/brought')).json.versions).toEqual(['3']);
    const features = { name: 'features', datatype: 'FP32', shape: [2, 3], data: [1, 2, 3, 1, 2, 3] };
    const [first, second] = await v2.values('brought', [features]);
    expect(first).toBe(second);
    expect((await v2.unload('brought')).status).toBe(200);
    expect((await v2.infer('brought', [features])).status).toBe(400);
  });

  it('answers no-bids while the model of a role is unloaded, and bids again when it is loaded', async () => {
    expect(await bid()).toBe(200);
    expect((await v2.unload('pctr_dlrm')).status).toBe(200);
    expect((await v2.get('models/pctr_dlrm/ready')).status).toBe(400);
    expect(await bid()).toBe(204);
    const { operations } = server.running.server;
    const ready = async () => (await fetch(`http://127.0.0.1:${operations.port}/healthz/ready`)).status;
    expect(await ready()).toBe(503);
    expect((await v2.load('pctr_dlrm')).status).toBe(200);
    expect(await bid()).toBe(200);
    expect(await ready()).toBe(200);
  });
});

describe('control mode poll', () => {
  it('serves a new version, goes back when it is gone, and keeps the old one where the new one is broken', async () => {
    const repository = new Repository().put('echo', identityConfig());
    const { running, v2 } = await startModels(repository, { control_mode: 'poll', poll_seconds: 1 });
    try {
      const versions = async () => (await v2.get('models/echo')).json.versions;
      expect(await versions()).toEqual(['1']);
      mkdirSync(join(repository.directory, 'echo', '2'));
      await expect.poll(versions, { timeout: 10_000 }).toEqual(['2']);
      expect(await v2.values('echo', [rowsOf(5)])).toEqual([5]);

      const good = readFileSync(join(repository.directory, 'echo', 'config.pbtxt'));
      repository.write('echo/config.pbtxt', 'backend: "identity" max_batch_sise: 1');
      mkdirSync(join(repository.directory, 'added', '1'), { recursive: true });
      repository.write('added/config.pbtxt', identityConfig());
      await expect.poll(async () => (await v2.get('models/added/ready')).status, { timeout: 10_000 }).toBe(200);
      expect(await v2.values('echo', [rowsOf(6)])).toEqual([6]);

      repository.write('echo/config.pbtxt', good);
      rmSync(join(repository.directory, 'echo', '2'), { recursive: true });
      await expect.poll(versions, { timeout: 10_000 }).toEqual(['1']);
      rmSync(join(repository.directory, 'echo'), { recursive: true });
      await expect.poll(async () => (await v2.infer('echo', [rowsOf(1)])).status, { timeout: 10_000 }).toBe(400);
      expect((await v2.load('added')).json.error).toMatch(/not allowed/);
    } finally {
      await running.stop();
      repository.remove();
    }
  });
});
