import {
  type DataType,
  type InferRequest,
  isDataType,
  type ModelServer,
  type ParameterValue,
  type Tensor,
} from '../contract/index.js';
import { rawInput } from './binary-raw.js';
import { invalid } from './http-errors.js';
import { bytesOfData, checkBytes, elementsOf } from './json-data.js';
import { parseDocument, parseRewritten } from './json-document.js';

/** How one output is to be sent. */
export interface OutputWish {
  readonly binary: boolean;
  /** 0 = the tensor itself; else its so many largest values as text. */
  readonly classes: number;
}

/** An inference request, and what its answer has to look like. */
export interface InferCall {
  readonly request: InferRequest;
  /** By output; those that are not in it follow `otherwise`. */
  readonly wishes: ReadonlyMap<string, OutputWish>;
  readonly otherwise: OutputWish;
}

const NO_WISHES: ReadonlyMap<string, OutputWish> = new Map();
const AS_JSON: OutputWish = { binary: false, classes: 0 };
const AS_BINARY: OutputWish = { binary: true, classes: 0 };

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads the body of an infer request: JSON, or JSON with the binary tensors behind it (views, not copies), or one raw
 * tensor. Binary tensors cost no work per element; JSON ones are read once, and twice where they hold integers of more
 * than 15 digits.
 *
 * @param jsonLength the header `Inference-Header-Content-Length`; '' = the whole body is JSON
 * @throws InferError
 */
export function readInferCall(
  models: ModelServer,
  model: string,
  version: string,
  body: Uint8Array,
  jsonLength: string,
): InferCall {
  if (jsonLength === '0') {
    const inputs = [rawInput(models, model, version, body)];
    const request = { model, version, id: '', inputs, outputs: [], priority: 0, timeoutUs: 0, parameters: {} };
    return { request, wishes: NO_WISHES, otherwise: AS_BINARY };
  }
  const jsonBytes = jsonBytesOf(jsonLength, body.byteLength);
  const text = Buffer.from(body.buffer, body.byteOffset, jsonBytes).toString('utf8');
  const document = parseDocument(text);
  if (!isObject(document)) throw invalid('failed to parse the request JSON buffer: it must be an object');
  const inputs =
    readInputs(document, model, body, jsonBytes) ?? readInputs(parseRewritten(text) as Json, model, body, jsonBytes);
  if (inputs === null) throw new Error('a rewritten document has inexact integers');

  const { id } = document;
  if (id !== undefined && typeof id !== 'string') throw invalid("Unable to parse 'id': it must be a string");
  const settings = readSettings(document.parameters);
  const wishes = readOutputs(document.outputs, settings.binaryOutputs);
  const request: InferRequest = {
    model,
    version,
    id: id ?? '',
    inputs,
    outputs: [...wishes.keys()],
    priority: settings.priority,
    timeoutUs: settings.timeoutUs,
    parameters: settings.others,
  };
  return { request, wishes, otherwise: settings.binaryOutputs ? AS_BINARY : AS_JSON };
}

function jsonBytesOf(header: string, bodyBytes: number): number {
  if (header === '') return bodyBytes;
  const bytes = /^[0-9]{1,10}$/.test(header) ? Number(header) : -1;
  if (bytes < 0 || bytes > bodyBytes) {
    throw invalid(
      `Inference-Header-Content-Length must be an integer from 0 to the ${bodyBytes} bytes of the body, got '${header.slice(0, 20)}'`,
    );
  }
  return bytes;
}

/** @returns null where integers lost digits and the document has to be parsed again */
function readInputs(document: Json, model: string, body: Uint8Array, jsonBytes: number): Tensor[] | null {
  const list = document.inputs;
  if (!Array.isArray(list)) throw invalid("Unable to parse 'inputs': the request must have an array of that name");
  const inputs: Tensor[] = [];
  let offset = jsonBytes;
  for (const item of list) {
    if (!isObject(item)) throw invalid("Unable to parse 'inputs': each must be an object");
    const { name, datatype, shape, data } = item;
    if (typeof name !== 'string' || name === '') throw invalid("Unable to parse 'name' of an input");
    if (typeof datatype !== 'string' || !isDataType(datatype)) {
      throw invalid(`invalid datatype for input '${name}' for model '${model}'`);
    }
    if (!Array.isArray(shape)) throw invalid(`Unable to parse 'shape' of input '${name}'`);
    const count = elementsOf(name, shape);
    const size = binarySizeOf(name, item);
    let bytes: Uint8Array | null;
    if (size >= 0) {
      if (size > body.byteLength - offset) {
        throw invalid(
          `binary_data_size ${size} of input '${name}' exceeds the ${body.byteLength - offset} bytes left in the body`,
        );
      }
      bytes = body.subarray(offset, offset + size);
      offset += size;
      checkBytes(name, model, datatype, count, bytes);
    } else {
      bytes = dataOf(name, datatype, count, data, jsonBytes);
    }
    if (bytes === null) return null;
    inputs.push({ name, dataType: datatype, shape, bytes });
  }
  if (offset !== body.byteLength) throw invalid(`unexpected additional input data for model '${model}'`);
  return inputs;
}

function dataOf(name: string, dataType: DataType, count: number, data: unknown, jsonBytes: number): Uint8Array | null {
  // Two characters are the least that an element takes, so a shape larger than its document allocates nothing.
  if (count > jsonBytes) {
    throw invalid(`Unable to parse 'data' of input '${name}': Shape does not match true shape of 'data' field`);
  }
  return bytesOfData(name, dataType, count, data);
}

const ONE_OF = "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters'";

/** @returns −1 where the data is in the JSON */
function binarySizeOf(name: string, item: Json): number {
  const { parameters } = item;
  const size = isObject(parameters) ? parameters.binary_data_size : undefined;
  if (isObject(parameters) && parameters.shared_memory_region !== undefined) {
    throw invalid(`shared memory is not supported: send the data of input '${name}' in the request`);
  }
  if (size === undefined) {
    if (item.data === undefined) throw invalid(`${ONE_OF}. But no field is set for input '${name}'`);
    return -1;
  }
  if (item.data !== undefined) throw invalid(`${ONE_OF}. But both are set for input '${name}'`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) {
    throw invalid(`Unable to parse 'binary_data_size' of input '${name}'`);
  }
  return size as number;
}

function readOutputs(list: unknown, binaryOutputs: boolean): ReadonlyMap<string, OutputWish> {
  if (list === undefined) return NO_WISHES;
  if (!Array.isArray(list)) throw invalid("Unable to parse 'outputs': it must be an array");
  const wishes = new Map<string, OutputWish>();
  for (const item of list) {
    const name = isObject(item) ? item.name : undefined;
    if (typeof name !== 'string' || name === '') throw invalid("Unable to parse 'name' of an output");
    const parameters: Json = isObject(item.parameters) ? item.parameters : {};
    const { binary_data: binary = binaryOutputs, classification: classes = 0 } = parameters;
    if (parameters.shared_memory_region !== undefined) {
      throw invalid(`shared memory is not supported: output '${name}' comes in the response`);
    }
    if (typeof binary !== 'boolean') throw invalid(`Unable to parse 'binary_data' of output '${name}'`);
    if (!Number.isSafeInteger(classes) || (classes as number) < 0) {
      throw invalid(`Unable to set 'classification' of output '${name}'`);
    }
    wishes.set(name, { binary, classes: classes as number });
  }
  return wishes;
}

interface Settings {
  priority: number;
  timeoutUs: number;
  binaryOutputs: boolean;
  readonly others: Record<string, ParameterValue>;
}

function readSettings(parameters: unknown): Settings {
  const settings: Settings = { priority: 0, timeoutUs: 0, binaryOutputs: false, others: {} };
  if (parameters === undefined) return settings;
  if (!isObject(parameters)) throw invalid("Unable to parse 'parameters': it must be an object");
  for (const [key, value] of Object.entries(parameters)) {
    if (key === 'priority') settings.priority = wholeNumber(key, value);
    else if (key === 'timeout') settings.timeoutUs = wholeNumber(key, value);
    else if (key === 'binary_data_output' || key === 'sequence_start' || key === 'sequence_end') {
      if (typeof value !== 'boolean') throw invalid(`Unable to parse '${key}'`);
      if (key === 'binary_data_output') settings.binaryOutputs = value;
      else settings.others[key] = value;
    } else if (key.startsWith('triton_')) {
      throw invalid(
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.",
      );
    } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      // Not by assignment, which `__proto__` would turn into something else.
      Object.defineProperty(settings.others, key, { value, enumerable: true });
    } else {
      throw invalid(`parameter '${key}' has invalid type. It should be either 'int', 'bool', or 'string'.`);
    }
  }
  return settings;
}

/** 64-bit on the wire; from 2⁵³ on it is one of Triton's ways to say "none", and no digit of it matters. */
function wholeNumber(key: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw invalid(`Unable to parse '${key}'`);
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
