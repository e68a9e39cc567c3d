/** Ensembles over models that answer when the test says so. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type EnsembleStep,
  InferError,
  type InferRequest,
  type InferResponse,
  type OnInfer,
  type Tensor,
  type TensorConfig,
} from '../../src/contract/index.js';
import { Ensemble } from '../../src/inference/ensemble.js';

function tensor(name: string, text = name): Tensor {
  return { name, dataType: 'UINT8', shape: [text.length], bytes: Buffer.from(text) };
}

function textOf(given: Tensor): string {
  return `${given.name}=${Buffer.from(given.bytes).toString()}`;
}

/** `from` and `to`: 'name:tensor name:tensor'. */
function step(model: string, from: string, to: string, version = -1): EnsembleStep {
  const map = (text: string) => new Map(text.split(' ').map((pair) => pair.split(':') as [string, string]));
  return { model, version, inputMap: map(from), outputMap: map(to) };
}

/** a → (left, right) → join: a diamond, and a side branch that only `extra` needs. */
const DIAMOND = [
  step('join', 'l:left r:right', 'out:y'),
  step('left', 'in:a', 'out:left', 3),
  step('right', 'in:a opt:b', 'out:right unread:nobody'),
  step('side', 'in:left', 'out:extra'),
];

const REQUEST: InferRequest = {
  model: 'e',
  version: '',
  id: 'r7',
  inputs: [tensor('a', '1')],
  outputs: [],
  priority: 2,
  timeoutUs: 900,
  parameters: { k: 'v' },
};

class Models {
  readonly calls: { request: InferRequest; done: OnInfer; cancelled: number }[] = [];
  readonly answers: [InferError | null, InferResponse | null][] = [];

  readonly infer = (request: InferRequest, done: OnInfer) => {
    const call = { request, done, cancelled: 0 };
    this.calls.push(call);
    return { cancel: () => void call.cancelled++ };
  };

  readonly done: OnInfer = (error, response) => void this.answers.push([error, response]);

  started(): string[] {
    return this.calls.map((call) => call.request.model);
  }

  /** The answer of a step is its name around its inputs. */
  answer(model: string): void {
    const { request, done } = this.callOf(model);
    const text = `${model}(${request.inputs.map((input) => Buffer.from(input.bytes).toString()).join()})`;
    done(null, { model, version: '1', outputs: [tensor('out', text), tensor('other')] });
  }

  callOf(model: string) {
    const call = this.calls.find((one) => one.request.model === model);
    if (call === undefined) throw new Error(`${model} has not started`);
    return call;
  }
}

function runOf(request: Partial<InferRequest> = {}, steps = DIAMOND, outputs = ['y', 'extra']) {
  const models = new Models();
  const ensemble = new Ensemble({
    name: 'e',
    outputs: outputs.map((name) => ({ name }) as TensorConfig),
    ensemble: steps,
  });
  const handle = ensemble.run({ ...REQUEST, ...request }, '4', models.infer, models.done);
  return { models, handle };
}

describe('an ensemble', () => {
  it('starts each step when its inputs are there, and gives its outputs under their own names', () => {
    const { models } = runOf();
    expect(models.started()).toEqual(['left', 'right']);
    models.answer('right');
    expect(models.started()).toEqual(['left', 'right']);
    models.answer('left');
    expect(models.started()).toEqual(['left', 'right', 'join', 'side']);
    models.answer('side');
    expect(models.answers).toEqual([]);
    models.answer('join');
    const [[error, response]] = models.answers;
    expect(error).toBeNull();
    expect([response?.model, response?.version]).toEqual(['e', '4']);
    expect(response?.outputs.map(textOf)).toEqual(['y=join(left(1),right(1))', 'extra=side(left(1))']);
  });

  it('asks each step by its own names for what is needed, and passes on what the client said', () => {
    const { models } = runOf({ inputs: [tensor('a', '1'), tensor('b', '2')] });
    const { request: left } = models.callOf('left');
    expect(left).toEqual({ ...REQUEST, model: 'left', version: '3', inputs: [tensor('in', '1')], outputs: ['out'] });
    const { request: right } = models.callOf('right');
    expect([right.version, ...right.inputs.map(textOf), ...right.outputs]).toEqual(['', 'in=1', 'opt=2', 'out']);
  });

  it('leaves an optional input out where its source is missing', () => {
    const { models } = runOf();
    expect(models.callOf('right').request.inputs.map(textOf)).toEqual(['in=1']);
    models.callOf('left').done(null, { model: 'left', version: '3', outputs: [] });
    models.answer('right');
    expect(models.callOf('join').request.inputs.map((input) => input.name)).toEqual(['r']);
  });

  it('runs only what the requested outputs need', () => {
    const { models } = runOf({ outputs: ['extra'] });
    expect(models.started()).toEqual(['left']);
    models.answer('left');
    models.answer('side');
    expect(models.started()).toEqual(['left', 'side']);
    expect(models.answers[0][1]?.outputs.map(textOf)).toEqual(['extra=side(left(1))']);
  });

  it('answers after it has returned even when no step runs', async () => {
    const { models } = runOf({ outputs: ['a'] }, DIAMOND, ['y', 'a']);
    expect(models.answers).toEqual([]);
    await Promise.resolve();
    expect(models.started()).toEqual([]);
    expect(models.answers[0][1]?.outputs.map(textOf)).toEqual(['a=1']);
  });

  it('fails once, with the first error, and cancels the rest', () => {
    const { models } = runOf();
    const error = new InferError('UNAVAILABLE', 'Request timeout expired');
    models.callOf('left').done(error, null);
    expect(models.callOf('right').cancelled).toBe(1);
    models.callOf('right').done(new InferError('CANCELLED', 'second'), null);
    expect(models.answers).toEqual([[error, null]]);
    expect(models.started()).toEqual(['left', 'right']);
  });

  it('fails when a step does not give what the client asked for', () => {
    const { models } = runOf({ outputs: ['extra'] });
    models.answer('left');
    models.callOf('side').done(null, { model: 'side', version: '1', outputs: [] });
    expect(models.answers).toEqual([
      [new InferError('INTERNAL', "in ensemble 'e', output 'extra' was not given"), null],
    ]);
  });

  it('passes a cancellation on, and starts nothing more', () => {
    const { models, handle } = runOf();
    handle.cancel();
    expect(models.calls.map((call) => call.cancelled)).toEqual([1, 1]);
    models.answer('left');
    models.answer('right');
    expect(models.started()).toEqual(['left', 'right']);
    expect(models.answers.map(([error]) => error?.code)).toEqual(['CANCELLED']);
    handle.cancel();
    expect(models.calls.map((call) => call.cancelled)).toEqual([1, 2]);
  });
});

it('runs any graph in any order of completion, each step once, and answers once', () => {
  // Step i reads the ensemble's input and some of the steps before it; the last one is the output.
  const graphs = fc.array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 10 });
  const property = fc.property(graphs, fc.array(fc.nat(9)), fc.option(fc.nat(9)), (reads, picks, failing) => {
    const steps = reads.map((from, i) => {
      const tensors = new Set(['a', ...from.filter((other) => other < i).map((other) => `t${other}`)]);
      return step(`m${i}`, [...tensors].map((name) => `${name}:${name}`).join(' '), `out:t${i}`);
    });
    const { models } = runOf({}, [...steps].reverse(), [`t${steps.length - 1}`]);
    const answered = new Set<string>();
    for (let i = 0; models.answers.length === 0; i++) {
      const open = models.started().filter((model) => !answered.has(model));
      const model = open[(picks[i] ?? 0) % open.length];
      answered.add(model);
      if (model === `m${failing}`) models.callOf(model).done(new InferError('INTERNAL', model), null);
      else models.answer(model);
    }
    for (const model of models.started()) if (!answered.has(model)) models.answer(model);
    expect(new Set(models.started()).size).toBe(models.calls.length);
    expect(models.answers.length).toBe(1);
    for (const { request } of models.calls) {
      const inputs = steps[Number(request.model.slice(1))].inputMap;
      expect(request.inputs.map((input) => input.name)).toEqual([...inputs.keys()]);
    }
    if (models.answers[0][0] !== null) expect(models.answers[0][0].message).toBe(`m${failing}`);
  });
  fc.assert(property, { seed: 7, numRuns: 500 });
});
