import { InferError, type InferRequest, isDataType, type ParameterValue, type Tensor } from '../contract/index.js';
import { contentsBytes } from './grpc-contents.js';
import type {
  InferInputMessage,
  InferParameterMessage,
  InferParameters,
  InferRequestMessage,
  Int64,
} from './grpc-messages.js';

/** An inference request, and what its answer has to look like. */
export interface GrpcInferCall {
  readonly request: InferRequest;
  /** By output: how many of its largest values are wanted as text in place of the tensor; null = none of any. */
  readonly classes: ReadonlyMap<string, number> | null;
}

/**
 * Checks what is the protocol's; names, shapes, types and sizes are the model's and are checked behind `ModelServer`.
 * Raw tensors stay views into the message.
 *
 * @throws InferError INVALID_ARG; UNSUPPORTED for shared memory
 */
export function readInferCall(message: InferRequestMessage): GrpcInferCall {
  const parameters = readParameters(message.parameters);
  let classes: Map<string, number> | null = null;
  for (const output of message.outputs) {
    const wanted = readClasses(output.parameters);
    if (wanted > 0) classes = (classes ?? new Map<string, number>()).set(output.name, wanted);
  }
  const request = {
    model: message.model_name,
    version: message.model_version,
    id: message.id,
    inputs: readInputs(message),
    outputs: message.outputs.map((output) => output.name),
    ...parameters,
  };
  return { request, classes };
}

function readInputs(message: InferRequestMessage): Tensor[] {
  const { model_name: model, inputs, raw_input_contents: raw } = message;
  if (raw.length > inputs.length) {
    throw invalid(`expected ${inputs.length} raw_input_contents but got ${raw.length} for model '${model}'`);
  }
  return inputs.map((input, index) => readInput(model, input, raw.length > 0, raw[index]));
}

/** @param isRaw the request has raw contents, for whichever input */
function readInput(model: string, input: InferInputMessage, isRaw: boolean, raw: Uint8Array | undefined): Tensor {
  const { name, datatype, contents } = input;
  refuseSharedMemory(input.parameters);
  if (!isDataType(datatype)) throw invalid(`unknown data-type '${datatype}' of input '${name}' for model '${model}'`);
  const shape = input.shape.map(toNumber);
  if (shape.some((dimension) => dimension < 0)) {
    throw invalid(`input '${name}' for model '${model}' has a negative dimension in its shape [${shape}]`);
  }
  if (contents != null && isRaw) {
    throw invalid(
      `contents field must not be specified when using raw_input_contents for '${name}' for model '${model}'`,
    );
  }
  const bytes = contents != null ? contentsBytes(model, input, contents, datatype) : raw;
  if (bytes === undefined) {
    throw invalid(`unable to find data for input tensor '${name}' for model '${model}' in request.`);
  }
  return { name, dataType: datatype, shape, bytes };
}

type RequestParameters = Pick<InferRequest, 'priority' | 'timeoutUs' | 'parameters'>;

const NO_PARAMETERS: RequestParameters = { priority: 0, timeoutUs: 0, parameters: {} };

function readParameters(messages: InferParameters): RequestParameters {
  const keys = Object.keys(messages);
  if (keys.length === 0) return NO_PARAMETERS;
  let priority = 0;
  let timeoutUs = 0;
  const others: [string, ParameterValue][] = [];
  for (const key of keys) {
    const message = messages[key];
    const expected = key.startsWith('triton_') ? reservedTypes(key) : (EXPECTED.get(key) ?? ANY);
    const choice = message.parameter_choice;
    if (choice === undefined || !expected.choices.includes(choice)) {
      throw invalid(`invalid value type for '${key}' parameter, expected ${expected.inWords}.`);
    }
    const value = parameterValue(message, choice);
    if (key === 'priority') priority = notNegative(key, value);
    else if (key === 'timeout') timeoutUs = notNegative(key, value);
    else if (key !== EMPTY_FINAL_RESPONSE) others.push([key, value]);
  }
  return { priority, timeoutUs, parameters: Object.fromEntries(others) };
}

type Choice = NonNullable<InferParameterMessage['parameter_choice']>;
interface Expected {
  readonly choices: readonly Choice[];
  readonly inWords: string;
}

const BOOL: Expected = { choices: ['bool_param'], inWords: 'bool_param' };
const ANY: Expected = {
  choices: ['int64_param', 'bool_param', 'string_param', 'double_param'],
  inWords: 'int64_param, bool_param, or string_param',
};
const EXPECTED: ReadonlyMap<string, Expected> = new Map([
  ['sequence_id', { choices: ['int64_param', 'string_param'], inWords: 'int64_param or string_param' }],
  ['sequence_start', BOOL],
  ['sequence_end', BOOL],
  ['priority', { choices: ['int64_param', 'uint64_param'], inWords: 'int64_param or uint64_param' }],
  ['timeout', { choices: ['int64_param'], inWords: 'int64_param' }],
]);

/** Asks for an empty last response of a model with several; a model of ours has one, which says that it is the last. */
const EMPTY_FINAL_RESPONSE = 'triton_enable_empty_final_response';

function reservedTypes(key: string): Expected {
  if (key === EMPTY_FINAL_RESPONSE) return BOOL;
  throw invalid(
    "parameter keys starting with 'triton_' are reserved for Triton usage. " +
      `Only the following keys starting with 'triton_' are allowed: ${EMPTY_FINAL_RESPONSE}`,
  );
}

function parameterValue(message: InferParameterMessage, choice: Choice): ParameterValue {
  const value = message[choice];
  if (typeof value !== 'object') return value;
  const number = value.toNumber();
  // Sequence ids may use all 64 bits.
  return Number.isSafeInteger(number) ? number : value.toString();
}

function notNegative(key: string, value: ParameterValue): number {
  const number = Number(value);
  if (number < 0) throw invalid(`invalid value for '${key}', expected value >= 0.`);
  // From 2⁵³ on it is one of Triton's ways to say "none", and no digit of it matters.
  return Math.min(number, Number.MAX_SAFE_INTEGER);
}

/** @returns 0 = the tensor itself */
function readClasses(parameters: InferParameters): number {
  refuseSharedMemory(parameters);
  if (!Object.hasOwn(parameters, 'classification')) return 0;
  const message = parameters.classification;
  if (message.parameter_choice !== 'int64_param') {
    throw invalid("invalid value type for 'classification' parameter, expected int64_param");
  }
  const classes = toNumber(message.int64_param);
  if (classes <= 0) throw invalid("invalid value for 'classification' parameter, expected >= 0");
  return classes;
}

/** What would change where a tensor is cannot be passed over in silence. */
function refuseSharedMemory(parameters: InferParameters): void {
  for (const key of Object.keys(parameters)) {
    if (key.startsWith('shared_memory_')) {
      throw new InferError('UNSUPPORTED', 'shared memory is not supported: send tensors in the request');
    }
  }
}

const toNumber = (value: Int64): number => (typeof value === 'number' ? value : value.toNumber());
const invalid = (message: string): InferError => new InferError('INVALID_ARG', message);
