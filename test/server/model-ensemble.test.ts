/** Ensembles and the response cache, over the wire. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  identityConfig,
  type ModelServerUnderTest,
  Repository,
  rowsOf,
  startModels,
  tensors,
} from './model-support.js';

const chain = (second: string) => `
  platform: "ensemble" max_batch_size: 64 ${tensors(['QUESTION', 'ANSWER'])}
  ensemble_scheduling {
    step { model_name: "first" model_version: -1
      input_map { key: "IN" value: "QUESTION" } output_map { key: "OUT" value: "between" } }
    step { model_name: "${second}" model_version: -1
      input_map { key: "LEFT" value: "between" } output_map { key: "RIGHT" value: "ANSWER" } }
  }`;
const question = (...values: number[]) => ({ ...rowsOf(...values), name: 'QUESTION' });

let server: ModelServerUnderTest;
let v2: ModelServerUnderTest['v2'];
const repository = new Repository()
  .put('first', identityConfig('dynamic_batching {}'))
  .put('second', identityConfig('dynamic_batching {}', 0, ['LEFT', 'RIGHT']))
  .put('chain', chain('second'))
  .put('cached', identityConfig('response_cache { enable: true }'))
  .put('plain', identityConfig());
beforeAll(async () => {
  server = await startModels(repository, {
    control_mode: 'explicit',
    load_models: ['chain', 'cached', 'plain'],
    response_cache_bytes: 1_048_576,
  });
  v2 = server.v2;
});
afterAll(async () => {
  await server?.running.stop();
  repository.remove();
});

describe('an ensemble of two steps', () => {
  it('brings its steps up, runs them in order and counts each', async () => {
    expect((await v2.get('models/first/ready')).status).toBe(200);
    const { status, json } = await v2.infer('chain', [question(4, 5, 6)]);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      model_name: 'chain',
      outputs: [{ name: 'ANSWER', datatype: 'FP32', shape: [3, 1], data: [4, 5, 6] }],
    });
    for (const model of ['chain', 'first', 'second']) {
      const { inference_count, inference_stats } = await v2.statistics(model);
      expect([model, inference_count, inference_stats.success.count]).toEqual([model, 3, 1]);
    }
  });

  it('keeps many requests at once apart', async () => {
    const asked = Array.from({ length: 200 }, (_, i) => [i, i + 1, -i].slice(0, 1 + (i % 3)));
    expect(await Promise.all(asked.map((values) => v2.values('chain', [question(...values)])))).toEqual(asked);
  });

  it('answers through a reload of a step, not without it, and again with it', async () => {
    let stopped = false;
    const problems: unknown[] = [];
    const client = async () => {
      for (let i = 0; !stopped; i++) {
        const got = await v2.values('chain', [question(i)]).catch(String);
        if (got[0] !== i) problems.push(got);
      }
    };
    const clients = Promise.all([client(), client()]);
    for (let reload = 0; reload < 20; reload++) expect((await v2.load('second')).status).toBe(200);
    stopped = true;
    await clients;
    expect(problems).toEqual([]);

    expect((await v2.unload('second')).status).toBe(200);
    expect((await v2.get('models/chain/ready')).status).toBe(400);
    const { status, json } = await v2.infer('chain', [question(1)]);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(json.error).toContain("'second'");
    expect((await v2.load('second')).status).toBe(200);
    expect(await v2.values('chain', [question(2)])).toEqual([2]);
  });

  it('is refused where a step does not fit, and the old one stays', async () => {
    repository.put('chain', chain('first'));
    const { status, json } = await v2.load('chain');
    expect(status).toBe(400);
    expect(json.error).toContain("'LEFT'");
    expect(await v2.values('chain', [question(8)])).toEqual([8]);
  });

  it('takes its steps along when it is unloaded with its dependents', async () => {
    repository.put('chain', chain('second'));
    expect((await v2.unload('chain', { unload_dependents: true })).status).toBe(200);
    for (const model of ['chain', 'first', 'second']) expect((await v2.get(`models/${model}/ready`)).status).toBe(400);
  });
});

describe('the response cache', () => {
  it('answers the same question from memory and counts it, until the model is loaded again', async () => {
    for (const expected of [
      { hit: 0, miss: 1 },
      { hit: 1, miss: 1 },
      { hit: 2, miss: 1 },
    ]) {
      expect(await v2.values('cached', [rowsOf(1, 2)])).toEqual([1, 2]);
      const { inference_stats, execution_count } = await v2.statistics('cached');
      expect({ hit: inference_stats.cache_hit.count, miss: inference_stats.cache_miss.count }).toEqual(expected);
      expect(execution_count).toBe(1);
    }
    expect(await v2.values('cached', [rowsOf(2, 1)])).toEqual([2, 1]);
    expect((await v2.statistics('cached')).execution_count).toBe(2);
    expect((await v2.load('cached')).status).toBe(200);
    expect(await v2.values('cached', [rowsOf(1, 2)])).toEqual([1, 2]);
    const { inference_stats, execution_count } = await v2.statistics('cached');
    expect([inference_stats.cache_hit.count, execution_count]).toEqual([0, 1]);
    expect(await v2.metric('nv_cache_num_misses_per_model', 'model="cached"')).toBe(1);
  });

  it('is for models that ask for it', async () => {
    for (let i = 0; i < 3; i++) expect(await v2.values('plain', [rowsOf(1)])).toEqual([1]);
    const { inference_stats, execution_count } = await v2.statistics('plain');
    expect([inference_stats.cache_hit.count, inference_stats.cache_miss.count, execution_count]).toEqual([0, 0, 3]);
  });
});
