import { afterEach, describe, expect, it } from 'vitest';
import { type BatchExecutor, type ExecutorBatch, InferError, type Tensor } from '../../src/contract/index.js';
import type { Engine } from '../../src/inference/index.js';
import { makeModelConfig } from '../../src/inference/model-config.js';
import { parseConfigText } from '../../src/inference/raw-config.js';
import { twoScope, twoScopeScore } from './fixtures/models.js';
import { Recorder, start, until } from './fixtures/recorder.js';

let engine: Engine | undefined;
afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

const int32 = (tensor: Tensor) => new Int32Array(tensor.bytes.slice().buffer);
const float32 = (tensor: Tensor) => new Float32Array(tensor.bytes.slice().buffer);

/** Computes what the fixture's graph computes, somewhere else. */
class Elsewhere implements BatchExecutor {
  readonly concurrencyMax = 2;
  readonly batches: ExecutorBatch[] = [];
  answer: (scores: Float32Array) => [InferError | null, Tensor[] | null] = (scores) => [
    null,
    [{ name: 'logit', dataType: 'FP32', shape: [scores.length], bytes: new Uint8Array(scores.buffer) }],
  ];

  execute(batch: ExecutorBatch, done: (error: InferError | null, outputs: readonly Tensor[] | null) => void): void {
    this.batches.push(batch);
    const [requestIds, requestNumbers, candidateIds, candidateNumbers, index] = batch.inputs;
    const scores = Float32Array.from(int32(index), (row, i) =>
      twoScopeScore(
        [...int32(requestIds).subarray(row * 2, row * 2 + 2)],
        float32(requestNumbers)[row],
        [...int32(candidateIds).subarray(i * 2, i * 2 + 2)],
        float32(candidateNumbers)[i],
      ),
    );
    setImmediate(() => done(...this.answer(scores)));
  }

  async close(): Promise<void> {}
}

const CONFIG = parseConfigText(
  `backend: "identity"
input { name: "request_ids" data_type: TYPE_INT32 dims: [ -1, 2 ] }
input { name: "request_numbers" data_type: TYPE_FP32 dims: [ -1, 1 ] }
input { name: "candidate_ids" data_type: TYPE_INT32 dims: [ -1, 2 ] }
input { name: "candidate_numbers" data_type: TYPE_FP32 dims: [ -1, 1 ] }
input { name: "request_index" data_type: TYPE_INT32 dims: [ -1 ] }
output { name: "logit" data_type: TYPE_FP32 dims: [ -1 ] }
`,
  'config.pbtxt',
);

async function running(executor: Elsewhere, recorder: Recorder): Promise<Engine> {
  const model = twoScope();
  engine = await start(
    [{ ...model, file: '', config: makeModelConfig(CONFIG, model.name, '', null), executor }],
    recorder,
  );
  return engine;
}

/** One request row and two candidates. */
function ask(target: Engine, ticket: number): void {
  const batch = target.reserve(0, 1, 2, ticket, Number.POSITIVE_INFINITY);
  if (batch === null) throw new Error('refused');
  const { requestRow, candidateRow } = target;
  const [requestIds, requestNumbers, candidateIds, candidateNumbers] = batch.inputs;
  requestIds.set([ticket, 5], requestRow * 2);
  requestNumbers[requestRow] = 3;
  candidateIds.set([1, 2, 3, 4], candidateRow * 2);
  candidateNumbers.set([7, 8], candidateRow);
  batch.requestIndex.fill(requestRow, candidateRow, candidateRow + 2);
}

const scoresOf = (ticket: number) => [
  twoScopeScore([ticket, 5], 3, [1, 2], 7),
  twoScopeScore([ticket, 5], 3, [3, 4], 8),
];

describe('rows of the bid path on a model that runs elsewhere', () => {
  it('go out as tensors and come back as the scores of their own tickets', async () => {
    const recorder = new Recorder();
    const executor = new Elsewhere();
    const target = await running(executor, recorder);
    for (const ticket of [1, 2, 3]) ask(target, ticket);
    target.flush();
    await until(() => recorder.answers.size === 3, target);
    for (const ticket of [1, 2, 3]) expect(recorder.answers.get(ticket)?.scores).toEqual(scoresOf(ticket));
    expect(executor.batches.map(({ rows }) => rows)).toEqual([6]);
    expect(target.statistics(0)).toMatchObject({ inference_count: 6, execution_count: 1 });
  });

  it.each([
    ['an error', (): [InferError, null] => [new InferError('UNAVAILABLE', 'gone'), null]],
    ['no such output', (): [null, Tensor[]] => [null, []]],
    [
      'too few scores',
      (scores: Float32Array): [null, Tensor[]] => [
        null,
        [{ name: 'logit', dataType: 'FP32', shape: [1], bytes: new Uint8Array(scores.buffer, 0, 4) }],
      ],
    ],
  ])('fail their tickets where it answers with %s, and the next batch runs', async (_, answer) => {
    const recorder = new Recorder();
    const executor = new Elsewhere();
    const right = executor.answer;
    executor.answer = answer;
    const target = await running(executor, recorder);
    ask(target, 1);
    target.flush();
    await until(() => recorder.answers.size === 1, target);
    expect(recorder.answers.get(1)?.scores).toBeNull();
    executor.answer = right;
    ask(target, 2);
    target.flush();
    await until(() => recorder.answers.size === 2, target);
    expect(recorder.answers.get(2)?.scores).toEqual(scoresOf(2));
  });

  it('are answered once where the engine closes while they are away', async () => {
    const recorder = new Recorder();
    const executor = new Elsewhere();
    const target = await start(
      [{ ...twoScope(), file: '', config: makeModelConfig(CONFIG, 'two_scope', '', null), executor }],
      recorder,
      { batchTimeoutUs: 0 },
    );
    const held: (() => void)[] = [];
    executor.execute = (_, done) => {
      held.push(() => done(null, []));
    };
    ask(target, 1);
    target.flush();
    await target.close();
    for (const release of held) release();
    expect([...recorder.answers]).toEqual([[1, { model: 0, scores: null }]]);
    expect(recorder.repeated).toEqual([]);
  });
});
