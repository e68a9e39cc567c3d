import { DATA_TYPES, InferError, type Tensor } from '../contract/index.js';
import { aligned } from './json-tensor.js';

/**
 * The classification extension: for each row the `classesMax` largest values as strings `value:index`, largest first,
 * values with six decimals where they are floating point. (A third part, the label, needs files we do not read.)
 *
 * @param batched the first dimension counts rows; else the whole tensor is one row
 * @throws InferError UNSUPPORTED for types without an order
 */
export function classified(tensor: Tensor, classesMax: number, batched: boolean): Tensor {
  const rows = batched && tensor.shape.length > 0 ? tensor.shape[0] : 0;
  const values = numbersOf(tensor);
  const rowSize = rows > 0 ? values.length / rows : values.length;
  const classes = Math.min(classesMax, rowSize);
  const textOf = tensor.dataType === 'FP32' || tensor.dataType === 'FP64' ? realText : String;
  const parts: Buffer[] = [];
  for (let row = 0; row < Math.max(1, rows); row++) {
    const first = row * rowSize;
    const order = Array.from({ length: rowSize }, (_, i) => i);
    order.sort((a, b) => descending(values[first + a], values[first + b]));
    for (const index of order.slice(0, classes)) {
      const text = Buffer.from(`${textOf(values[first + index] as number)}:${index}`);
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32LE(text.byteLength);
      parts.push(length, text);
    }
  }
  const shape = rows > 0 ? [rows, classes] : [classes];
  return { name: tensor.name, dataType: 'BYTES', shape, bytes: Buffer.concat(parts) };
}

const NUMBERS = {
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

function numbersOf(tensor: Tensor): ArrayLike<number | bigint> {
  const { dataType } = tensor;
  if (dataType in NUMBERS) {
    const array = NUMBERS[dataType as keyof typeof NUMBERS];
    if (tensor.bytes.byteLength % DATA_TYPES[dataType].bytes === 0) return new array(...aligned(tensor));
  }
  throw new InferError(
    'UNSUPPORTED',
    `class result not available for output '${tensor.name}' due to unsupported type '${dataType}'`,
  );
}

/** Not-a-number goes last. */
function descending(a: number | bigint, b: number | bigint): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  if (a === b) return 0;
  return a > b ? -1 : 1;
}

function realText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`;
}
