import { DATA_TYPES, InferError, type Tensor } from '../contract/index.js';
import { invalid } from './http-errors.js';

/**
 * A tensor's elements as the text of a flat JSON array. 64-bit integers have all their digits; floating-point numbers
 * always show a point, and those that JSON has no word for are written `NaN`, `Infinity`, `-Infinity`, all as Triton does.
 *
 * @throws InferError for FP16 and BF16, which go out binary only
 */
export function dataJson(tensor: Tensor): string {
  const { dataType, bytes } = tensor;
  switch (dataType) {
    case 'FP16':
    case 'BF16':
      throw invalid(
        `sending ${dataType} data via JSON is not supported. Please use the binary data format for output '${tensor.name}'`,
      );
    case 'BYTES':
      return listOf(stringsOf(tensor), JSON.stringify);
    case 'BOOL':
      return listOf(bytes, (value) => (value === 0 ? 'false' : 'true'));
    case 'FP32':
      return listOf(new Float32Array(...aligned(tensor)), realText);
    case 'FP64':
      return listOf(new Float64Array(...aligned(tensor)), realText);
    case 'INT64':
      return listOf(new BigInt64Array(...aligned(tensor)), String);
    case 'UINT64':
      return listOf(new BigUint64Array(...aligned(tensor)), String);
    default:
      return listOf(new INTEGERS[dataType](...aligned(tensor)), String);
  }
}

const INTEGERS = {
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
} as const;

function listOf<T>(values: ArrayLike<T>, textOf: (value: T) => string): string {
  let text = '[';
  for (let i = 0; i < values.length; i++) text += i === 0 ? textOf(values[i]) : `,${textOf(values[i])}`;
  return `${text}]`;
}

function realText(value: number): string {
  if (!Number.isInteger(value)) return String(value);
  if (Object.is(value, -0)) return '-0.0';
  return Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** What a typed array over the tensor takes; a copy where its bytes do not start at a multiple of the element's size. */
export function aligned(tensor: Tensor): [ArrayBuffer, number, number] {
  const size = DATA_TYPES[tensor.dataType].bytes;
  const { bytes } = tensor;
  const whole = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return [whole.buffer as ArrayBuffer, whole.byteOffset, Math.floor(bytes.byteLength / size)];
}

/** @throws InferError INTERNAL where the lengths do not add up: the model's fault */
function stringsOf(tensor: Tensor): string[] {
  const bytes = Buffer.from(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.byteLength);
  const strings: string[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const length = at + 4 <= bytes.byteLength ? bytes.readUInt32LE(at) : bytes.byteLength;
    if (at + 4 + length > bytes.byteLength) {
      throw new InferError('INTERNAL', `output tensor shape does not match size of output for '${tensor.name}'`);
    }
    strings.push(bytes.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return strings;
}
