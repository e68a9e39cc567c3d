import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../src/inference/model-config.js';

const FULL = `
name: "pctr"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  { name: "request_ids" data_type: TYPE_INT32 dims: [ -1, 3 ] },
  { name: "request_index" data_type: TYPE_INT32 dims: [ -1 ] }
]
output { name: "logit" data_type: TYPE_FP32 dims: -1 }
instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_AUTO } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 250 }
version_policy: { specific: { versions: [ 1, 3 ] } }
parameters { key: "candidate_rows_max" value { string_value: "512" } }
parameters { key: "owner" value: { string_value: "ads" } }
model_warmup { name: "zeros" batch_size: 1 inputs { key: "request_ids" value { data_type: TYPE_INT32 dims: 3 zero_data: true } } }
`;

describe('config.pbtxt', () => {
  it('is read whole', () => {
    expect(parseModelConfig(FULL, 'f')).toEqual({
      name: 'pctr',
      maxBatchSize: 0,
      inputs: [
        { name: 'request_ids', dataType: 'TYPE_INT32', dims: [-1, 3] },
        { name: 'request_index', dataType: 'TYPE_INT32', dims: [-1] },
      ],
      outputs: [{ name: 'logit', dataType: 'TYPE_FP32', dims: [-1] }],
      // A group without a count has one instance.
      instanceCount: 3,
      versionPolicy: { kind: 'specific', versions: [1, 3] },
      modelFileName: 'model.onnx',
      dynamicBatching: { preferredBatchSizes: [4, 8], queueDelayUsMax: 250 },
      parameters: { candidate_rows_max: '512', owner: 'ads' },
      hasWarmUp: true,
      candidateRowsMax: 512,
      requestRowsMax: 64,
    });
  });

  it('has safe defaults', () => {
    expect(parseModelConfig('backend: "onnxruntime"', 'f')).toMatchObject({
      name: '',
      maxBatchSize: 0,
      instanceCount: undefined,
      versionPolicy: { kind: 'latest', count: 1 },
      dynamicBatching: undefined,
      hasWarmUp: false,
      candidateRowsMax: 2048,
      requestRowsMax: 64,
    });
  });

  it('bounds the candidate rows by max_batch_size where there is one', () => {
    expect(parseModelConfig('backend: "onnxruntime"\nmax_batch_size: 128', 'f').candidateRowsMax).toBe(128);
  });

  // Every line after the first is appended to a valid file; the message names file, line and field.
  const refused: [string, string, string][] = [
    ['an unknown field', 'nmae: "x"', `f:2: ModelConfig: unknown field 'nmae'`],
    ['an unknown nested field', 'input {\n  nam: "x"\n}', `f:3: ModelInput: unknown field 'nam'`],
    [
      'a field of Triton that is not honoured',
      'optimization { priority: PRIORITY_MAX }',
      `unknown field 'optimization'`,
    ],
    ['a word for a number', 'name: "x"\nmax_batch_size: many', `f:3: integer value expected in 'max_batch_size: many'`],
    [
      'an unknown data type',
      'input { name: "x"\ndata_type: TYPE_INT23 }',
      'f:3: ModelInput.data_type: enum value expected',
    ],
    ['a number out of range', 'max_batch_size: 99999999999', 'f:2: integer value out of range'],
    ['a missing brace', 'input {', `f:2: expected '}'`],
    ['a field twice', 'name: "a"\nname: "b"', 'f:3: ModelConfig.name: multiple values'],
    ['two version policies', 'version_policy { latest {} all {} }', 'f:2: policy_choice: multiple values'],
    ['an unterminated string', 'name: "a', 'f:2: unterminated string'],
    ['another platform', 'platform: "tensorflow_graphdef"', `f:2: platform: 'tensorflow_graphdef' is not supported`],
    ['a negative batch size', 'max_batch_size: -1', 'f:2: max_batch_size: -1 is not between 0 and'],
    ['an input without a type', 'input { name: "x" dims: 1 }', `f:2: input: 'x' has no data_type`],
    ['an input without dims', 'input { name: "x" data_type: TYPE_FP32 }', `f:2: input: 'x' has no dims`],
    ['a zero dimension', 'output { name: "x" data_type: TYPE_FP32 dims: 0 }', `f:2: output: 'x' has the dimension 0`],
    ['a GPU', 'instance_group { kind: KIND_GPU }', 'f:2: instance_group: KIND_GPU is not supported'],
    [
      'no rows',
      'parameters { key: "request_rows_max" value { string_value: "0" } }',
      `f:2: request_rows_max: '0' is not`,
    ],
    [
      'rows in words',
      'parameters { key: "candidate_rows_max"\nvalue { string_value: "lots" } }',
      'f:2: candidate_rows_max',
    ],
    ['a path out of the version', 'default_model_filename: "../m.onnx"', 'f:2: default_model_filename'],
    ['an empty list of versions', 'version_policy { specific {} }', 'f:2: version_policy: specific names no version'],
  ];
  it.each(refused)('refuses %s', (_, lines, message) => {
    const parse = () => parseModelConfig(`backend: "onnxruntime"\n${lines}`, 'f');
    expect(parse).toThrowError(message);
    expect(parse).toThrowError(expect.objectContaining({ code: 'VK_MODEL_CONFIG', fixedBy: 'model owner' }));
  });

  it('refuses a file that names no backend', () => {
    expect(() => parseModelConfig('name: "x"', 'f')).toThrowError('f:1: backend: missing');
  });
});
