import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InferRequest, ModelConfig, Tensor, TensorConfig } from '../../src/contract/index.js';
import { RequestChecker } from '../../src/inference/request-check.js';

const tensorConfig = (name: string, dims: number[], more: Partial<TensorConfig> = {}): TensorConfig => ({
  name,
  dataType: 'FP32',
  dims,
  reshape: undefined,
  optional: false,
  ...more,
});

const config = (more: Partial<ModelConfig>): ModelConfig =>
  ({
    name: 'm',
    backend: 'onnxruntime',
    maxBatchSize: 8,
    inputs: [tensorConfig('X', [16])],
    outputs: [tensorConfig('Y', [1])],
    twoScope: undefined,
    requestRowsMax: 8,
    candidateRowsMax: 8,
    ...more,
  }) as ModelConfig;

const tensor = (name: string, shape: number[], more: Partial<Tensor> = {}): Tensor => ({
  name,
  dataType: 'FP32',
  shape,
  bytes: more.bytes ?? new Uint8Array(4 * shape.reduce((product, dim) => product * dim, 1)),
  ...more,
});

const request = (inputs: Tensor[], more: Partial<InferRequest> = {}): InferRequest => ({
  model: 'm',
  version: '',
  id: '',
  inputs,
  outputs: [],
  priority: 0,
  timeoutUs: 0,
  parameters: {},
  ...more,
});

const strings = (...texts: (string | Uint8Array)[]): Uint8Array =>
  Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );

const int32 = (...values: number[]): Partial<Tensor> => ({
  dataType: 'INT32',
  bytes: new Uint8Array(Int32Array.from(values).buffer),
});

const BATCHING = config({});
const WHOLE = config({ maxBatchSize: 0, inputs: [tensorConfig('X', [-1, 2])] });
const THREE = config({ inputs: ['A', 'B', 'C'].map((name) => tensorConfig(name, [1])) });
const OPTIONAL = config({ inputs: [tensorConfig('A', [1]), tensorConfig('B', [1], { optional: true })] });
const TEXT = config({ inputs: [tensorConfig('S', [2], { dataType: 'BYTES' })] });
const TEXT_ELSEWHERE = config({ ...TEXT, backend: 'identity' });
const TWO_SCOPE = config({
  maxBatchSize: 0,
  inputs: [tensorConfig('r', [-1, 2]), tensorConfig('c', [-1, 3]), tensorConfig('index', [-1], { dataType: 'INT32' })],
  twoScope: { requestInputs: ['r'], requestIndexInput: 'index' },
  requestRowsMax: 4,
  candidateRowsMax: 8,
});
const twoScope = (requestRows: number, ...index: number[]) => [
  tensor('r', [requestRows, 2]),
  tensor('c', [index.length, 3]),
  tensor('index', [index.length], int32(...index)),
];

describe('a good request', () => {
  it.each<[string, ModelConfig, InferRequest, number]>([
    ['counts the batch dimension', BATCHING, request([tensor('X', [5, 16])]), 5],
    ['counts as one row where the model does not batch', WHOLE, request([tensor('X', [7, 2])]), 1],
    ['may be empty where the model does not batch', WHOLE, request([tensor('X', [0, 2])]), 1],
    ['may leave out what is optional', OPTIONAL, request([tensor('A', [2, 1])]), 2],
    ['may name outputs', BATCHING, request([tensor('X', [1, 16])], { outputs: ['Y'] }), 1],
    ['may carry text', TEXT, request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('ä', '') })]), 1],
    [
      'may carry any bytes to a backend that does not decode them',
      TEXT_ELSEWHERE,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings(Uint8Array.of(0xff), 'x') })]),
      1,
    ],
    ['counts candidate rows where there are two scopes', TWO_SCOPE, request(twoScope(2, 0, 1, 1)), 3],
  ])('%s', (_name, model, given, rows) => {
    const checker = new RequestChecker(model);
    expect(checker.check(given)).toBe(rows);
    // A second time: what the checker remembers of the first is not taken for a duplicate.
    expect(checker.check(given)).toBe(rows);
  });
});

const UNKNOWN = '[request id: <id_unknown>] ';
const WITHOUT_BATCH = "for model 'm'. Expected [-1,2], got";

describe('a bad request is told', () => {
  it.each<[ModelConfig, InferRequest, string]>([
    [BATCHING, request([tensor('Z', [1, 16])]), "unexpected inference input 'Z' for model 'm'"],
    [BATCHING, request([tensor('X', [1, 16])], { outputs: ['Q'] }), "unexpected inference output 'Q' for model 'm'"],
    [
      BATCHING,
      request([tensor('X', [1, 16])], { outputs: ['Y', 'Y'] }),
      `${UNKNOWN}output 'Y' already exists in request`,
    ],
    [BATCHING, request([tensor('X', [9, 16])]), `${UNKNOWN}inference request batch-size must be <= 8 for 'm'`],
    [BATCHING, request([tensor('X', [0, 16])]), `${UNKNOWN}inference request batch-size must be >= 1 for 'm'`],
    [
      BATCHING,
      request([tensor('X', [])]),
      `${UNKNOWN}input 'X' has no shape but model requires batch dimension for 'm'`,
    ],
    [
      BATCHING,
      request([tensor('X', [1, 15])]),
      `${UNKNOWN}unexpected shape for input 'X' for model 'm'. Expected [-1,16], got [1,15]. NOTE: Setting a non-zero`,
    ],
    [WHOLE, request([tensor('X', [1, 3])]), `${UNKNOWN}unexpected shape for input 'X' ${WITHOUT_BATCH} [1,3]. `],
    [WHOLE, request([tensor('X', [2])]), `${UNKNOWN}unexpected shape for input 'X' ${WITHOUT_BATCH} [2]. `],
    [
      WHOLE,
      request([tensor('X', [-1, 2], { bytes: new Uint8Array() })]),
      `${UNKNOWN}All input dimensions should be specified for input 'X' for model 'm', got [-1,2]`,
    ],
    [
      BATCHING,
      request([tensor('X', [1, 16], { dataType: 'INT32' })], { id: 'a7' }),
      "[request id: a7] inference input 'X' data-type is 'INT32', but model 'm' expects 'FP32'",
    ],
    [
      BATCHING,
      request([tensor('X', [1, 16], { bytes: new Uint8Array(60) })]),
      `${UNKNOWN}input byte size mismatch for input 'X' for model 'm'. Expected 64, got 60`,
    ],
    [
      WHOLE,
      request([tensor('X', [2 ** 53 - 1, 2], { bytes: new Uint8Array(4) })]),
      `${UNKNOWN}input byte size mismatch for input 'X' for model 'm'. Expected 72057594037927928, got 4`,
    ],
    [
      THREE,
      request([tensor('A', [1, 1])]),
      `${UNKNOWN}expected 3 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but missing required input(s) ['B','C']. Please provide all required input(s).`,
    ],
    [
      THREE,
      request(['A', 'A', 'B'].map((name) => tensor(name, [1, 1]))),
      `${UNKNOWN}input 'A' already exists in request`,
    ],
    [
      THREE,
      request([tensor('A', [1, 1]), tensor('B', [1, 1]), tensor('C', [2, 1])]),
      `${UNKNOWN}input 'C' batch size does not match other inputs for 'm'`,
    ],
    [
      OPTIONAL,
      request([]),
      `${UNKNOWN}expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. Got input(s) [], but missing required input(s) ['A']`,
    ],
    [OPTIONAL, request([tensor('B', [1, 1])]), `${UNKNOWN}expected number of inputs between 1 and 2 but got 1 inputs`],
    [
      TEXT,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('one') })]),
      `${UNKNOWN}expected 2 string elements for inference input 'S' for model 'm', got 1`,
    ],
    [
      TEXT,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('1', '2', '3') })]),
      `${UNKNOWN}unexpected number of string elements 3 for inference input 'S' for model 'm', expecting 2`,
    ],
    [
      TEXT,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('1', '2').subarray(0, 7) })]),
      `${UNKNOWN}incomplete string length indicator for inference input 'S' for model 'm', expecting 4 bytes but only 2 bytes`,
    ],
    [
      TEXT,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('1', '22').subarray(0, 10) })]),
      `${UNKNOWN}string element 1 of inference input 'S' for model 'm' is 2 bytes long, but only 1 bytes are left`,
    ],
    [
      TEXT,
      request([tensor('S', [1, 2], { dataType: 'BYTES', bytes: strings('1', Uint8Array.of(0xc3)) })]),
      `${UNKNOWN}string element 1 of inference input 'S' for model 'm' is not valid UTF-8`,
    ],
    [
      TWO_SCOPE,
      request(twoScope(2, 0, 2)),
      `${UNKNOWN}inference input 'index' for model 'm' has value 2 at row 1, but the request has 2 request rows`,
    ],
    [TWO_SCOPE, request(twoScope(2, -1)), `${UNKNOWN}inference input 'index' for model 'm' has value -1 at row 0`],
    [TWO_SCOPE, request(twoScope(5, 0)), `${UNKNOWN}inference request batch-size must be <= 4 for 'm'`],
    [
      TWO_SCOPE,
      request(twoScope(1, ...Array<number>(9).fill(0))),
      `${UNKNOWN}inference request batch-size must be <= 8 for 'm'`,
    ],
    [
      TWO_SCOPE,
      request([tensor('r', [1, 2]), tensor('c', [2, 3]), tensor('index', [1], int32(0))]),
      `${UNKNOWN}input 'index' batch size does not match other inputs for 'm'`,
    ],
  ])('its own mistake, case %#', (model, given, message) => {
    const told = () => new RequestChecker(model).check(given);
    expect(told).toThrow(expect.objectContaining({ code: 'INVALID_ARG' }));
    expect(told).toThrow(message.endsWith('. ') ? new RegExp(`^${escaped(message)}$`) : message);
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

describe('BYTES', () => {
  it('takes exactly the byte strings that their lengths add up to', () => {
    const checker = new RequestChecker(TEXT_ELSEWHERE);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (garbage, isCut) => {
        const bytes = isCut ? garbage : new Uint8Array(strings(garbage, garbage.subarray(3)));
        expect(accepted(() => checker.check(request([tensor('S', [1, 2], { dataType: 'BYTES', bytes })])))).toBe(
          elementsOf(bytes) === 2,
        );
      }),
    );
  });
});

/** NaN where the lengths do not add up. */
function elementsOf(bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  if (bytes.length < 4) return Number.NaN;
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return end > bytes.length ? Number.NaN : 1 + elementsOf(bytes.subarray(end));
}

function accepted(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
