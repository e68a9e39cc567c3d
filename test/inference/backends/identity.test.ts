import { afterEach, describe, expect, it, vi } from 'vitest';
import { DATA_TYPES, type DataType, type Tensor } from '../../../src/contract/index.js';
import { IdentityExecutor } from '../../../src/inference/backends/identity.js';
import { batchOf, modelConfig, run } from './model.js';

const { inputs, outputs } = modelConfig('identity', {});

describe('identity', () => {
  afterEach(() => vi.useRealTimers());

  it('gives inputs back by position, under the names of the outputs, in memory of its own', async () => {
    const executor = new IdentityExecutor(
      modelConfig(
        'identity',
        {},
        {
          inputs: [inputs[0], { ...inputs[0], name: 'X2' }],
          outputs: [outputs[0], { ...outputs[0], name: 'Y2' }],
        },
      ),
    );
    const x: Tensor = { name: 'X', dataType: 'FP32', shape: [1, 2], bytes: new Uint8Array(8).fill(1) };
    const x2: Tensor = { name: 'X2', dataType: 'FP32', shape: [1, 2], bytes: new Uint8Array(8).fill(2) };
    const given = await run(executor, {
      ...batchOf(1),
      inputs: [x2, x],
      outputs: [...outputs, { name: 'Y2', dataType: 'FP32' }],
    });
    x.bytes.fill(0);
    expect(given).toEqual([
      { name: 'Y', dataType: 'FP32', shape: [1, 2], bytes: new Uint8Array(8).fill(1) },
      { name: 'Y2', dataType: 'FP32', shape: [1, 2], bytes: new Uint8Array(8).fill(2) },
    ]);
  });

  it.each(Object.keys(DATA_TYPES) as DataType[])('takes %s', async (dataType) => {
    const config = modelConfig(
      'identity',
      {},
      {
        inputs: [{ ...inputs[0], dataType }],
        outputs: [{ ...outputs[0], dataType }],
      },
    );
    const tensor: Tensor = { name: 'X', dataType, shape: [1, 2], bytes: Uint8Array.of(1, 0, 0, 0, 7, 0, 0, 0, 0) };
    const [given] = await run(new IdentityExecutor(config), {
      ...batchOf(1),
      inputs: [tensor],
      outputs: [{ name: 'Y', dataType }],
    });
    expect(given).toEqual({ ...tensor, name: 'Y' });
  });

  it('leaves out what the batch left out', async () => {
    const executor = new IdentityExecutor(modelConfig('identity', {}));
    expect(await run(executor, { ...batchOf(1), inputs: [] })).toEqual([]);
  });

  it('works on each batch for execute_delay_ms, on one per instance', () => {
    vi.useFakeTimers();
    const executor = new IdentityExecutor(modelConfig('identity', { execute_delay_ms: '50' }, { instanceCount: 3 }));
    expect(executor.concurrencyMax).toBe(3);
    let calls = 0;
    executor.execute(batchOf(1), (error) => {
      expect(error).toBeNull();
      calls++;
    });
    vi.advanceTimersByTime(49);
    expect(calls).toBe(0);
    vi.advanceTimersByTime(1);
    expect(calls).toBe(1);
  });

  it('fails what it works on when it is closed, and what comes after', async () => {
    const executor = new IdentityExecutor(modelConfig('identity', { execute_delay_ms: '60000' }));
    const waiting = run(executor, batchOf(1));
    const failed = expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await executor.close();
    await failed;
    await expect(run(executor, batchOf(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each([
    ['a delay that is no number', { execute_delay_ms: '1s' }, {}, 'execute_delay_ms'],
    ['a delay without end', { execute_delay_ms: '60001' }, {}, 'execute_delay_ms'],
    ['more outputs than inputs', {}, { inputs: [] }, '1 outputs need as many inputs'],
    [
      'an output of another type',
      {},
      { outputs: [{ ...outputs[0], dataType: 'INT32' as const }] },
      "output 'Y' is INT32",
    ],
  ])('refuses %s', (_sentence, parameters: Record<string, string>, changes, part) => {
    const make = () => new IdentityExecutor(modelConfig('identity', parameters, changes));
    expect(make).toThrow(expect.objectContaining({ code: 'VK_MODEL_CONFIG', message: expect.stringContaining(part) }));
  });
});
