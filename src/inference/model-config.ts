/**
 * config.pbtxt: Triton's model configuration in protobuf text format, read against our own
 * `proto/triton/model_config.proto`. A file either means what it says or is refused with file, line and field.
 */
import { existsSync, readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import textformat from 'protobufjs/ext/textformat.js';
import { OperatingError } from '../contract/index.js';
import { CANDIDATE_ROWS_MAX_DEFAULT, REQUEST_ROWS_MAX_DEFAULT, ROWS_MAX } from './limits.js';

interface TensorConfig {
  readonly name: string;
  /** Such as `TYPE_INT32`. */
  readonly dataType: string;
  /** −1 is a variable dimension. */
  readonly dims: readonly number[];
}

export type VersionPolicy =
  | { readonly kind: 'latest'; readonly count: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'specific'; readonly versions: readonly number[] };

export interface ModelConfig {
  /** '' when the file does not say. */
  readonly name: string;
  /** Rows of a batch; 0 = the dims are the whole shape. */
  readonly maxBatchSize: number;
  readonly inputs: readonly TensorConfig[];
  readonly outputs: readonly TensorConfig[];
  /** Sum over the instance groups; undefined when the file has none. */
  readonly instanceCount: number | undefined;
  readonly versionPolicy: VersionPolicy;
  readonly modelFileName: string;
  /** Undefined when the file does not turn dynamic batching on. */
  readonly dynamicBatching:
    | { readonly queueDelayUsMax: number; readonly preferredBatchSizes: readonly number[] }
    | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly hasWarmUp: boolean;
  /** Bounds of one batch: `max_batch_size`, else the parameters `candidate_rows_max` and `request_rows_max`. */
  readonly candidateRowsMax: number;
  readonly requestRowsMax: number;
}

/** @throws OperatingError VK_MODEL_CONFIG (model owner) */
export function readModelConfig(file: string): ModelConfig {
  return parseModelConfig(readFileSync(file, 'utf8'), file);
}

/**
 * @param file is named in errors
 * @throws OperatingError VK_MODEL_CONFIG (model owner)
 */
export function parseModelConfig(text: string, file: string): ModelConfig {
  const type = messageType();
  let raw: RawConfig;
  try {
    const message = textformat.fromText(type, text);
    raw = type.toObject(message, {
      longs: Number,
      enums: String,
      defaults: true,
      arrays: true,
      objects: true,
      oneofs: true,
    }) as RawConfig;
  } catch (error) {
    throw syntaxError(type, text, file, error as Error);
  }
  return interpret(raw, (field, problem) => {
    const line = text.split('\n').findIndex((content) => new RegExp(`\\b${field}\\b`).test(content)) + 1;
    return configError(file, line === 0 ? 1 : line, `${field}: ${problem}`);
  });
}

/** The message as protobufjs gives it, snake_case as in the file. */
interface RawConfig {
  name: string;
  platform: string;
  backend: string;
  version_policy: null | {
    policy_choice?: 'latest' | 'all' | 'specific';
    latest?: { num_versions: number };
    specific?: { versions: number[] };
  };
  max_batch_size: number;
  input: { name: string; data_type: string; dims: number[] }[];
  output: { name: string; data_type: string; dims: number[] }[];
  instance_group: { count: number; kind: string }[];
  default_model_filename: string;
  dynamic_batching?: { preferred_batch_size: number[]; max_queue_delay_microseconds: number };
  parameters: Record<string, { string_value: string }>;
  model_warmup: object[];
}

type Refuse = (field: string, problem: string) => OperatingError;

function interpret(raw: RawConfig, refuse: Refuse): ModelConfig {
  checkBackend(raw, refuse);
  if (raw.max_batch_size < 0 || raw.max_batch_size > ROWS_MAX) {
    throw refuse('max_batch_size', `${raw.max_batch_size} is not between 0 and ${ROWS_MAX}`);
  }
  const parameters = Object.fromEntries(
    Object.entries(raw.parameters).map(([key, value]) => [key, value.string_value]),
  );
  const rows = (key: string, fallback: number): number => {
    if (parameters[key] === undefined) return fallback;
    const value = Number(parameters[key]);
    if (Number.isInteger(value) && value >= 1 && value <= ROWS_MAX) return value;
    throw refuse(key, `'${parameters[key]}' is not an integer between 1 and ${ROWS_MAX}`);
  };
  const batching = raw.dynamic_batching;
  return {
    name: raw.name,
    maxBatchSize: raw.max_batch_size,
    inputs: tensors('input', raw.input, refuse),
    outputs: tensors('output', raw.output, refuse),
    instanceCount: instanceCount(raw, refuse),
    versionPolicy: versionPolicy(raw, refuse),
    modelFileName: modelFileName(raw.default_model_filename, refuse),
    dynamicBatching: batching && {
      queueDelayUsMax: batching.max_queue_delay_microseconds,
      preferredBatchSizes: batching.preferred_batch_size,
    },
    parameters,
    hasWarmUp: raw.model_warmup.length > 0,
    candidateRowsMax:
      raw.max_batch_size > 0 ? raw.max_batch_size : rows('candidate_rows_max', CANDIDATE_ROWS_MAX_DEFAULT),
    requestRowsMax: rows('request_rows_max', REQUEST_ROWS_MAX_DEFAULT),
  };
}

function checkBackend(raw: RawConfig, refuse: Refuse): void {
  if (raw.platform !== '' && raw.platform !== 'onnxruntime_onnx') {
    throw refuse('platform', `'${raw.platform}' is not supported; it must be 'onnxruntime_onnx'`);
  }
  if (raw.backend !== '' && raw.backend !== 'onnxruntime') {
    throw refuse('backend', `'${raw.backend}' is not supported; it must be 'onnxruntime'`);
  }
  if (raw.platform === '' && raw.backend === '') {
    throw refuse('backend', `missing; say backend: "onnxruntime" or platform: "onnxruntime_onnx"`);
  }
}

function tensors(field: 'input' | 'output', raw: RawConfig['input'], refuse: Refuse): TensorConfig[] {
  return raw.map(({ name, data_type: dataType, dims }) => {
    if (name === '') throw refuse(field, 'an entry has no name');
    if (dataType === 'TYPE_INVALID') throw refuse(field, `'${name}' has no data_type`);
    if (dims.length === 0) throw refuse(field, `'${name}' has no dims`);
    const bad = dims.find((dim) => dim < 1 && dim !== -1);
    if (bad !== undefined) throw refuse(field, `'${name}' has the dimension ${bad}; it must be -1 or positive`);
    return { name, dataType, dims };
  });
}

function instanceCount(raw: RawConfig, refuse: Refuse): number | undefined {
  if (raw.instance_group.length === 0) return undefined;
  let sum = 0;
  for (const { count, kind } of raw.instance_group) {
    if (kind === 'KIND_GPU') throw refuse('instance_group', 'KIND_GPU is not supported; models run on the CPU');
    if (count < 0) throw refuse('instance_group', `count ${count} is negative`);
    sum += Math.max(1, count);
  }
  return sum;
}

function versionPolicy(raw: RawConfig, refuse: Refuse): VersionPolicy {
  const policy = raw.version_policy;
  if (policy?.policy_choice === 'all') return { kind: 'all' };
  if (policy?.policy_choice === 'specific') {
    const versions = policy.specific?.versions ?? [];
    if (versions.length === 0) throw refuse('version_policy', 'specific names no version');
    return { kind: 'specific', versions };
  }
  return { kind: 'latest', count: Math.max(1, policy?.latest?.num_versions ?? 1) };
}

/** A bare file name: a configuration must not reach outside its version folder. */
function modelFileName(name: string, refuse: Refuse): string {
  if (name.includes('/') || name.includes('\\')) throw refuse('default_model_filename', `'${name}' is not a file name`);
  return name === '' ? 'model.onnx' : name;
}

function syntaxError(type: protobuf.Type, text: string, file: string, error: Error): OperatingError {
  const lines = text.split('\n');
  const named = /^(.*) \(line (\d+)\)$/s.exec(error.message);
  const problem = (named?.[1] ?? error.message).replaceAll('.inference.', '');
  const line = named ? Number(named[2]) : lineOfError(type, lines, error.message);
  return configError(file, line, `${problem} in '${(lines[line - 1] ?? '').trim()}'`);
}

/** The parser names the line of a wrong token, not of a wrong value; the shortest prefix with the same error ends there. */
function lineOfError(type: protobuf.Type, lines: readonly string[], message: string): number {
  for (let count = 1; count < lines.length; count++) {
    try {
      textformat.fromText(type, lines.slice(0, count).join('\n'));
    } catch (error) {
      if ((error as Error).message === message) return count;
    }
  }
  return lines.length;
}

function configError(file: string, line: number, problem: string): OperatingError {
  return new OperatingError('VK_MODEL_CONFIG', 'model owner', `${file}:${line}: ${problem}.`);
}

let cachedType: protobuf.Type | null = null;

function messageType(): protobuf.Type {
  if (cachedType === null) {
    // proto/ lies beside src/ in the sources, and one level further up from dist/src/.
    const besideSources = new URL('../../proto/triton/model_config.proto', import.meta.url);
    const besideDist = new URL('../../../proto/triton/model_config.proto', import.meta.url);
    const text = readFileSync(existsSync(besideSources) ? besideSources : besideDist, 'utf8');
    cachedType = protobuf.parse(text, { keepCase: true }).root.lookupType('inference.ModelConfig');
  }
  return cachedType;
}
