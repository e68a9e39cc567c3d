/** Inputs and outputs of a model configuration: read, completed from the graph, and compared with it. */
import { DATA_TYPES, type DataType, type TensorConfig } from '../contract/index.js';
import type { GraphTensor, OnnxGraph } from './onnx-graph.js';
import type { RawConfig, RawTensor, Refuse } from './raw-config.js';
import { RANK_MAX } from './tensor-slab.js';

type Kind = 'input' | 'output';

const DATA_TYPE_BY_CONFIG = new Map(
  (Object.keys(DATA_TYPES) as DataType[]).map((name) => [DATA_TYPES[name].config as string, name]),
);

/** Such as `TYPE_FP32` → `FP32`; undefined for `TYPE_INVALID`. */
export function dataTypeOf(config: string): DataType | undefined {
  return DATA_TYPE_BY_CONFIG.get(config);
}

/** @throws OperatingError naming the field */
export function readTensors(kind: Kind, raw: RawConfig, refuse: Refuse): TensorConfig[] {
  const names = new Set<string>();
  return raw[kind].map((tensor, i) => {
    const path = `${kind}[${i}]`;
    if (tensor.name === '') throw refuse(path, 'an entry has no name');
    if (names.has(tensor.name)) throw refuse(`${path}.name`, `'${tensor.name}' is there twice`);
    names.add(tensor.name);
    return readTensor(tensor, path, refuse);
  });
}

function readTensor(tensor: RawTensor, path: string, refuse: Refuse): TensorConfig {
  const { name, dims, format = 'FORMAT_NONE', optional = false } = tensor;
  const dataType = dataTypeOf(tensor.data_type);
  if (dataType === undefined) throw refuse(path, `'${name}' has no data_type`);
  if (dims.length === 0) throw refuse(path, `'${name}' has no dims`);
  checkDims(name, dims, 'dimension', `${path}.dims`, refuse);
  // One is kept for the batch's dimension.
  if (Math.max(dims.length, tensor.reshape?.shape.length ?? 0) >= RANK_MAX) {
    throw refuse(`${path}.dims`, `'${name}' has more than ${RANK_MAX - 1} dimensions`);
  }
  if (format !== 'FORMAT_NONE' && dims.length !== 3) {
    throw refuse(`${path}.format`, `'${name}' has ${dims.length} dims; ${format} has three`);
  }
  const reshape = tensor.reshape?.shape;
  if (reshape !== undefined) {
    checkDims(name, reshape, 'reshape dimension', `${path}.reshape`, refuse);
    if (!sameElements(dims, reshape)) {
      throw refuse(`${path}.reshape`, `'${name}' has other elements in [${reshape}] than in [${dims}]`);
    }
  }
  return { name, dataType, dims, reshape, optional };
}

function checkDims(name: string, dims: readonly number[], what: string, path: string, refuse: Refuse): void {
  const bad = dims.find((dim) => dim < 1 && dim !== -1);
  if (bad !== undefined) throw refuse(path, `'${name}' has the ${what} ${bad}; it must be -1 or positive`);
}

/** As many variable dimensions, and as many elements before, between and behind them. */
function sameElements(a: readonly number[], b: readonly number[]): boolean {
  const parts = (dims: readonly number[]) => {
    const products = [1];
    for (const dim of dims) {
      if (dim === -1) products.push(1);
      else products[products.length - 1] *= dim;
    }
    return products.join();
  };
  return parts(a) === parts(b);
}

/** What the file leaves out, taken from the graph; inputs, outputs and the batch size each as they are in Triton. */
export function completeFromGraph(raw: RawConfig, graph: OnnxGraph, mayDeriveBatching: boolean): RawConfig {
  const derivesBatching = mayDeriveBatching && raw.input.length + raw.output.length === 0 && canBatch(graph);
  const maxBatchSize = derivesBatching ? DERIVED_BATCH_SIZE : raw.max_batch_size;
  const complete = (given: readonly RawTensor[], tensors: readonly GraphTensor[]) =>
    given.length > 0 ? given : tensors.map((tensor) => tensorFromGraph(tensor, maxBatchSize > 0));
  const completed = {
    ...raw,
    max_batch_size: maxBatchSize,
    input: complete(raw.input, graph.inputs),
    output: complete(raw.output, graph.outputs),
  };
  if (!derivesBatching || raw.dynamic_batching || raw.ensemble_scheduling) return completed;
  return { ...completed, dynamic_batching: BATCHING_DEFAULT };
}

/** Triton's `default-max-batch-size`. */
const DERIVED_BATCH_SIZE = 4;

const BATCHING_DEFAULT = {
  preferred_batch_size: [],
  max_queue_delay_microseconds: 0,
  preserve_ordering: false,
  priority_levels: 0,
  default_priority_level: 0,
  default_queue_policy: null,
  priority_queue_policy: {},
};

/**
 * Every first dimension is variable. Inputs whose first dimensions have different names are not rows of one batch (a
 * two-scope ranker: its row index would point into another request's rows), so they are not merged unasked.
 */
function canBatch({ inputs, outputs }: OnnxGraph): boolean {
  const rows = new Set(inputs.map(({ rowsName }) => rowsName).filter((name) => name !== ''));
  return inputs.length > 0 && rows.size <= 1 && [...inputs, ...outputs].every(({ dims }) => dims?.[0] === -1);
}

/** A tensor without a dimension beside the batch's is [1] to clients: the protocol has no dims of rank 0. */
function tensorFromGraph({ name, dataType, dims = [] }: GraphTensor, batches: boolean): RawTensor {
  const own = batches ? dims.slice(1) : dims;
  const tensor = { name, data_type: dataType === undefined ? 'TYPE_INVALID' : DATA_TYPES[dataType].config };
  return own.length === 0 ? { ...tensor, dims: [1], reshape: { shape: [] } } : { ...tensor, dims: own };
}

/** @throws OperatingError naming the field that the graph contradicts */
export function checkAgainstGraph(
  kind: Kind,
  tensors: readonly TensorConfig[],
  graph: OnnxGraph,
  batches: boolean,
  refuse: Refuse,
): void {
  const inGraph = kind === 'input' ? graph.inputs : graph.outputs;
  tensors.forEach((tensor, i) => {
    const path = `${kind}[${i}]`;
    const found = inGraph.find(({ name }) => name === tensor.name);
    if (found === undefined) {
      const names = inGraph.map(({ name }) => `'${name}'`).join(', ') || 'none';
      throw refuse(`${path}.name`, `the graph has no ${kind} '${tensor.name}'; it has ${names}`);
    }
    checkTensor(tensor, found, batches, path, refuse);
    if (kind === 'input' && tensor.optional) {
      throw refuse(`${path}.optional`, `'${tensor.name}' is an input that ONNX Runtime cannot do without`);
    }
  });
  if (kind === 'output') return;
  const missing = inGraph.find(({ name }) => !tensors.some((tensor) => tensor.name === name));
  if (missing !== undefined) throw refuse(kind, `the graph's input '${missing.name}' is missing`);
}

function checkTensor(tensor: TensorConfig, found: GraphTensor, batches: boolean, path: string, refuse: Refuse): void {
  const { name, dataType, dims, reshape } = tensor;
  if (found.dataType === undefined) {
    throw refuse(path, `'${name}' is no tensor in the graph, or one of elements that the protocol cannot carry`);
  }
  if (found.dataType !== dataType) {
    const type = DATA_TYPES[found.dataType].config;
    throw refuse(`${path}.data_type`, `'${name}' is ${type} in the graph, not ${DATA_TYPES[dataType].config}`);
  }
  if (found.dims === undefined) return;
  const own = [...(batches ? [-1] : []), ...(reshape ?? dims)];
  // A variable dimension of the graph takes whatever the configuration allows; a fixed one must be said as it is.
  const fits = own.length === found.dims.length && found.dims.every((dim, i) => dim === -1 || dim === own[i]);
  if (fits) return;
  const batch = batches ? ', the first for the batch (max_batch_size > 0)' : '';
  const field = reshape === undefined ? 'dims' : 'reshape';
  throw refuse(`${path}.${field}`, `'${name}' is [${found.dims}] in the graph, not [${own}]${batch}`);
}
