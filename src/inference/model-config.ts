/**
 * A model's configuration: what its owner wrote (see raw-config.ts), completed and checked. A configuration either means
 * what it says or is refused with source, line and field.
 */
import type { ModelConfig, TensorConfig, TwoScope } from '../contract/index.js';
import { INSTANCES_MAX } from './config-limits.js';
import { readEnsemble } from './ensemble-config.js';
import { CANDIDATE_ROWS_MAX_DEFAULT, REQUEST_ROWS_MAX_DEFAULT, ROWS_MAX } from './limits.js';
import { readParameters } from './model-parameters.js';
import type { OnnxGraph } from './onnx-graph.js';
import { readQueueSettings } from './queue-settings.js';
import { type ConfigSource, type RawConfig, type Refuse, shownConfig } from './raw-config.js';
import { readSessionSettings } from './session-settings.js';
import { checkAgainstGraph, completeFromGraph, readTensors } from './tensor-config.js';
import { readWarmUps } from './warm-up-data.js';

type Backend = ModelConfig['backend'];

/** By backend: the platform that goes with it. */
const PLATFORMS: Readonly<Record<Backend, string>> = {
  onnxruntime: 'onnxruntime_onnx',
  identity: 'identity',
  remote: 'remote',
  ensemble: 'ensemble',
};

/**
 * @param name the folder's
 * @param directory the model's, for the files that the configuration names
 * @param graph of the version; null unless the backend runs one
 * @throws OperatingError VK_MODEL_CONFIG (model owner); VK_MODEL_PROVIDER (operator)
 */
export function makeModelConfig(
  source: ConfigSource,
  name: string,
  directory: string,
  graph: OnnxGraph | null,
): ModelConfig {
  const { refuse } = source;
  if (source.raw.name !== '' && source.raw.name !== name) {
    throw refuse('name', `'${source.raw.name}' is not the folder's name '${name}'`);
  }
  const backend = backendOf(source);
  checkBatchSize(source.raw, refuse);
  const raw = graph === null ? source.raw : completeFromGraph(source.raw, graph, !source.has('max_batch_size'));
  const parameters = readParameters(raw, refuse);
  const inputs = readTensors('input', raw, refuse);
  const outputs = readTensors('output', raw, refuse);
  checkTensors(backend, raw, inputs, outputs, graph, refuse);
  if (backend === 'remote' && parameters.remote_endpoint === undefined) {
    throw refuse('parameters', 'remote_endpoint (host:port) is missing');
  }
  const twoScope = readTwoScope(parameters, raw, inputs, outputs, refuse);
  const maxBatchSize = raw.max_batch_size;
  return {
    name,
    platform: PLATFORMS[backend],
    backend,
    maxBatchSize,
    inputs,
    outputs,
    instanceCount: instanceCount(raw, refuse),
    queue: readQueueSettings(raw, parameters, refuse),
    session: readSessionSettings(raw, parameters, refuse),
    warmUps: readWarmUps(raw, inputs, directory, refuse),
    responseCache: raw.response_cache?.enable ?? false,
    ensemble: backend === 'ensemble' ? readEnsemble(raw, name, refuse) : [],
    twoScope,
    metricTags: raw.metric_tags,
    parameters,
    candidateRowsMax:
      maxBatchSize > 0 ? maxBatchSize : Number(parameters.candidate_rows_max ?? CANDIDATE_ROWS_MAX_DEFAULT),
    requestRowsMax: Number(parameters.request_rows_max ?? REQUEST_ROWS_MAX_DEFAULT),
    json: shownConfig(withDefaults(raw, name, backend)),
  };
}

/** @throws OperatingError for one that is unknown, and for a platform and a backend that contradict each other */
export function backendOf({ raw, refuse }: ConfigSource): Backend {
  const { platform, backend } = raw;
  const known = Object.keys(PLATFORMS) as Backend[];
  const byPlatform = known.find((each) => PLATFORMS[each] === platform);
  const byBackend = known.find((each) => each === backend);
  if (platform !== '' && byPlatform === undefined) {
    throw refuse(
      'platform',
      `'${platform}' is not supported; it must be one of ${Object.values(PLATFORMS).join(', ')}`,
    );
  }
  if (backend !== '' && byBackend === undefined) {
    throw refuse('backend', `'${backend}' is not supported; it must be one of ${known.join(', ')}`);
  }
  if (byPlatform !== undefined && byBackend !== undefined && byPlatform !== byBackend) {
    throw refuse('backend', `'${backend}' contradicts platform '${platform}'`);
  }
  const hasSteps = raw.ensemble_scheduling != null;
  const found = byBackend ?? byPlatform ?? (hasSteps ? 'ensemble' : 'onnxruntime');
  if (hasSteps && found !== 'ensemble') throw refuse('ensemble_scheduling', `does not go with '${found}'`);
  return found;
}

/** A bare file name: a configuration must not reach outside its version folder. */
export function modelFileName({ raw, refuse }: ConfigSource): string {
  const name = raw.default_model_filename;
  if (/[/\\]/.test(name) || name === '..') throw refuse('default_model_filename', `'${name}' is not a file name`);
  return name === '' ? 'model.onnx' : name;
}

function checkBatchSize({ max_batch_size: size }: RawConfig, refuse: Refuse): void {
  if (size < 0 || size > ROWS_MAX) throw refuse('max_batch_size', `${size} is not between 0 and ${ROWS_MAX}`);
}

function checkTensors(
  backend: Backend,
  raw: RawConfig,
  inputs: readonly TensorConfig[],
  outputs: readonly TensorConfig[],
  graph: OnnxGraph | null,
  refuse: Refuse,
): void {
  if (graph !== null) {
    checkAgainstGraph('input', inputs, graph, raw.max_batch_size > 0, refuse);
    checkAgainstGraph('output', outputs, graph, raw.max_batch_size > 0, refuse);
    return;
  }
  if (inputs.length === 0) throw refuse('input', `a model of backend '${backend}' must list its inputs`);
  if (outputs.length === 0) throw refuse('output', `a model of backend '${backend}' must list its outputs`);
  if (backend !== 'ensemble') return;
  if (raw.instance_group.length > 0) throw refuse('instance_group', 'an ensemble has no instances of its own');
  if (raw.model_warmup.length > 0) throw refuse('model_warmup', 'an ensemble is warm when its steps are');
}

function readTwoScope(
  parameters: Readonly<Record<string, string>>,
  raw: RawConfig,
  inputs: readonly TensorConfig[],
  outputs: readonly TensorConfig[],
  refuse: Refuse,
): TwoScope | undefined {
  const { request_index_input: requestIndexInput, request_inputs: list } = parameters;
  if (requestIndexInput === undefined && list === undefined) return undefined;
  if (requestIndexInput === undefined) throw refuse('parameters["request_inputs"]', 'needs request_index_input');
  if (list === undefined) throw refuse('parameters["request_index_input"]', 'needs request_inputs');
  if (raw.max_batch_size > 0)
    throw refuse('max_batch_size', 'must be 0 for a two-scope model: it has two kinds of rows');
  const index = inputs.find(({ name }) => name === requestIndexInput);
  if (index === undefined || index.dataType !== 'INT32' || index.dims.length !== 1) {
    throw refuse(
      'parameters["request_index_input"]',
      `'${requestIndexInput}' is not an input of TYPE_INT32, dims [ -1 ]`,
    );
  }
  const requestInputs = list.split(',').map((name) => name.trim());
  const unknown = requestInputs.find((name) => name === index.name || !inputs.some((input) => input.name === name));
  if (unknown !== undefined) throw refuse('parameters["request_inputs"]', `'${unknown}' is not an input with rows`);
  for (const { name, dims } of [...inputs, ...outputs]) {
    if (dims[0] !== -1) throw refuse('parameters["request_inputs"]', `'${name}' has a fixed first dimension, not rows`);
  }
  return { requestInputs, requestIndexInput };
}

function instanceCount(raw: RawConfig, refuse: Refuse): number | undefined {
  if (raw.instance_group.length === 0) return undefined;
  let sum = 0;
  raw.instance_group.forEach(({ count }, i) => {
    if (count < 0) throw refuse(`instance_group[${i}].count`, `${count} is negative`);
    sum += Math.max(1, count);
  });
  if (sum > INSTANCES_MAX) throw refuse('instance_group', `${sum} instances are more than ${INSTANCES_MAX}`);
  return sum;
}

/** As Triton fills in what a file leaves open. Without instance groups there are as many as the server has workers. */
function withDefaults(raw: RawConfig, name: string, backend: Backend): RawConfig {
  const onGpu = raw.optimization?.execution_accelerators?.gpu_execution_accelerator.length;
  const pinned = { input_pinned_memory: { enable: true }, output_pinned_memory: { enable: true } };
  return {
    ...raw,
    name,
    platform: PLATFORMS[backend],
    backend,
    version_policy: raw.version_policy ?? { latest: { num_versions: 1 } },
    default_model_filename: raw.default_model_filename || (backend === 'onnxruntime' ? 'model.onnx' : ''),
    optimization: { ...pinned, graph: null, execution_accelerators: null, ...withoutNull(raw.optimization) },
    instance_group: raw.instance_group.map((group, i) => ({
      ...group,
      name: group.name || `${name}_${i}`,
      kind: group.kind === 'KIND_AUTO' ? (onGpu ? 'KIND_GPU' : 'KIND_CPU') : group.kind,
      count: Math.max(1, group.count),
    })),
  };
}

function withoutNull<T extends object>(value: T | null): Partial<T> {
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, each]) => each !== null)) as Partial<T>;
}
