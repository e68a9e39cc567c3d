/**
 * A model's configuration as it was written: protobuf text (config.pbtxt) or JSON (a load call), both read against
 * `proto/triton/model_config.proto`. Either means what it says or is refused, naming the source, the line and the field.
 */
import type protobuf from 'protobufjs';
import protojson from 'protobufjs/ext/protojson.js';
import textformat from 'protobufjs/ext/textformat.js';
import { OperatingError } from '../contract/index.js';
import { linesOfFields } from './config-lines.js';
import { protoType } from './proto-type.js';

export interface RawTensor {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
  readonly reshape?: { readonly shape: readonly number[] } | null;
  /** Inputs only. */
  readonly format?: string;
  readonly optional?: boolean;
}

export interface RawQueuePolicy {
  readonly timeout_action: 'REJECT' | 'DELAY';
  readonly default_timeout_microseconds: number;
  readonly allow_timeout_override: boolean;
  readonly max_queue_size: number;
}

export interface RawDynamicBatching {
  readonly preferred_batch_size: readonly number[];
  readonly max_queue_delay_microseconds: number;
  readonly preserve_ordering: boolean;
  readonly priority_levels: number;
  readonly default_priority_level: number;
  readonly default_queue_policy: RawQueuePolicy | null;
  readonly priority_queue_policy: Readonly<Record<string, RawQueuePolicy>>;
}

export interface RawInstanceGroup {
  readonly name: string;
  readonly count: number;
  readonly kind: string;
  readonly gpus: readonly number[];
}

interface RawAccelerator {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface RawWarmUp {
  readonly name: string;
  readonly batch_size: number;
  readonly count: number;
  readonly inputs: Readonly<
    Record<
      string,
      {
        readonly data_type: string;
        readonly dims: readonly number[];
        readonly input_data_type?: 'zero_data' | 'random_data' | 'input_data_file';
        readonly input_data_file?: string;
      }
    >
  >;
}

interface RawStep {
  readonly model_name: string;
  readonly model_version: number;
  readonly input_map: Readonly<Record<string, string>>;
  readonly output_map: Readonly<Record<string, string>>;
}

/** Every field is there, with its default where the source does not have it; 64-bit numbers as numbers. */
export interface RawConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly version_policy: null | {
    readonly policy_choice?: 'latest' | 'all' | 'specific';
    readonly latest?: { readonly num_versions: number };
    readonly specific?: { readonly versions: readonly number[] };
  };
  readonly max_batch_size: number;
  readonly input: readonly RawTensor[];
  readonly output: readonly RawTensor[];
  readonly optimization: null | {
    readonly graph: { readonly level: number } | null;
    readonly execution_accelerators: {
      readonly gpu_execution_accelerator: readonly RawAccelerator[];
      readonly cpu_execution_accelerator: readonly RawAccelerator[];
    } | null;
  };
  readonly dynamic_batching?: RawDynamicBatching;
  readonly ensemble_scheduling?: { readonly step: readonly RawStep[] };
  readonly instance_group: readonly RawInstanceGroup[];
  readonly default_model_filename: string;
  readonly metric_tags: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>;
  readonly model_warmup: readonly RawWarmUp[];
  readonly response_cache: { readonly enable: boolean } | null;
}

/**
 * Makes the error of a field.
 * @param path such as `input[1].dims` or `parameters["route"]`; where its own line is unknown that of what holds it counts
 */
export type Refuse = (path: string, problem: string, code?: string) => OperatingError;

export interface ConfigSource {
  readonly raw: RawConfig;
  readonly refuse: Refuse;
  /** Whether the source has the field itself, be it with its default value. */
  has(field: string): boolean;
}

/**
 * @param file is named in errors
 * @throws OperatingError VK_MODEL_CONFIG (model owner)
 */
export function parseConfigText(text: string, file: string): ConfigSource {
  const type = configType();
  let message: protobuf.Message;
  try {
    message = textformat.fromText(type, text);
  } catch (error) {
    throw syntaxError(type, text, file, error as Error);
  }
  const lines = linesOfFields(text);
  return sourceOf(type, message, (path, problem, code) =>
    configError(`${file}:${lineOf(lines, path)}: ${shown(path)}: ${problem}`, code),
  );
}

/**
 * @param text a JSON object with field names in snake_case or camelCase
 * @throws OperatingError VK_MODEL_CONFIG (model owner)
 */
export function parseConfigJson(text: string, source: string): ConfigSource {
  const type = configType();
  let message: protobuf.Message;
  try {
    message = protojson.fromJson(type, JSON.parse(text));
  } catch (error) {
    throw configError(`${source}: ${(error as Error).message.replaceAll('.inference.', '')}`);
  }
  return sourceOf(type, message, (path, problem, code) => configError(`${source}: ${shown(path)}: ${problem}`, code));
}

/** The configuration of a model that has none. */
export function emptyConfig(source: string): ConfigSource {
  return parseConfigJson('{}', source);
}

/** The whole configuration as the protocol shows it; a message that is not set is left out. */
export function shownConfig(raw: RawConfig): Record<string, unknown> {
  const type = configType();
  return withoutNulls(type.toObject(type.fromObject(raw), PLAIN)) as Record<string, unknown>;
}

const PLAIN = { longs: Number, enums: String, defaults: true, arrays: true, objects: true } as const;

function sourceOf(type: protobuf.Type, message: protobuf.Message, refuse: Refuse): ConfigSource {
  const raw = type.toObject(message, { ...PLAIN, oneofs: true }) as RawConfig;
  refuseNotHonoured(raw, refuse);
  return { raw, refuse, has: (field) => Object.hasOwn(message, field) };
}

/** What /config shows and this engine does not act on: it may be said, as long as it says the default. */
const NOT_HONOURED: readonly (readonly string[])[] = [
  ['runtime'],
  ['batch_input'],
  ['batch_output'],
  ['cc_model_filenames'],
  ['input', 'is_shape_tensor'],
  ['input', 'allow_ragged_batch'],
  ['input', 'is_non_linear_format_io'],
  ['output', 'label_filename'],
  ['output', 'is_shape_tensor'],
  ['output', 'is_non_linear_format_io'],
  ['instance_group', 'profile'],
  ['instance_group', 'passive'],
  ['instance_group', 'secondary_devices'],
  ['instance_group', 'host_policy'],
  ['optimization', 'priority'],
  ['optimization', 'gather_kernel_buffer_threshold'],
  ['optimization', 'eager_batching'],
  ['ensemble_scheduling', 'max_inflight_responses'],
  ['ensemble_scheduling', 'step', 'model_namespace'],
  ['model_transaction_policy', 'decoupled'],
];

function refuseNotHonoured(raw: RawConfig, refuse: Refuse): void {
  const visit = (value: unknown, names: readonly string[], path: string): void => {
    if (Array.isArray(value) && names.length > 0) value.forEach((each, i) => void visit(each, names, `${path}[${i}]`));
    else if (names.length > 0) {
      const [name, ...rest] = names;
      const below = (value as Record<string, unknown> | null | undefined)?.[name];
      visit(below, rest, path === '' ? name : `${path}.${name}`);
    } else if (!isDefault(value)) throw refuse(path, 'is not supported');
  };
  for (const names of NOT_HONOURED) visit(raw, names, '');
}

function isDefault(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return !value || value === 'PRIORITY_DEFAULT';
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(kept.map(([key, each]) => [key, withoutNulls(each)]));
}

/** The line of the field, else of what it is in, else the first. */
function lineOf(lines: ReadonlyMap<string, number>, path: string): number {
  // A name without an index is the first of its name; keys of maps are in quotes and stay as they are.
  const indexed = path.replace(/"[^"]*"|(\w)(?=\.|$)/g, (all, last) => (last === undefined ? all : `${last}[0]`));
  for (let at = indexed; at !== ''; at = at.replace(/(^|\.)([^."]|"[^"]*")*$/, '')) {
    const line = lines.get(at);
    if (line !== undefined) return line;
  }
  return 1;
}

/** `dims` for `input[1].dims`, `route` for `parameters["route"]`: as it is written in the source. */
function shown(path: string): string {
  return path.replace(/^parameters\["(.*)"\]$/, '$1').replace(/\[\d+\]/g, '');
}

function syntaxError(type: protobuf.Type, text: string, file: string, error: Error): OperatingError {
  const lines = text.split('\n');
  const named = /^(.*) \(line (\d+)\)$/s.exec(error.message);
  const problem = (named?.[1] ?? error.message).replaceAll('.inference.', '');
  const line = named ? Number(named[2]) : lineOfError(type, lines, error.message);
  return configError(`${file}:${line}: ${problem} in '${(lines[line - 1] ?? '').trim()}'`);
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

function configError(problem: string, code = 'VK_MODEL_CONFIG'): OperatingError {
  return new OperatingError(code, code === 'VK_MODEL_PROVIDER' ? 'operator' : 'model owner', `${problem}.`);
}

function configType(): protobuf.Type {
  return protoType('triton/model_config.proto', 'inference.ModelConfig');
}
