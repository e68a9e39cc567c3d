import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { compileProgram } from '../../src/features/index.js';

const REPOSITORY = new URL('../../native-models/', import.meta.url);
const MODELS = ['pctr_dlrm', 'pctr_gbm', 'pcvr', 'win_price'];
const MODEL_BYTES_MAX = 2.5 * 1024 * 1024;

interface ScoreVectors {
  readonly inputs: Readonly<Record<string, { readonly shape: number[]; readonly values: number[] }>>;
  readonly output: string;
  readonly expected: number[];
}

describe.each(MODELS)('%s', (name) => {
  const file = (path: string) => fileURLToPath(new URL(`${name}/${path}`, REPOSITORY));
  const program = compileProgram(JSON.parse(readFileSync(file('features.json'), 'utf8')), file('features.json'));
  const vectors = JSON.parse(readFileSync(file('1/score-vectors.json'), 'utf8')) as ScoreVectors;

  it('is a small file with everything beside it', () => {
    expect(statSync(file('1/model.onnx')).size).toBeLessThan(MODEL_BYTES_MAX);
    for (const path of ['config.pbtxt', 'card.md']) expect(existsSync(file(path)), path).toBe(true);
    // A price is no probability: there is nothing to calibrate.
    expect(existsSync(file('1/calibration.json'))).toBe(name !== 'win_price');
  });

  it('takes what its feature program writes', () => {
    const { inputs, requestIndexInput } = program.signature;
    for (const input of inputs) expect(vectors.inputs[input.name].shape[1], input.name).toBe(input.width);
    const names = inputs.map((input) => input.name);
    expect(Object.keys(vectors.inputs)).toEqual(requestIndexInput === '' ? names : [...names, requestIndexInput]);
    expect(vectors.output).toBe(program.signature.output);
  });

  it('gives the raw scores that Python saw', async () => {
    const session = await InferenceSession.create(file('1/model.onnx'), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const { inputs, requestIndexInput } = program.signature;
    const integers = new Set([requestIndexInput, ...inputs.filter((i) => i.type === 'int32').map((i) => i.name)]);
    const feed: Record<string, Tensor> = {};
    for (const [input, { shape, values }] of Object.entries(vectors.inputs)) {
      feed[input] = integers.has(input)
        ? new Tensor('int32', Int32Array.from(values), shape)
        : new Tensor('float32', Float32Array.from(values), shape);
    }
    const scores = (await session.run(feed))[vectors.output];
    expect(scores.dims).toEqual([vectors.expected.length]);
    for (const [row, score] of [...(scores.data as Float32Array)].entries()) {
      expect(Number.isFinite(score)).toBe(true);
      expect(Math.abs(score - vectors.expected[row]), `row ${row}`).toBeLessThan(1e-4);
    }
    await session.release();
  });
});
