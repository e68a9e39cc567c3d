import { DATA_TYPES, type DataType } from '../contract/index.js';
import { invalid } from './http-errors.js';
import { notFinite } from './json-document.js';

/**
 * A tensor's `data` member as little-endian bytes; nested as its shape or flat, as the protocol allows. The hosts we run
 * on are little-endian (so is every ONNX Runtime package for Node), hence typed arrays.
 *
 * Two things are laxer than Triton: `1.0` and `1` are one number in JavaScript, so an integer tensor takes both; and a
 * number outside its type's range is refused, where Triton wraps it.
 *
 * @param count elements by the shape
 * @returns null where an integer is not exact as a double: the caller reads the document again with `parseRewritten`
 * @throws InferError INVALID_ARG naming the input
 */
export function bytesOfData(name: string, dataType: DataType, count: number, data: unknown): Uint8Array | null {
  if (!Array.isArray(data)) throw invalid(`Unable to parse 'data' of input '${name}': it must be an array`);
  if (dataType === 'FP16' || dataType === 'BF16') {
    throw invalid(
      `receiving ${dataType} data via JSON is not supported. Please use the binary data format for input ${name}`,
    );
  }
  if (dataType === 'BYTES') return bytesOfStrings(name, count, data);
  const values: NumberSink =
    dataType === 'INT64' || dataType === 'UINT64'
      ? new WideSink(name, dataType, count)
      : numberSink(name, dataType, count);
  const used = flatten(name, data, values, 0, 0, count);
  if (used !== count) throw wrongCount(name, count, used);
  return values.inexact ? null : values.bytes;
}

/** Deeper than the rank of any tensor that is accepted. */
const DEPTH_MAX = 32;

/** @returns elements written so far; one more than `count` where there are more */
function flatten(
  name: string,
  data: readonly unknown[],
  sink: Sink,
  depth: number,
  used: number,
  count: number,
): number {
  if (depth >= DEPTH_MAX) throw invalid(`Unable to parse 'data' of input '${name}': nested too deep`);
  let at = used;
  for (const value of data) {
    if (Array.isArray(value)) at = flatten(name, value, sink, depth + 1, at, count);
    else if (at >= count) return count + 1;
    else sink.put(at++, value);
    if (at > count) return at;
  }
  return at;
}

function wrongCount(name: string, expected: number, got: number): Error {
  const found = got > expected ? 'more' : String(got);
  return invalid(
    `Unable to parse 'data' of input '${name}': Shape does not match true shape of 'data' field: expected ${expected} elements, got ${found}`,
  );
}

interface Sink {
  put(index: number, value: unknown): void;
}
interface NumberSink extends Sink {
  readonly bytes: Uint8Array;
  readonly inexact: boolean;
}

type NumberArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

const ARRAY_OF = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

type NarrowType = keyof typeof ARRAY_OF;

function numberSink(name: string, dataType: DataType, count: number): NumberSink {
  const narrow = dataType as NarrowType;
  const values: NumberArray = new ARRAY_OF[narrow](count);
  const bytes = new Uint8Array(values.buffer);
  const refuse = (value: unknown): Error => badValue(name, narrow, value);
  if (narrow === 'BOOL') {
    const put = (index: number, value: unknown): void => {
      if (typeof value !== 'boolean') throw refuse(value);
      values[index] = value ? 1 : 0;
    };
    return { bytes, inexact: false, put };
  }
  if (narrow === 'FP32' || narrow === 'FP64') {
    const put = (index: number, value: unknown): void => {
      const number = typeof value === 'string' ? notFinite(value) : value;
      if (typeof number !== 'number') throw refuse(value);
      values[index] = number;
      // A number became infinite on its way: 1e400 in the text, or 1e39 as FP32.
      if (number === value && !Number.isFinite(values[index])) throw refuse(value);
    };
    return { bytes, inexact: false, put };
  }
  const put = (index: number, value: unknown): void => {
    if (typeof value !== 'number') throw refuse(value);
    values[index] = value;
    // The element wraps and truncates, so whatever does not come back was not a value of the type.
    if (values[index] !== value) throw refuse(value);
  };
  return { bytes, inexact: false, put };
}

/** INT64 and UINT64: exact where a number is a safe integer, and from the digits where the document was rewritten. */
class WideSink implements NumberSink {
  inexact = false;
  readonly bytes: Uint8Array;
  private readonly values: BigInt64Array | BigUint64Array;

  constructor(
    private readonly name: string,
    private readonly dataType: 'INT64' | 'UINT64',
    count: number,
  ) {
    this.values = dataType === 'INT64' ? new BigInt64Array(count) : new BigUint64Array(count);
    this.bytes = new Uint8Array(this.values.buffer);
  }

  put(index: number, value: unknown): void {
    if (typeof value === 'string' && /^-?[0-9]{1,20}$/.test(value)) this.set(index, BigInt(value), value);
    else if (typeof value !== 'number' || !Number.isInteger(value)) throw badValue(this.name, this.dataType, value);
    else if (Number.isSafeInteger(value)) this.set(index, BigInt(value), value);
    else this.inexact = true;
  }

  private set(index: number, exact: bigint, value: unknown): void {
    this.values[index] = exact;
    if (this.values[index] !== exact) throw badValue(this.name, this.dataType, value);
  }
}

function badValue(name: string, dataType: DataType, value: unknown): Error {
  const text = String(JSON.stringify(value)).slice(0, 40);
  return invalid(`Unable to parse 'data' of input '${name}': ${text} is not a value of type ${dataType}`);
}

/** Each element behind its 4-byte length. Text is UTF-8; other bytes need the binary format. */
function bytesOfStrings(name: string, count: number, data: readonly unknown[]): Uint8Array {
  const strings: string[] = [];
  let size = 0;
  const sink: Sink = {
    put(_index, value) {
      if (typeof value !== 'string') throw badValue(name, 'BYTES', value);
      size += 4 + Buffer.byteLength(value);
      strings.push(value);
    },
  };
  const used = flatten(name, data, sink, 0, 0, count);
  if (used !== count) throw wrongCount(name, count, used);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const text of strings) {
    const length = bytes.write(text, at + 4);
    bytes.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return bytes;
}

/** Elements of a shape. @throws InferError where a dimension is not ≥ 0 or the product is past what memory can hold */
export function elementsOf(name: string, shape: readonly unknown[]): number {
  if (shape.length > DEPTH_MAX) throw invalid(`input '${name}' has more than ${DEPTH_MAX} dimensions`);
  let elements = 1;
  let empty = false;
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || (dim as number) < 0) {
      const text = String(JSON.stringify(dim)).slice(0, 40);
      throw invalid(`Unable to parse 'shape' of input '${name}': ${text} is not a dimension`);
    }
    if (dim === 0) empty = true;
    else elements *= dim as number;
    if (elements > ELEMENTS_MAX) throw invalid(`the shape of input '${name}' has more than ${ELEMENTS_MAX} elements`);
  }
  return empty ? 0 : elements;
}

/** More than any request body holds, and far below where products lose digits. */
const ELEMENTS_MAX = 2 ** 31 - 1;

/**
 * What an input's bytes must be by its shape and type.
 * @throws InferError INVALID_ARG naming the input
 */
export function checkBytes(name: string, model: string, dataType: DataType, count: number, bytes: Uint8Array): void {
  const size = DATA_TYPES[dataType].bytes;
  if (size > 0) {
    if (bytes.byteLength === size * count) return;
    throw invalid(
      `input byte size mismatch for input '${name}' for model '${model}'. Expected ${size * count}, got ${bytes.byteLength}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let found = 0;
  while (at < bytes.byteLength) {
    const left = bytes.byteLength - at;
    if (left < 4) {
      throw invalid(
        `incomplete string length indicator for inference input '${name}', expecting 4 bytes but only ${left} bytes available`,
      );
    }
    const length = view.getUint32(at, true);
    if (length > left - 4) {
      throw invalid(
        `incomplete string data for inference input '${name}', expecting string of length ${length} but only ${left - 4} bytes available`,
      );
    }
    at += 4 + length;
    found += 1;
  }
  if (found !== count) throw invalid(`expected ${count} string elements for inference input '${name}', got ${found}`);
}
