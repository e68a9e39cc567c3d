import { type DataType, InferError } from '../contract/index.js';
import type { ContentsMessage, InferInputMessage, Int64 } from './grpc-messages.js';

interface ContentsField {
  readonly field: keyof ContentsMessage;
  /** Data types that travel in this field; errors name the first. */
  readonly types: readonly DataType[];
}

/** FP16 and BF16 are in none of them. */
const FIELDS: readonly ContentsField[] = [
  { field: 'bool_contents', types: ['BOOL'] },
  { field: 'int_contents', types: ['INT32', 'INT8', 'INT16'] },
  { field: 'int64_contents', types: ['INT64'] },
  { field: 'uint_contents', types: ['UINT32', 'UINT8', 'UINT16'] },
  { field: 'uint64_contents', types: ['UINT64'] },
  { field: 'fp32_contents', types: ['FP32'] },
  { field: 'fp64_contents', types: ['FP64'] },
  { field: 'bytes_contents', types: ['BYTES'] },
];

/**
 * Typed contents as tensor bytes. Elements wider than the data type keep their low bytes. No contents at all are an
 * empty tensor; whether that fits the shape is for the model server to say.
 *
 * @throws InferError INVALID_ARG for elements in the field of another data type, or in two fields
 */
export function contentsBytes(
  model: string,
  input: InferInputMessage,
  contents: ContentsMessage,
  dataType: DataType,
): Uint8Array {
  const where = `unexpected explicit tensor data for input tensor '${input.name}' for model '${model}'`;
  let bytes: Uint8Array | null = null;
  for (const { field, types } of FIELDS) {
    if (contents[field].length === 0) continue;
    if (bytes !== null) throw new InferError('INVALID_ARG', `${where}, binary data was already supplied.`);
    if (!types.includes(dataType)) {
      throw new InferError('INVALID_ARG', `${where} of type '${types[0]}', expected datatype '${dataType}'`);
    }
    bytes = elementBytes(dataType, contents);
  }
  return bytes ?? new Uint8Array(0);
}

/** Typed arrays have the byte order of the machine, which is little-endian wherever ONNX Runtime's binding runs. */
function elementBytes(dataType: DataType, contents: ContentsMessage): Uint8Array {
  switch (dataType) {
    case 'BOOL':
      return Uint8Array.from(contents.bool_contents, Number);
    case 'INT8':
      return bytesOf(Int8Array.from(contents.int_contents));
    case 'INT16':
      return bytesOf(Int16Array.from(contents.int_contents));
    case 'INT32':
      return bytesOf(Int32Array.from(contents.int_contents));
    case 'INT64':
      return int64Bytes(contents.int64_contents);
    case 'UINT8':
      return Uint8Array.from(contents.uint_contents);
    case 'UINT16':
      return bytesOf(Uint16Array.from(contents.uint_contents));
    case 'UINT32':
      return bytesOf(Uint32Array.from(contents.uint_contents));
    case 'UINT64':
      return int64Bytes(contents.uint64_contents);
    case 'FP32':
      return bytesOf(Float32Array.from(contents.fp32_contents));
    case 'FP64':
      return bytesOf(Float64Array.from(contents.fp64_contents));
    case 'BYTES':
      return stringBytes(contents.bytes_contents);
    default:
      throw new Error(`${dataType} has no typed contents`);
  }
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function int64Bytes(elements: readonly Int64[]): Uint8Array {
  const words = new Int32Array(elements.length * 2);
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i];
    // protobufjs gives numbers only where it found no package for 64-bit integers, and those would be inexact.
    if (typeof element === 'number') throw new Error('64-bit integers need the package long');
    words[i * 2] = element.low;
    words[i * 2 + 1] = element.high;
  }
  return bytesOf(words);
}

/** Each element behind its length: 4 bytes, little-endian. */
function stringBytes(elements: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const element of elements) length += 4 + element.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
  }
  return bytes;
}
