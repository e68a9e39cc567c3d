/** The registry over the real engine and a repository on disk; its models are identities, which need no worker. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/index.js';
import { type InferError, type InferRequest, type InferResponse, OperatingError } from '../../src/contract/index.js';
import { Engine } from '../../src/inference/engine.js';
import { directorySource } from '../../src/inference/model-source.js';
import { ModelRegistry, type RegistryOptions } from '../../src/inference/registry.js';
import { servingFamilies } from '../../src/inference/serving-families.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const identity = (more = '', dims = 2) => `
  backend: "identity" max_batch_size: 4
  input { name: "IN" data_type: TYPE_FP32 dims: [${dims}] }
  output { name: "OUT" data_type: TYPE_FP32 dims: [${dims}] }
  instance_group { count: 2 } dynamic_batching {} ${more}`;

const chain = (first: string, second: string) => `
  platform: "ensemble" max_batch_size: 4
  input { name: "IN" data_type: TYPE_FP32 dims: [2] }
  output { name: "OUT" data_type: TYPE_FP32 dims: [2] }
  ensemble_scheduling {
    step { model_name: "${first}" model_version: -1
      input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "between" } }
    step { model_name: "${second}" model_version: -1
      input_map { key: "IN" value: "between" } output_map { key: "OUT" value: "OUT" } }
  }`;

class Repository {
  readonly directory = mkdtempSync(join(tmpdir(), 'vickrey-registry-'));

  put(name: string, config: string, ...versions: number[]): this {
    for (const version of versions.length > 0 ? versions : [1]) {
      mkdirSync(join(this.directory, name, String(version)), { recursive: true });
    }
    writeFileSync(join(this.directory, name, 'config.pbtxt'), config);
    return this;
  }

  remove(name: string): void {
    rmSync(join(this.directory, name), { recursive: true });
  }
}

async function registryOf(repository: Repository, options: Partial<RegistryOptions> = {}): Promise<ModelRegistry> {
  const engine = await Engine.start({
    models: [],
    workers: 1,
    batchTimeoutUs: 1_000_000,
    listener: { onScores: () => {}, onFailed: () => {} },
    clock: systemClock,
  });
  const registry = new ModelRegistry({
    source: directorySource(repository.directory),
    engine,
    hooks: {},
    clock: systemClock,
    random: () => 0.5,
    controlMode: 'explicit',
    loadModels: [],
    pollSeconds: 86_400,
    responseCacheBytes: 0,
    strictReadiness: true,
    ...options,
  });
  closers.push(async () => {
    await registry.close();
    await engine.close();
    rmSync(repository.directory, { recursive: true });
  });
  return registry;
}

const requestOf = (model: string, value = 1, rows = 1, more: Partial<InferRequest> = {}): InferRequest => ({
  model,
  version: '',
  id: '',
  inputs: [
    {
      name: 'IN',
      dataType: 'FP32',
      shape: [rows, 2],
      bytes: new Uint8Array(new Float32Array(2 * rows).fill(value).buffer),
    },
  ],
  outputs: [],
  priority: 0,
  timeoutUs: 0,
  parameters: {},
  ...more,
});

function infer(registry: ModelRegistry, request: InferRequest): Promise<InferResponse> {
  return new Promise((resolve, reject) => {
    registry.infer(request, (error, response) => (response === null ? reject(error as InferError) : resolve(response)));
  });
}

/** Copied, since the bytes may lie anywhere in a larger memory. */
const valuesOf = (answer: InferResponse) => [...new Float32Array(Uint8Array.from(answer.outputs[0].bytes).buffer)];

const failure = (code: string, message: string | RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe('control mode none', () => {
  it('loads everything at start, ensembles after their steps, and refuses to change', async () => {
    const repository = new Repository().put('all', chain('b', 'a')).put('a', identity()).put('b', identity());
    const registry = await registryOf(repository, { controlMode: 'none' });
    expect(registry.ready()).toBe(false);
    await registry.start();
    expect(registry.ready()).toBe(true);
    expect(registry.index(false).map(({ name, version, state }) => `${name} ${version} ${state}`)).toEqual([
      'a 1 READY',
      'all 1 READY',
      'b 1 READY',
    ]);
    const refused = failure('UNAVAILABLE', 'explicit model load / unload is not allowed if polling is enabled');
    await expect(registry.load('a', null)).rejects.toEqual(refused);
    await expect(registry.unload('a', false)).rejects.toEqual(refused);
  });

  it('serves the others where one cannot be loaded, says so, and is not ready', async () => {
    const repository = new Repository().put('bad', 'nonsense: 1').put('good', identity());
    const registry = await registryOf(repository, { controlMode: 'none' });
    await expect(registry.start()).rejects.toThrow(/nonsense/);
    expect(registry.ready()).toBe(false);
    expect(registry.modelReady('good', '')).toBe(true);
    expect(registry.index(false)[0]).toMatchObject({ name: 'bad', state: 'UNAVAILABLE', reason: /nonsense/ });
    expect(registry.index(true).map((entry) => entry.name)).toEqual(['good']);
  });

  it('is ready all the same where readiness is not strict', async () => {
    const repository = new Repository().put('bad', 'nonsense: 1');
    const registry = await registryOf(repository, { controlMode: 'none', strictReadiness: false });
    await registry.start().catch(() => {});
    expect(registry.ready()).toBe(true);
  });
});

describe('what a client is told', () => {
  it('about models that are not there', async () => {
    const registry = await registryOf(new Repository().put('m', identity(), 1, 3).put('other', identity()));
    await registry.start();
    const unknown = failure('INVALID_ARG', "^Request for unknown model: 'm' is not found$");
    await expect(infer(registry, requestOf('m'))).rejects.toEqual(unknown);
    expect(() => registry.modelReady('m', '')).toThrow("'m' is not found");
    await registry.load('m', null);
    expect(registry.modelReady('m', '1')).toBe(false);
    await expect(infer(registry, requestOf('m', 1, 1, { version: '7' }))).rejects.toEqual(
      failure('NOT_FOUND', "^Request for unknown model: 'm' version 7 is not found$"),
    );
    await registry.unload('m', false);
    await expect(infer(registry, requestOf('m'))).rejects.toEqual(
      failure('NOT_FOUND', "^Request for unknown model: 'm' has no available versions$"),
    );
    expect(registry.index(false)).toEqual([
      { name: 'm', version: '3', state: 'UNAVAILABLE', reason: 'unloaded' },
      { name: 'other', state: 'UNAVAILABLE', reason: '' },
    ]);
  });

  it.each([
    ['nowhere', null, failure('INTERNAL', "^failed to load 'nowhere', failed to poll from model repository")],
    ['../m', null, failure('INVALID_ARG', 'must not contain path traversal characters')],
    [' ', null, failure('INVALID_ARG', 'Model name cannot be empty')],
    ['bad', null, failure('INVALID_ARG', "^load failed for model 'bad': .*nonsense")],
    [
      'm',
      { config: '{"nonsense": 1}', files: new Map() },
      failure('INVALID_ARG', "load failed for model 'm': .*nonsense"),
    ],
    [
      'm',
      { config: '', files: new Map([['1/model.onnx', new Uint8Array(1)]]) },
      failure('INVALID_ARG', "^Load parameter 'config' must be specified for model file override$"),
    ],
  ])('when %j cannot be loaded (%#)', async (name, override, told) => {
    const registry = await registryOf(new Repository().put('m', identity()).put('bad', 'nonsense: 1'));
    await registry.start();
    await expect(registry.load(name, override)).rejects.toEqual(told);
    expect(registry.index(false).map((entry) => entry.name)).toEqual(['bad', 'm']);
  });

  it('never before infer has returned, once, and in the statistics', async () => {
    const registry = await registryOf(new Repository().put('m', identity()));
    await registry.start();
    await registry.load('m', null);
    let hasReturned = false;
    const answers: (boolean | string)[] = [];
    const answered = new Promise<void>((resolve) => {
      registry.infer(requestOf('m', 1, 5), (error) => {
        answers.push(hasReturned, error?.message ?? '');
        resolve();
      });
    });
    hasReturned = true;
    await answered;
    expect(answers).toEqual([true, expect.stringContaining("inference request batch-size must be <= 4 for 'm'")]);
    expect(registry.statistics('m', '')[0].inference_stats.fail.count).toBe(1);
  });
});

function swapsSeen() {
  const swaps: string[] = [];
  const onServed = (name: string, versions: readonly { model: { version: number } }[]) => {
    swaps.push(`${name} ${versions.map((version) => version.model.version).join(',') || 'none'}`);
  };
  return { swaps, hooks: { onServed } };
}

describe('a reload', () => {
  it('loses no request, and every answer is of a version that was served', async () => {
    // Slow, so that old versions still have work when the new ones are there.
    const slow = identity('parameters { key: "execute_delay_ms" value { string_value: "3" } }');
    const repository = new Repository().put('m', slow, 1);
    const { swaps, hooks } = swapsSeen();
    const registry = await registryOf(repository, { hooks });
    await registry.start();
    await registry.load('m', null);
    const answers: Promise<InferResponse>[] = [];
    for (let version = 2; version <= 21; version++) {
      repository.put('m', slow, version);
      const loaded = registry.load('m', null);
      for (let i = 0; i < 10; i++) {
        answers.push(infer(registry, requestOf('m', i)));
        await new Promise(setImmediate);
      }
      await loaded;
      expect((await infer(registry, requestOf('m'))).version).toBe(String(version));
    }
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      expect(valuesOf(answer)[0]).toBe(i % 10);
    }
    expect(swaps).toHaveLength(21);
    expect(registry.metadata('m', '').versions).toEqual(['21']);
  });

  it('that fails leaves what was served', async () => {
    const repository = new Repository().put('m', identity(), 1);
    const registry = await registryOf(repository, { controlMode: 'explicit', loadModels: ['*'] });
    await registry.start();
    repository.put('m', 'nonsense: 1', 2);
    await expect(registry.load('m', null)).rejects.toEqual(failure('INVALID_ARG', 'nonsense'));
    expect((await infer(registry, requestOf('m'))).version).toBe('1');
    expect(registry.ready()).toBe(true);
  });

  it('of a model that its companion refuses fails the same way', async () => {
    const repository = new Repository().put('m', identity());
    const companion = () => {
      throw new OperatingError('VK_FEATURES', 'model owner', 'the feature program does not fit');
    };
    const registry = await registryOf(repository, { hooks: { companion } });
    await registry.start();
    await expect(registry.load('m', null)).rejects.toEqual(failure('INVALID_ARG', 'does not fit'));
  });

  it('with a configuration replaces the one on disk until the next load without', async () => {
    const registry = await registryOf(new Repository().put('m', identity()));
    await registry.start();
    const config = JSON.stringify({
      backend: 'identity',
      max_batch_size: 2,
      input: [{ name: 'IN', data_type: 'TYPE_FP32', dims: [2] }],
      output: [{ name: 'OUT', data_type: 'TYPE_FP32', dims: [2] }],
    });
    await registry.load('m', { config, files: new Map() });
    expect(registry.config('m', '').max_batch_size).toBe(2);
    await registry.load('m', null);
    expect(registry.config('m', '').max_batch_size).toBe(4);
  });

  it('and an unload of one model at the same time go one after the other', async () => {
    const { swaps, hooks } = swapsSeen();
    const registry = await registryOf(new Repository().put('m', identity()), { hooks });
    await registry.start();
    await Promise.all([registry.load('m', null), registry.unload('m', false), registry.load('m', null)]);
    expect(registry.modelReady('m', '')).toBe(true);
    expect(swaps).toEqual(['m 1', 'm none', 'm 1']);
  });
});

describe('control mode poll', () => {
  it('follows what appears, changes, breaks and goes', async () => {
    const repository = new Repository().put('m', identity());
    const problems: string[] = [];
    const onProblem = (model: string) => problems.push(model);
    const registry = await registryOf(repository, { controlMode: 'poll', hooks: { onProblem } });
    await registry.start();
    repository.put('new', identity());
    repository.put('m', identity('', 3));
    await registry.poll();
    expect(registry.modelReady('new', '')).toBe(true);
    expect(registry.metadata('m', '').inputs[0].shape).toEqual([-1, 3]);
    repository.put('m', 'nonsense: 1');
    await registry.poll();
    await registry.poll();
    expect(problems).toEqual(['m']);
    expect(registry.modelReady('m', '')).toBe(true);
    repository.remove('new');
    await registry.poll();
    expect(registry.index(false).map((entry) => entry.name)).toEqual(['m']);
  });

  it('stays ready when a start-up model is taken out of the repository', async () => {
    const repository = new Repository().put('m', identity()).put('goes', identity());
    const registry = await registryOf(repository, { controlMode: 'poll' });
    await registry.start();
    repository.remove('goes');
    await registry.poll();
    expect(registry.modelReady('m', '')).toBe(true);
    expect(registry.ready()).toBe(true);
  });
});

describe('an ensemble', () => {
  const repository = () => new Repository().put('all', chain('a', 'b')).put('a', identity()).put('b', identity());

  it('brings its steps up, runs, and counts under its own name', async () => {
    const registry = await registryOf(repository());
    await registry.start();
    await registry.load('all', null);
    const answer = await infer(registry, requestOf('all', 7, 2));
    expect(answer).toMatchObject({ model: 'all', version: '1', outputs: [{ name: 'OUT', shape: [2, 2] }] });
    for (const name of ['all', 'a', 'b']) {
      expect(registry.statistics(name, '')[0]).toMatchObject({ inference_count: 2, execution_count: 1 });
    }
  });

  it('is unavailable while a step is, and comes back with it', async () => {
    const registry = await registryOf(repository());
    await registry.start();
    await registry.load('all', null);
    await registry.unload('a', false);
    expect(registry.modelReady('all', '')).toBe(false);
    expect(registry.index(false)[1]).toMatchObject({
      name: 'all',
      state: 'UNAVAILABLE',
      reason: "ensemble 'all' depends on 'a' which has no loaded version.",
    });
    await registry.load('a', null);
    expect(registry.modelReady('all', '')).toBe(true);
  });

  it('takes its steps along when asked to, but not those that others need', async () => {
    const registry = await registryOf(repository().put('also', chain('a', 'a')), { loadModels: ['*'] });
    await registry.start();
    await registry.unload('all', true);
    expect(registry.index(true).map((entry) => entry.name)).toEqual(['a', 'also']);
  });

  it.each([
    ['a step that does not fit', chain('a', 'wide').replaceAll('FP32', 'FP64'), /tensor 'IN' of FP64/],
    ['a step that is nowhere', chain('a', 'nowhere'), /'nowhere'/],
    ['a circle', chain('a', 'round'), /depends on itself: bad → round/],
  ])('is refused with %s', async (_name, config, reason) => {
    const registry = await registryOf(
      repository().put('wide', identity('', 3)).put('round', chain('bad', 'a')).put('bad', config),
    );
    await registry.start();
    await expect(registry.load('bad', null)).rejects.toThrow(reason);
    expect(registry.modelReady('bad', '')).toBe(false);
  });
});

describe('the response cache', () => {
  it('answers a request it knows, and nothing that a reload has made old', async () => {
    const registry = await registryOf(new Repository().put('m', identity('response_cache { enable: true }')), {
      responseCacheBytes: 1 << 20,
    });
    await registry.start();
    await registry.load('m', null);
    expect(valuesOf(await infer(registry, requestOf('m', 3)))).toEqual([3, 3]);
    expect(valuesOf(await infer(registry, requestOf('m', 3)))).toEqual([3, 3]);
    await infer(registry, requestOf('m', 4));
    const [statistics] = registry.statistics('m', '');
    expect(statistics).toMatchObject({ inference_count: 2, execution_count: 2 });
    expect(statistics.inference_stats).toMatchObject({
      success: { count: 3 },
      cache_hit: { count: 1 },
      cache_miss: { count: 2 },
    });
    await registry.load('m', null);
    await infer(registry, requestOf('m', 3));
    expect(registry.statistics('m', '')[0].inference_stats.cache_hit.count).toBe(0);
  });
});

describe('the metrics', () => {
  it("have Triton's names, the model's tags, and histograms that add up", async () => {
    const repository = new Repository().put('m', identity('metric_tags { key: "team-a" value: "x" }'));
    const registry = await registryOf(repository);
    await registry.start();
    await registry.load('m', null);
    for (const rows of [1, 3, 4]) await infer(registry, requestOf('m', 1, rows));
    await infer(registry, requestOf('m', 1, 5)).catch(() => {});
    const families = new Map(servingFamilies(registry).map((family) => [family.name, family.samples]));
    const labels = { team_a: 'x', model: 'm', version: '1' };
    expect(families.get('nv_inference_request_success')).toEqual([{ labels, value: 3 }]);
    expect(families.get('nv_inference_count')).toEqual([{ labels, value: 8 }]);
    expect(families.get('nv_inference_request_failure')).toContainEqual({
      labels: { ...labels, reason: 'OTHER' },
      value: 1,
    });
    const sizes = families.get('vickrey_inference_batch_size') ?? [];
    const upTo = (le: string) => sizes.find((sample) => sample.labels.le === le)?.value;
    expect(['1', '2', '4', '+Inf'].map(upTo)).toEqual([1, 1, 3, 3]);
    expect(sizes.slice(-2)).toMatchObject([
      { suffix: '_sum', value: 8 },
      { suffix: '_count', value: 3 },
    ]);
    expect(families.get('vickrey_inference_request_duration_us')?.at(-1)).toMatchObject({ suffix: '_count', value: 3 });
  });
});

describe('closing', () => {
  it('refuses what comes and answers what was accepted', async () => {
    const slow = identity('parameters { key: "execute_delay_ms" value { string_value: "20" } }');
    const registry = await registryOf(new Repository().put('m', slow), { loadModels: ['m'] });
    await registry.start();
    const accepted = infer(registry, requestOf('m'));
    const closed = registry.close();
    expect(registry.ready()).toBe(false);
    await expect(infer(registry, requestOf('m'))).rejects.toEqual(failure('UNAVAILABLE', 'Server not ready'));
    await closed;
    expect((await accepted).outputs).toHaveLength(1);
  });
});
