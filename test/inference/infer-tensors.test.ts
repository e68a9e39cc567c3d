/** Requests that bring their tensors, through real ONNX workers: bytes in, bytes out, alone and merged. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DATA_TYPES, type Tensor } from '../../src/contract/index.js';
import type { Engine, EngineModel } from '../../src/inference/index.js';
import { TENSOR_BYTES_KEPT_MAX } from '../../src/inference/limits.js';
import { twoScopeScore } from './fixtures/models.js';
import { Recorder, start } from './fixtures/recorder.js';
import {
  Asked,
  answer,
  everyType,
  floatsOf,
  fp32,
  int32,
  optional,
  request,
  strings,
  TYPES,
  transpose,
  twoScopeServed,
  wide,
} from './fixtures/served.js';

let engine: Engine;
afterEach(() => engine.close());

async function serve(...models: EngineModel[]): Promise<void> {
  engine = await start(models, new Recorder(), { workers: 1 });
}

/** Asked in one turn, so that the queue may merge them. */
async function together(
  model: number,
  asks: readonly { inputs: Tensor[]; rows: number }[],
): Promise<readonly Tensor[][]> {
  const asked = asks.map(({ inputs, rows }) => new Asked(engine, model, request(inputs), rows));
  const outcomes = await Promise.all(asked.map(({ settled }) => settled));
  return outcomes.map(({ error, response }) => {
    if (error !== null) throw error;
    return [...(response?.outputs ?? [])];
  });
}

const batches = (model = 0) => engine.statistics(model).execution_count;

/** Elements that a wrong view, a wrong length or a detour over a number would change. */
const text = fc.oneof(
  fc.constantFrom('', 'é', '日本語', '👩‍🚀', 'a'.repeat(300)),
  fc.string({ unit: 'binary', maxLength: 6 }).map((s) => s.replaceAll('\0', '')),
);
function typed([name, dataType]: (typeof TYPES)[number], rows: number): fc.Arbitrary<Tensor> {
  const shape = [rows, 2];
  if (dataType === 'BYTES')
    return fc.array(text, { minLength: rows * 2, maxLength: rows * 2 }).map((all) => strings(`in_${name}`, shape, all));
  const length = rows * 2 * DATA_TYPES[dataType].bytes;
  const max = dataType === 'BOOL' ? 1 : 255;
  return fc
    .uint8Array({ minLength: length, maxLength: length, max })
    .map((bytes) => ({ name: `in_${name}`, dataType, shape, bytes }));
}
const everyInput = fc
  .integer({ min: 1, max: 4 })
  .chain((rows) => fc.tuple(...TYPES.map((type) => typed(type, rows))).map((inputs) => ({ inputs, rows })));

const wideRequest = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 3 }))
  .chain(([rows, width]) =>
    fc
      .array(fc.nat(99), { minLength: rows * width, maxLength: rows * width })
      .map((values) => ({ inputs: [fp32('x', [rows, width], values)], rows })),
  );

const optionalRequest = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.boolean()).chain(([rows, biased]) =>
  fc.tuple(fc.array(text, { minLength: rows, maxLength: rows }), fc.nat(99)).map(([labels, bias]) => ({
    inputs: [
      strings('label', [rows, 1], labels),
      ...(biased
        ? [
            fp32(
              'bias',
              [rows, 1],
              Array.from({ length: rows }, (_, i) => bias + i),
            ),
          ]
        : []),
    ],
    rows,
  })),
);

const small = fc.integer({ min: 0, max: 63 });
const twoScopeRequest = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 }))
  .chain(([parts, rows]) => {
    const many = (length: number, max: number) => fc.array(fc.nat(max), { minLength: length, maxLength: length });
    return fc
      .record({
        ids: many(parts * 2, 63),
        numbers: many(parts, 63),
        rest: many(rows * 3, 63),
        index: many(rows, parts - 1),
      })
      .map(({ ids, numbers, rest, index }) => ({
        inputs: [
          int32('request_ids', [parts, 2], ids),
          fp32('request_numbers', [parts, 1], numbers),
          int32('candidate_ids', [rows, 2], rest.slice(0, rows * 2)),
          fp32('candidate_numbers', [rows, 1], rest.slice(rows * 2)),
          int32('request_index', [rows], index),
        ],
        rows,
        expected: index.map((part, i) =>
          twoScopeScore(ids.slice(part * 2), numbers[part], rest.slice(i * 2, i * 2 + 2), rest[rows * 2 + i]),
        ),
      }));
  });

const transposeRequest = fc
  .integer({ min: 1, max: 4 })
  .chain((rows) =>
    fc
      .array(small, { minLength: rows * 6, maxLength: rows * 6 })
      .map((values) => ({ inputs: [fp32('x', [rows, 6], values)], rows })),
  );

describe('merging', () => {
  it.each([
    ['every type', everyType(), everyInput],
    ['variable dimensions', wide(), wideRequest],
    ['optional inputs', optional(), optionalRequest],
    ['reshaped tensors', transpose(), transposeRequest],
    ['two scopes', twoScopeServed({ candidateRowsMax: 16, requestRowsMax: 5 }), twoScopeRequest],
  ] as [string, EngineModel, fc.Arbitrary<{ inputs: Tensor[]; rows: number }>][])(
    'gives each request the bytes that it gets alone: %s',
    async (_, model, asks) => {
      await serve(model);
      await fc.assert(
        fc.asyncProperty(fc.array(asks, { minLength: 1, maxLength: 6 }), async (all) => {
          const merged = await together(0, all);
          for (let i = 0; i < all.length; i++) {
            const alone = await answer(engine, 0, all[i].inputs, all[i].rows);
            expect(merged[i]).toEqual(alone);
          }
        }),
        { numRuns: 40 },
      );
    },
  );

  it('returns every element of every type as it came', async () => {
    await serve(everyType());
    await fc.assert(
      fc.asyncProperty(everyInput, async ({ inputs, rows }) => {
        const outputs = await answer(engine, 0, inputs, rows);
        expect(outputs.map(({ bytes }) => [...bytes])).toEqual(inputs.map(({ bytes }) => [...bytes]));
        expect(outputs.map(({ shape }) => shape)).toEqual(inputs.map(({ shape }) => shape));
      }),
      { numRuns: 40 },
    );
  });

  it('computes two-scope scores from the request rows that each index names', async () => {
    await serve(twoScopeServed({ requestRowsMax: 9 }));
    await fc.assert(
      fc.asyncProperty(fc.array(twoScopeRequest, { minLength: 2, maxLength: 3 }), async (all) => {
        const before = batches();
        const merged = await together(0, all);
        // A request that finds the worker idle still waits for the end of its turn.
        expect(batches() - before).toBe(1);
        expect(merged.map(([logit]) => floatsOf(logit))).toEqual(all.map(({ expected }) => expected));
      }),
      { numRuns: 40 },
    );
  });

  it('puts requests of one shape into one batch, and of another into the next', async () => {
    await serve(wide());
    const asks = [1, 1, 2].map((width) => ({ inputs: [fp32('x', [2, width], Array(2 * width).fill(width))], rows: 2 }));
    const merged = await together(0, asks);
    expect(batches()).toBe(2);
    expect(merged.map(([sum]) => floatsOf(sum))).toEqual([
      [1, 1],
      [1, 1],
      [4, 4],
    ]);
    expect(merged.map(([, tiled]) => tiled.shape)).toEqual([
      [2, 64],
      [2, 64],
      [2, 128],
    ]);
  });

  it('gives the outputs that were asked for, in that order', async () => {
    await serve(wide());
    const asked = new Asked(engine, 0, request([fp32('x', [1, 1], [3])], { outputs: ['tiled', 'sum'] }), 1);
    const one = new Asked(engine, 0, request([fp32('x', [1, 1], [4])], { outputs: ['sum'] }), 1);
    const names = async ({ settled }: Asked) => (await settled).response?.outputs.map(({ name }) => name);
    expect(await names(asked)).toEqual(['tiled', 'sum']);
    expect(await names(one)).toEqual(['sum']);
    expect(batches()).toBe(1);
  });

  it('feeds numbers to a model that has seen empty tensors alone so far', async () => {
    await serve(wide());
    expect(floatsOf((await answer(engine, 0, [fp32('x', [2, 0], [])], 2))[0])).toEqual([0, 0]);
    expect(floatsOf((await answer(engine, 0, [fp32('x', [1, 2], [3, 4])], 1))[0])).toEqual([7]);
  });

  it('leaves out an output that the model has not given, though it was asked for', async () => {
    await serve(optional());
    const outputs = ['biased', 'label_out'];
    const asked = new Asked(engine, 0, request([strings('label', [1, 1], ['a'])], { outputs }), 1);
    expect((await asked.settled).response?.outputs.map(({ name }) => name)).toEqual(['label_out']);
  });
});

describe('large tensors', () => {
  const width = 100_000;
  const large = fp32('x', [1, width], Array(width).fill(1));

  it('outgrow the slab on both sides, with small ones between them', async () => {
    await serve(wide({ maxBatchSize: 1 }));
    for (let round = 0; round < 3; round++) {
      const [sum, tiled] = await answer(engine, 0, [large], 1);
      expect(floatsOf(sum)).toEqual([width]);
      // 25 MB, too many for an array of numbers.
      expect(tiled.bytes.byteLength).toBe(width * 64 * 4);
      expect(tiled.bytes.subarray(-4)).toEqual(large.bytes.subarray(0, 4));
      expect(floatsOf((await answer(engine, 0, [fp32('x', [1, 2], [round, 2])], 1))[1])).toHaveLength(128);
    }
  });

  it('do not leave their memory behind, in the engine or in the pool', async () => {
    const rows = 200_000;
    await serve(transpose({ maxBatchSize: rows }));
    for (const count of [rows, 1, 1]) {
      const [y] = await answer(engine, 0, [fp32('x', [count, 6], Array(count * 6).fill(1))], count);
      expect(y.shape).toEqual([count, 6]);
      expect(engine.stats().slabBytes).toBeLessThanOrEqual(TENSOR_BYTES_KEPT_MAX);
      expect(mailedBytes()).toBeLessThanOrEqual(TENSOR_BYTES_KEPT_MAX);
    }
    // Room for the outputs of the past must not make every later memory too large to be kept.
    expect(engine.stats().slabBytes).toBeGreaterThan(0);
  });

  it('are refused without harm when the runtime has refused them', async () => {
    await serve(twoScopeServed());
    const bad = [
      int32('request_ids', [1, 2], [64, 0]),
      fp32('request_numbers', [1, 1], [1]),
      int32('candidate_ids', [1, 2], [0, 0]),
      fp32('candidate_numbers', [1, 1], [1]),
      int32('request_index', [1], [0]),
    ];
    await expect(answer(engine, 0, bad, 1)).rejects.toThrow(/^model 'two_scope' failed: .*Gather/s);
    const good = [int32('request_ids', [1, 2], [3, 0]), ...bad.slice(1)];
    expect(floatsOf((await answer(engine, 0, good, 1))[0])).toEqual([10]);
    expect(engine.statistics(0).inference_stats.fail.count).toBe(1);
  });
});

/** Memory that the pool's seats hold for their workers. */
function mailedBytes(): number {
  // biome-ignore lint/complexity/useLiteralKeys: brackets reach private members, dots do not.
  const groups = [...engine['pool']['groups'].values()];
  const mailed = groups.flatMap(({ seats }) => seats.flatMap((seat) => seat.mailed));
  return mailed.reduce((sum, memory) => sum + (memory?.byteLength ?? 0), 0);
}
