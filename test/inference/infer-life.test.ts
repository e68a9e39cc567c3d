/** Requests that bring their tensors: how they wait, and that each is answered once whatever becomes of the model. */
import { afterEach, describe, expect, it } from 'vitest';
import type { WarmUp } from '../../src/contract/index.js';
import type { Engine, EngineModel, EngineOptions } from '../../src/inference/index.js';
import { slow } from './fixtures/models.js';
import { Recorder, start, until } from './fixtures/recorder.js';
import {
  Asked,
  everyType,
  floatsOf,
  fp32,
  int32,
  request,
  slowServed,
  strings,
  TYPES,
  transpose,
  twoScopeServed,
  wide,
} from './fixtures/served.js';

let engine: Engine;
let recorder: Recorder;
afterEach(() => engine.close());

async function serve(models: EngineModel[], options: Partial<EngineOptions> = {}): Promise<void> {
  recorder = new Recorder();
  engine = await start(models, recorder, options);
}

const ask = (turns: number, rows = 1, changes = {}, model = 0) =>
  new Asked(engine, model, request([int32('turns', [rows, 1], Array(rows).fill(turns))], changes), rows);
const error = async ({ settled }: Asked) => (await settled).error;
const scores = async ({ settled }: Asked) => {
  const { error, response } = await settled;
  if (error !== null || response === null) throw error;
  return floatsOf(response.outputs[0]);
};
const policy = { timeoutAction: 'REJECT', defaultTimeoutUs: 0, allowTimeoutOverride: true, maxQueueSize: 0 } as const;
const batchSizes = () => engine.statistics(0).batch_stats.map(({ batch_size: size }) => size);
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('queue', () => {
  it('sends a preferred size at once and the rest after the delay', async () => {
    await serve([slowServed({ queue: { preferredBatchSizes: [4], maxQueueDelayUs: 60_000 } })]);
    const asked = [1, 2, 3, 4, 5].map((turns) => ask(turns));
    const late = asked.pop() as Asked;
    await Promise.all(asked.map(({ settled }) => settled));
    expect(late.outcome).toBeNull();
    expect(engine.pendingRequests(0)).toBe(1);
    expect(await scores(late)).toEqual([5]);
    expect(batchSizes()).toEqual([1, 4]);
    const { queue } = engine.statistics(0).inference_stats;
    expect(queue.ns).toBeGreaterThanOrEqual(60_000_000 - 2_000_000);
  });

  it('keeps a short delay though a longer one began before it', async () => {
    const delays = [60_000_000, 20_000].map((maxQueueDelayUs) => slowServed({ queue: { maxQueueDelayUs } }));
    await serve(delays);
    const long = ask(1);
    await nextTurn();
    await nextTurn();
    expect(await scores(ask(2, 1, {}, 1))).toEqual([2]);
    expect(long.outcome).toBeNull();
  });

  it('refuses what has waited too long, and lets what runs finish', async () => {
    await serve([slowServed({ queue: { policies: [{ ...policy, defaultTimeoutUs: 30_000 }] } })]);
    const running = ask(1500);
    await nextTurn();
    await nextTurn();
    const waiting = ask(1);
    await until(() => waiting.outcome !== null, engine);
    expect(running.outcome).toBeNull();
    expect(await error(waiting)).toMatchObject({ code: 'UNAVAILABLE', message: 'Request timeout expired' });
    expect(await scores(running)).toEqual([1500]);
  });

  it('refuses what is more than its size, and drops what was cancelled', async () => {
    await serve([slowServed({ queue: { policies: [{ ...policy, maxQueueSize: 2 }] } })]);
    const running = ask(300);
    await nextTurn();
    await nextTurn();
    const [first, second, third] = [ask(1), ask(2), ask(3)];
    expect(await error(third)).toMatchObject({ code: 'UNAVAILABLE', message: 'Exceeds maximum queue size' });
    first.handle.cancel();
    first.handle.cancel();
    running.handle.cancel();
    expect(await error(first)).toMatchObject({ code: 'CANCELLED' });
    expect(await scores(running)).toEqual([300]);
    expect(await scores(second)).toEqual([2]);
    second.handle.cancel();
    expect(engine.statistics(0)).toMatchObject({
      inference_count: 2,
      execution_count: 2,
      inference_stats: { success: { count: 2 }, fail: { count: 2 }, queue: { count: 2 }, compute_infer: { count: 2 } },
      batch_stats: [{ batch_size: 1, compute_infer: { count: 2 } }],
    });
  });
});

describe('a batch that fails', () => {
  const part = (id: number) => [
    int32('request_ids', [1, 2], [id, 0]),
    fp32('request_numbers', [1, 1], [0]),
    int32('candidate_ids', [1, 2], [0, 0]),
    fp32('candidate_numbers', [1, 1], [0]),
    int32('request_index', [1], [0]),
  ];

  it('takes its own requests along, with the reason, and no other', async () => {
    const refusals: string[] = [];
    await serve([twoScopeServed({ candidateRowsMax: 2 })], { onBatchRefused: (_, reason) => refusals.push(reason) });
    const asked = [1, 64, 3, 4].map((id) => new Asked(engine, 0, request(part(id)), 1));
    for (const spoiled of asked.slice(0, 2)) expect((await error(spoiled))?.message).toMatch(/idx=64/);
    expect(await Promise.all(asked.slice(2).map(scores))).toEqual([[9], [16]]);
    expect(refusals).toHaveLength(1);
    expect(engine.statistics(0).inference_stats).toMatchObject({ success: { count: 2 }, fail: { count: 2 } });
  });

  it('with a listener that throws answers the others of its batch, once', async () => {
    await serve([slowServed()]);
    const thrown: unknown[] = [];
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    try {
      engine.infer(0, request([int32('turns', [1, 1], [1])]), 1, () => {
        throw new Error('a bug of the caller');
      });
      const other = ask(2);
      expect(await scores(other)).toEqual([2]);
      await until(() => thrown.length > 0);
      expect(thrown).toEqual([new Error('a bug of the caller')]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of before) process.on('uncaughtException', listener);
    }
    expect(await scores(ask(3))).toEqual([3]);
  });

  it('because its worker died or hung leaves the next one to the replacement', async () => {
    await serve([slowServed()], { batchTimeoutUs: 100_000 });
    // biome-ignore lint/complexity/useLiteralKeys: brackets reach private members, dots do not.
    const exited = engine['pool']['piscina'].threads[0].terminate();
    const died = ask(1);
    engine.flush();
    const next = ask(2);
    await exited;
    await until(() => next.outcome !== null, engine);
    expect((await error(died))?.message).toMatch(/^model 'slow' failed: .*exited/);
    expect(await scores(next)).toEqual([2]);

    const hung = ask(8000);
    engine.flush();
    const after = ask(3);
    await until(() => after.outcome !== null, engine);
    expect((await error(hung))?.message).toMatch(/ran longer than 100 ms/);
    expect(await scores(after)).toEqual([3]);
    await until(() => engine.stats().workersAbandoned === 0, engine);
    expect(engine.statistics(0).inference_stats).toMatchObject({ success: { count: 2 }, fail: { count: 2 } });
  });
});

describe('a model that comes or goes', () => {
  it('answers what it has accepted, by requests and by rows, and its number serves another', async () => {
    await serve([{ ...slowServed({ maxBatchSize: 2 }), signature: slow().signature }]);
    const accepted = Array.from({ length: 20 }, (_, i) => ask(5 + i));
    for (let ticket = 0; ticket < 3; ticket++) {
      const batch = engine.reserve(0, 0, 40, ticket, Number.POSITIVE_INFINITY);
      batch?.inputs[0].fill(ticket, engine.candidateRow, engine.candidateRow + 40);
    }
    const removed = engine.removeModel(0);
    const late = ask(1);
    expect((await error(late))?.code).toBe('UNAVAILABLE');
    expect(await Promise.all(accepted.map(scores))).toEqual(accepted.map((_, i) => [5 + i]));
    await removed;
    expect([...recorder.answers.values()].map(({ scores }) => scores?.[0])).toEqual([0, 1, 2]);
    expect(recorder.repeated).toEqual([]);
    expect(engine.stats()).toMatchObject({ instancesUp: 0, slabBytes: 0 });

    expect(await engine.addModel(wide())).toBe(0);
    const asked = new Asked(engine, 0, request([fp32('x', [1, 2], [1, 2])]), 1);
    expect(await scores(asked)).toEqual([3]);
    expect(engine.statistics(0).inference_stats).toMatchObject({ success: { count: 1 }, fail: { count: 0 } });
  });

  it('leaves nothing when it is refused', async () => {
    await serve([slowServed()]);
    const broken = { ...slowServed({ instanceCount: 3 }), file: 'missing.onnx' };
    for (let i = 0; i < 2; i++) await expect(engine.addModel(broken)).rejects.toMatchObject({ code: 'VK_MODEL_LOAD' });
    expect(engine.stats()).toMatchObject({ instancesUp: 1 });
    expect(engine.stats().models).toHaveLength(1);
    expect(await engine.addModel(wide())).toBe(1);
    expect(await scores(ask(2))).toEqual([2]);
  });

  it('may take the place of one whose hung thread is still to end', async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', note);
    await serve([slow()], { batchTimeoutUs: 50_000 });
    const batch = engine.reserve(0, 0, 1, 1, Number.POSITIVE_INFINITY);
    batch?.inputs[0].fill(8000, engine.candidateRow, engine.candidateRow + 1);
    engine.flush();
    await until(() => recorder.answers.size === 1, engine);
    await engine.removeModel(0);
    expect(await engine.addModel(slowServed())).toBe(0);
    expect(engine.stats().workersAbandoned).toBe(1);
    await until(() => engine.stats().workersAbandoned === 0, engine);
    await nextTurn();
    process.off('unhandledRejection', note);
    expect(rejections).toEqual([]);
    expect(await scores(ask(2))).toEqual([2]);
  });

  it('answers everything when the engine closes', async () => {
    await serve([slowServed({ maxBatchSize: 1 })]);
    const asked = [300, 1, 2].map((turns) => ask(turns));
    await nextTurn();
    await nextTurn();
    await engine.close();
    expect(await scores(asked[0])).toEqual([300]);
    for (const waiting of asked.slice(1)) expect((await error(waiting))?.code).toBe('UNAVAILABLE');
  });
});

describe('model_warmup', () => {
  const warmUp = (inputs: WarmUp['inputs'], batchSize = 3): WarmUp[] => [{ name: 'w', batchSize, count: 2, inputs }];

  it('runs with every kind of data, strings and reshaped tensors too', async () => {
    const file = strings('', [], ['ä', '']).bytes;
    const inputs = (data: 'zero' | 'random') =>
      TYPES.map(([name, dataType]) => ({
        name: `in_${name}`,
        dataType,
        shape: [2],
        data: dataType === 'BYTES' && data === 'random' ? file : data,
      }));
    const both = [...warmUp(inputs('zero')), ...warmUp(inputs('random'))];
    await serve([
      everyType({ warmUps: both }),
      transpose({ warmUps: warmUp([{ name: 'x', dataType: 'FP32', shape: [6], data: 'random' }]) }),
    ]);
    expect(engine.stats().instancesUp).toBe(2);
    expect(engine.statistics(0).execution_count).toBe(0);
  });

  it('refuses the load when it fails', async () => {
    await serve([]);
    const turns = { name: 'turns', dataType: 'INT32', shape: [2], data: 'zero' } as const;
    const refused = engine.addModel(slowServed({ warmUps: warmUp([turns]) }));
    await expect(refused).rejects.toMatchObject({ code: 'VK_MODEL_WARM_UP', fixedBy: 'model owner' });
    expect(engine.stats().instancesUp).toBe(0);
  });
});
