import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeModelConfig } from '../../src/inference/model-config.js';
import type { GraphTensor, OnnxGraph } from '../../src/inference/onnx-graph.js';
import { type ConfigSource, emptyConfig, parseConfigJson, parseConfigText } from '../../src/inference/raw-config.js';
import { readSessionSettings } from '../../src/inference/session-settings.js';

const tensor = (name: string, dims: number[], rowsName = '', dataType: GraphTensor['dataType'] = 'FP32') => ({
  name,
  dataType,
  dims,
  rowsName,
});
/** x [rows, 3] → y [rows]. */
const GRAPH: OnnxGraph = { inputs: [tensor('x', [-1, 3], 'rows')], outputs: [tensor('y', [-1], 'rows')] };
const TENSORS = `input { name: "x" data_type: TYPE_FP32 dims: 3 }
output { name: "y" data_type: TYPE_FP32 dims: 1 reshape { shape: [] } }
`;
const make = (source: ConfigSource, graph: OnnxGraph | null = GRAPH) => makeModelConfig(source, 'm', '', graph);
const read = (text: string, graph: OnnxGraph | null = GRAPH) => make(parseConfigText(text, 'f'), graph);
const BATCHING = `${TENSORS}max_batch_size: 8\n`;
const IDENTITY = `backend: "identity"
input { name: "x" data_type: TYPE_STRING dims: [ -1, 2 ] optional: true }
output { name: "y" data_type: TYPE_STRING dims: [ -1, 2 ] }
`;

describe('config.pbtxt', () => {
  it('is read whole', () => {
    const config = read(`# a comment, { with "everything" ] in it
name: 'm'; platform: "onnxruntime_onnx", backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x", data_type: TYPE_FP32, dims: [ 3, 1 ]; reshape: < shape: [ 3 ] > } ]
output { name: "y" data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } }
instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_CPU } ]
dynamic_batching {
  preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 250
  priority_levels: 3 default_priority_level: 2
  default_queue_policy { default_timeout_microseconds: 900 allow_timeout_override: true }
  priority_queue_policy { key: 1 value { timeout_action: DELAY max_queue_size: 5 } }
}
optimization { graph { level: 1 } }
parameters { key: "intra_op_thread_count" value { string_value: "4" } }
parameters { key: "execution_mode" value: { string_value: "1" } }
parameters { key: "queue_order" value: { string_value: "earliest_" "deadline_first" } }
parameters { key: "x_owner" value: { string_value: "ads" } }
model_warmup { name: "w" batch_size: 2 count: 3 inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 3, 1 ] random_data: true } } }
metric_tags { key: "team" value: "ads" }
response_cache { enable: true }`);
    const { json: _, ...rest } = config;
    const fallback = { timeoutAction: 'REJECT', defaultTimeoutUs: 900, allowTimeoutOverride: true, maxQueueSize: 0 };
    expect(rest).toEqual({
      name: 'm',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      maxBatchSize: 8,
      inputs: [{ name: 'x', dataType: 'FP32', dims: [3, 1], reshape: [3], optional: false }],
      outputs: [{ name: 'y', dataType: 'FP32', dims: [1], reshape: [], optional: false }],
      // A group without a count has one instance.
      instanceCount: 3,
      queue: {
        dynamicBatching: true,
        maxBatchSize: 8,
        preferredBatchSizes: [4, 8],
        maxQueueDelayUs: 250,
        preserveOrdering: false,
        priorityLevels: 3,
        defaultPriorityLevel: 2,
        policies: [
          { timeoutAction: 'DELAY', defaultTimeoutUs: 0, allowTimeoutOverride: false, maxQueueSize: 5 },
          fallback,
          fallback,
        ],
        order: 'earliest_deadline_first',
      },
      session: {
        providers: [{ name: 'cpu', options: {} }],
        graphOptimization: 'extended',
        intraOpThreads: 4,
        interOpThreads: 1,
        executionMode: 'parallel',
      },
      warmUps: [
        {
          name: 'w',
          batchSize: 2,
          count: 3,
          inputs: [{ name: 'x', dataType: 'FP32', shape: [3, 1], data: 'random' }],
        },
      ],
      responseCache: true,
      ensemble: [],
      twoScope: undefined,
      metricTags: { team: 'ads' },
      parameters: {
        intra_op_thread_count: '4',
        execution_mode: '1',
        queue_order: 'earliest_deadline_first',
        x_owner: 'ads',
      },
      candidateRowsMax: 8,
      requestRowsMax: 64,
    });
  });

  it('is derived from the graph where there is none', () => {
    const config = make(emptyConfig('f'));
    expect(config).toMatchObject({
      maxBatchSize: 4,
      inputs: [{ name: 'x', dataType: 'FP32', dims: [3], reshape: undefined }],
      outputs: [{ name: 'y', dims: [1], reshape: [] }],
      queue: { dynamicBatching: true, maxBatchSize: 4 },
    });
  });

  it.each<[string, Partial<OnnxGraph>]>([
    ['an output has a fixed first dimension', { outputs: [tensor('y', [1])] }],
    ['an output is a scalar', { outputs: [tensor('y', [])] }],
    ['two inputs have different rows', { inputs: [...GRAPH.inputs, tensor('i', [-1], 'other')] }],
  ])('derives no batching where %s', (_, part) => {
    const graph = { ...GRAPH, ...part };
    const config = make(emptyConfig('f'), graph);
    expect(config).toMatchObject({ maxBatchSize: 0, queue: { dynamicBatching: false } });
    expect(config.inputs.map(({ dims }) => dims)).toEqual(graph.inputs.map(({ dims }) => dims));
  });

  it.each([
    ['outputs', 'max_batch_size: 2\ninput { name: "x" data_type: TYPE_FP32 dims: 3 }', 2],
    ['inputs', 'output { name: "y" data_type: TYPE_FP32 dims: -1 }', 0],
    ['both, not the batch size', 'max_batch_size: 0', 0],
  ])('completes %s from the graph', (_, text, batch) => {
    const { maxBatchSize, inputs, outputs } = read(text);
    expect(maxBatchSize).toBe(batch);
    expect(inputs[0].dims).toEqual(batch > 0 ? [3] : [-1, 3]);
    expect(outputs[0].dims).toEqual(batch > 0 ? [1] : [-1]);
  });

  it('reads the two scopes of a ranker', () => {
    const graph = { ...GRAPH, inputs: [...GRAPH.inputs, tensor('r', [-1, 2]), tensor('i', [-1], '', 'INT32')] };
    const text = `max_batch_size: 0 dynamic_batching {}
parameters { key: "request_index_input" value { string_value: "i" } }
parameters { key: "request_inputs" value { string_value: "r" } }`;
    expect(read(text, graph).twoScope).toEqual({ requestInputs: ['r'], requestIndexInput: 'i' });
    expect(() => read(text.replace('"r"', '"q"'), graph)).toThrowError(`f:3: request_inputs: 'q' is not an input`);
    expect(() => read(text.replace('"i"', '"r"'), graph)).toThrowError(`f:2: request_index_input: 'r' is not`);
  });

  // Every line is appended to a valid file; the message names file, line and field.
  const at = BATCHING.split('\n').length;
  const refused: [string, string, string][] = [
    ['an unknown field', 'nmae: "x"', `f:${at}: ModelConfig: unknown field 'nmae'`],
    ['an unknown nested field', 'input {\n  nam: "x"\n}', `f:${at + 1}: ModelInput: unknown field 'nam'`],
    ['a field that is not honoured', 'optimization {\n priority: PRIORITY_MAX }', `f:${at + 1}: optimization.priority`],
    ['a word for a number', 'instance_group { count: many }', `f:${at}: integer value expected in`],
    ['an unknown data type', 'input { name: "x"\ndata_type: TYPE_INT23 }', `f:${at + 1}: ModelInput.data_type: enum`],
    ['a number out of range', 'instance_group { count: 99999999999 }', `f:${at}: integer value out of range`],
    ['a missing brace', 'input {', `f:${at}: expected '}'`],
    ['a field twice', 'name: "m"\nname: "m"', `f:${at + 1}: ModelConfig.name: multiple values`],
    ['two version policies', 'version_policy { latest {} all {} }', `f:${at}: policy_choice: multiple values`],
    ['an unterminated string', 'name: "a', `f:${at}: unterminated string`],
    ['another name', 'name: "n"', `f:${at}: name: 'n' is not the folder's name 'm'`],
    ['another platform', 'platform: "tensorflow_graphdef"', `f:${at}: platform: 'tensorflow_graphdef' is not`],
    ['a contradiction', 'platform: "onnxruntime_onnx"\nbackend: "identity"', `f:${at + 1}: backend: 'identity' contra`],
    ['an input twice', 'input { name: "x" data_type: TYPE_FP32 dims: 3 }', `f:${at}: input.name: 'x' is there twice`],
    ['an input without a type', 'input { name: "z" dims: 1 }', `f:${at}: input: 'z' has no data_type`],
    [
      'more dimensions than the slab describes',
      'input { name: "z" data_type: TYPE_FP32 dims: [ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 ] }',
      `f:${at}: input.dims: 'z' has more than 11 dimensions`,
    ],
    ['an input without dims', 'input { name: "z" data_type: TYPE_FP32 }', `f:${at}: input: 'z' has no dims`],
    [
      'a zero',
      'output { name: "z" data_type: TYPE_FP32\ndims: 0 }',
      `f:${at + 1}: output.dims: 'z' has the dimension 0`,
    ],
    [
      'a reshape of other elements',
      'input { name: "z" data_type: TYPE_FP32 dims: [2, -1] reshape { shape: [-1, 2] } }',
      `f:${at}: input.reshape: 'z' has other elements in [-1,2] than in [2,-1]`,
    ],
    ['an image without rank 3', 'input { name: "z" data_type: TYPE_FP32 dims: 2 format: FORMAT_NCHW }', 'input.format'],
    [
      'a mistyped parameter',
      parameter('candidate_row_max', '1'),
      `f:${at}: candidate_row_max: unknown parameter; is it`,
    ],
    ['no rows', parameter('request_rows_max', '0'), `f:${at}: request_rows_max: '0' is not an integer between 1`],
    ['rows in words', parameter('candidate_rows_max', 'lots'), `f:${at}: candidate_rows_max: 'lots'`],
    ['an unknown order', parameter('queue_order', 'lifo'), `f:${at}: queue_order: 'lifo' is not 'fifo' or`],
    ['an order without a queue', parameter('queue_order', 'earliest_deadline_first'), 'needs dynamic_batching'],
    ['half a two-scope model', parameter('request_inputs', 'x'), `f:${at}: request_inputs: needs request_index_input`],
    [
      'a size above the maximum',
      batching('preferred_batch_size: 9'),
      `f:${at + 1}: dynamic_batching.preferred_batch_size`,
    ],
    ['a level out of range', batching('priority_levels: 2 default_priority_level: 3'), '3 is not between 1 and'],
    ['no default level', batching('priority_levels: 2'), `f:${at}: dynamic_batching.default_priority_level: 0 is not`],
    [
      'a policy for no level',
      batching('priority_levels: 1 default_priority_level: 1 priority_queue_policy { key: 2 }'),
      `f:${at + 1}: dynamic_batching.priority_queue_policy: level 2`,
    ],
    [
      'ordered levels',
      batching('priority_levels: 2 default_priority_level: 1\npreserve_ordering: true'),
      `f:${at + 2}: dynamic_batching.preserve_ordering`,
    ],
    [
      'a graph level',
      'optimization { graph {\nlevel: 3 } }',
      `f:${at + 1}: optimization.graph.level: 3 is not -1, 0, 1`,
    ],
    ['negative instances', 'instance_group { count: -1 }', `f:${at}: instance_group.count: -1 is negative`],
    ['steps beside a graph', 'backend: "onnxruntime" ensemble_scheduling {}', `f:${at}: ensemble_scheduling: does not`],
    [
      'a warm-up without inputs',
      'model_warmup { batch_size: 1 }',
      `f:${at}: model_warmup.inputs: input 'x' is missing`,
    ],
    [
      'a warm-up without rows',
      'model_warmup { name: "w" }',
      `f:${at}: model_warmup.batch_size: 0 is not between 1 and 8`,
    ],
    ['a warm-up of other dims', warmUp('TYPE_FP32 dims: 4 zero_data: true'), 'dims [4] do not fit'],
    ['a warm-up of another type', warmUp('TYPE_INT32 dims: 3 zero_data: true'), `'x' is TYPE_FP32, not TYPE_INT32`],
    ['a warm-up without data', warmUp('TYPE_FP32 dims: 3'), 'says neither zero_data'],
    ['a warm-up file outside', warmUp('TYPE_FP32 dims: 3 input_data_file: "../x"'), 'is not the name of a file'],
  ];
  it.each(refused)('refuses %s', (_, lines, message) => {
    const parse = () => read(`${BATCHING}${lines}`);
    expect(parse).toThrowError(message);
    expect(parse).toThrowError(expect.objectContaining({ code: 'VK_MODEL_CONFIG', fixedBy: 'model owner' }));
  });

  it.each<[string, string, string]>([
    ['another type', TENSORS.replace('TYPE_FP32', 'TYPE_FP64'), `f:1: input.data_type: 'x' is TYPE_FP32 in the graph`],
    ['another width', TENSORS.replace('dims: 3', 'dims: 4'), `f:1: input.dims: 'x' is [-1,3] in the graph, not [-1,4]`],
    [
      'an open width',
      TENSORS.replace('dims: 3', 'dims: -1'),
      `f:1: input.dims: 'x' is [-1,3] in the graph, not [-1,-1]`,
    ],
    ['a missing reshape', TENSORS.replace('reshape { shape: [] }', ''), `f:2: output.dims: 'y' is [-1] in the graph`],
    ['an input it lacks', TENSORS.replace('"x"', '"z"'), `f:1: input.name: the graph has no input 'z'; it has 'x'`],
    ['an output it lacks', TENSORS.replace('"y"', '"z"'), `f:2: output.name: the graph has no output 'z'`],
    ['an optional input', TENSORS.replace('dims: 3', 'dims: 3 optional: true'), 'f:1: input.optional'],
  ])('refuses what the graph contradicts: %s', (_, tensors, message) => {
    expect(() => read(`${tensors}max_batch_size: 8`)).toThrowError(message);
  });

  it('refuses an input that is left out, a fixed batch and an output that is no tensor', () => {
    const two = { ...GRAPH, inputs: [...GRAPH.inputs, tensor('z', [-1])] };
    expect(() => read(BATCHING, two)).toThrowError(`f:1: input: the graph's input 'z' is missing`);
    const fixed = { ...GRAPH, inputs: [tensor('x', [4, 3])] };
    expect(() => read(BATCHING, fixed)).toThrowError(`'x' is [4,3] in the graph, not [-1,3], the first for the batch`);
    const map = { ...GRAPH, outputs: [{ ...tensor('y', [-1]), dataType: undefined }] };
    expect(() => read(BATCHING, map)).toThrowError(`f:2: output: 'y' is no tensor in the graph`);
  });
});

function parameter(key: string, value: string): string {
  return `parameters { key: "${key}" value { string_value: "${value}" } }`;
}

function batching(fields: string): string {
  return `dynamic_batching {\n${fields} }`;
}

function warmUp(value: string): string {
  return `model_warmup { batch_size: 1 inputs { key: "x" value { data_type: ${value} } } }`;
}

describe('an ensemble', () => {
  const step = (model: string, input: string, output: string) =>
    `  step { model_name: "${model}" input_map { key: "a" value: "${input}" } output_map { key: "b" value: "${output}" } }\n`;
  const ensemble = (...steps: string[]) =>
    read(
      `platform: "ensemble"
input { name: "x" data_type: TYPE_FP32 dims: 1 }
output { name: "y" data_type: TYPE_FP32 dims: 1 }
ensemble_scheduling {\n${steps.join('')}}`,
      null,
    );

  it('has its steps with their maps', () => {
    expect(ensemble(step('p', 'x', 't'), step('q', 't', 'y')).ensemble).toEqual([
      { model: 'p', version: -1, inputMap: new Map([['a', 'x']]), outputMap: new Map([['b', 't']]) },
      { model: 'q', version: -1, inputMap: new Map([['a', 't']]), outputMap: new Map([['b', 'y']]) },
    ]);
  });

  it.each<[string, string[], string]>([
    ['has no step', [], 'f:4: ensemble_scheduling: an ensemble needs a step'],
    ['reads what nobody makes', [step('p', 'x', 'y'), step('q', 't', 'u')], `f:6: ensemble_scheduling.step.input_map`],
    ['makes a tensor twice', [step('p', 'x', 'y'), step('q', 'x', 'y')], `f:6: ensemble_scheduling.step.output_map`],
    ['does not make its output', [step('p', 'x', 't')], `f:3: output.name: no step makes 'y'`],
    ['does not read its input', [step('p', 't', 'y'), step('q', 'y', 't')], `f:2: input.name: no step reads 'x'`],
    [
      'goes in a circle',
      [step('p', 'x', 'y'), step('q', 't', 'u'), step('r', 'u', 't')],
      `f:6: ensemble_scheduling.step: step 'q' waits for its own output`,
    ],
    ['calls itself', [step('m', 'x', 'y')], 'f:5: ensemble_scheduling.step.model_name'],
  ])('is refused when it %s', (_, steps, message) => {
    expect(() => ensemble(...steps)).toThrowError(message);
  });
});

describe('other backends', () => {
  it('have their own parameters and must list their tensors', () => {
    expect(read(`${IDENTITY}${parameter('execute_delay_ms', '5')}`, null)).toMatchObject({
      backend: 'identity',
      platform: 'identity',
      inputs: [{ dataType: 'BYTES', optional: true }],
    });
    expect(() => read('backend: "identity"', null)).toThrowError('f:1: input: a model of backend');
    const remote = IDENTITY.replace('identity', 'remote');
    expect(() => read(remote, null)).toThrowError('remote_endpoint (host:port) is missing');
    expect(read(`${remote}${parameter('remote_endpoint', 'gpu:8001')}`, null).parameters).toEqual({
      remote_endpoint: 'gpu:8001',
    });
  });
});

describe('execution providers', () => {
  const none = () => 'needs a provider that is not there';
  const providers = (text: string, lack: (name: string) => string | null, parameters = {}) => {
    const { raw, refuse } = parseConfigText(text, 'f');
    return readSessionSettings(raw, parameters, refuse, lack).providers;
  };
  const gpu = 'instance_group { kind: KIND_GPU\ngpus: 1 }';
  const accelerated = 'optimization { execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }';

  it('come from the instance groups and the accelerators, without the CPU behind them', () => {
    expect(providers('', none)).toEqual([{ name: 'cpu', options: {} }]);
    expect(providers(gpu, () => null)).toEqual([{ name: 'cuda', options: { deviceId: 1 } }]);
    const names = (text: string) => providers(text, () => null).map(({ name }) => name);
    expect(names(accelerated)).toEqual(['tensorrt', 'cuda']);
    expect(names(accelerated.replace('tensorrt', 'webgpu'))).toEqual(['webgpu']);
  });

  it('refuse the model where they are missing, unless it may fall back', () => {
    const missing = expect.objectContaining({ code: 'VK_MODEL_PROVIDER', fixedBy: 'operator' });
    expect(() => providers(gpu, none)).toThrowError(missing);
    expect(() => providers(gpu, none)).toThrowError('f:1: instance_group.kind: needs a provider that is not there; or');
    const fallback = { cpu_fallback: 'true' };
    expect(providers(gpu, none, fallback).map(({ name }) => name)).toEqual(['cpu']);
    expect(providers(gpu, () => null, fallback).map(({ name }) => name)).toEqual(['cuda', 'cpu']);
  });

  it.each([
    [`${gpu} instance_group {\nkind: KIND_CPU }`, 'f:3: instance_group.kind: KIND_CPU cannot be mixed'],
    [`${gpu} instance_group { kind: KIND_GPU gpus: 0 }`, 'f:2: instance_group.gpus: must name one device'],
    [accelerated.replace('tensorrt', 'openvino'), `'openvino' is not one of cuda`],
    [accelerated.replace('"tensorrt"', '"cuda" parameters { key: "k" value: "v" }'), `'k' is not 'device_id'`],
    ['optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }', 'not supported'],
  ])('refuse %s', (text, message) => {
    expect(() => providers(text, () => null)).toThrowError(message);
  });

  it('name the library that this machine lacks', () => {
    const { raw, refuse } = parseConfigText('instance_group { kind: KIND_GPU }', 'f');
    const settings = () => readSessionSettings(raw, {}, refuse);
    try {
      // A machine that has the libraries has nothing to say.
      expect(settings().providers.map(({ name }) => name)).toEqual(['cuda']);
    } catch (error) {
      expect(error).toMatchObject({ code: 'VK_MODEL_PROVIDER' });
      expect(String(error)).toMatch(/provider 'cuda'/);
      expect(String(error)).toMatch(/parameter cpu_fallback "true"/);
    }
  });
});

describe('the configuration as the protocol shows it', () => {
  it('has every default, in snake_case, enums as strings', () => {
    expect(read(BATCHING).json).toEqual({
      name: 'm',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      runtime: '',
      version_policy: { latest: { num_versions: 1 } },
      max_batch_size: 8,
      input: [
        {
          name: 'x',
          data_type: 'TYPE_FP32',
          format: 'FORMAT_NONE',
          dims: [3],
          is_shape_tensor: false,
          allow_ragged_batch: false,
          optional: false,
          is_non_linear_format_io: false,
        },
      ],
      output: [
        {
          name: 'y',
          data_type: 'TYPE_FP32',
          dims: [1],
          reshape: { shape: [] },
          label_filename: '',
          is_shape_tensor: false,
          is_non_linear_format_io: false,
        },
      ],
      batch_input: [],
      batch_output: [],
      optimization: {
        priority: 'PRIORITY_DEFAULT',
        input_pinned_memory: { enable: true },
        output_pinned_memory: { enable: true },
        gather_kernel_buffer_threshold: 0,
        eager_batching: false,
      },
      instance_group: [],
      default_model_filename: 'model.onnx',
      cc_model_filenames: {},
      metric_tags: {},
      parameters: {},
      model_warmup: [],
    });
  });

  const anyConfig = fc.record({
    max_batch_size: fc.integer({ min: 1, max: 64 }),
    version_policy: fc.constantFrom({ all: {} }, { latest: { num_versions: 2 } }, { specific: { versions: [1, 3] } }),
    instance_group: fc.array(fc.record({ count: fc.integer({ min: 0, max: 9 }), kind: fc.constant('KIND_CPU') }), {
      maxLength: 3,
    }),
    dynamic_batching: fc.record({
      max_queue_delay_microseconds: fc.nat(),
      priority_levels: fc.constant(4),
      default_priority_level: fc.integer({ min: 1, max: 4 }),
      default_queue_policy: fc.record({ timeout_action: fc.constantFrom('REJECT', 'DELAY'), max_queue_size: fc.nat() }),
      priority_queue_policy: fc.dictionary(fc.constantFrom('1', '2', '4'), fc.record({ max_queue_size: fc.nat() })),
    }),
    metric_tags: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.stringMatching(/^[ -~]{0,8}$/)),
    response_cache: fc.record({ enable: fc.boolean() }),
  });

  it('means the same when it is loaded again', () => {
    fc.assert(
      fc.property(anyConfig, (some) => {
        const once = make(parseConfigJson(JSON.stringify(some), 'call'));
        expect(make(parseConfigJson(JSON.stringify(once.json), 'call'))).toEqual(once);
      }),
      { numRuns: 200 },
    );
  });

  it('is taken in camelCase as well, and refused by field', () => {
    expect(make(parseConfigJson('{"maxBatchSize":2,"dynamicBatching":{}}', 'call'))).toMatchObject({
      maxBatchSize: 2,
      queue: { dynamicBatching: true },
    });
    expect(() => parseConfigJson('{"max_batch":2}', 'call')).toThrowError(
      'call: ModelConfig: unknown field: "max_batch"',
    );
    expect(() => parseConfigJson('{', 'call')).toThrowError('call: ');
    expect(() => make(parseConfigJson('{"max_batch_size":-1}', 'call'))).toThrowError(
      'call: max_batch_size: -1 is not',
    );
  });
});
