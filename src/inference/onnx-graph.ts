/** What goes into an ONNX graph and what comes out of it, read from the file without its nodes and weights. */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { type DataType, OperatingError } from '../contract/index.js';
import { protoType } from './proto-type.js';

export interface GraphTensor {
  readonly name: string;
  /** Undefined: a sequence, a map, or elements that no v2 data type names. */
  readonly dataType: DataType | undefined;
  /** −1 = variable; undefined = the file does not even say how many there are. */
  readonly dims: readonly number[] | undefined;
  /** The name of the first dimension, such as `batch`; '' = fixed, or variable without a name. */
  readonly rowsName: string;
}

export interface OnnxGraph {
  /** What a run must be fed: weights that old exporters list among the inputs are left out, as ONNX Runtime does. */
  readonly inputs: readonly GraphTensor[];
  readonly outputs: readonly GraphTensor[];
}

/** By the number that ONNX gives the element type. */
const ELEMENT_TYPES: Readonly<Record<number, DataType>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
};

/** Names that TensorFlow's exporter invents for dimensions it knows nothing about: two of them may be the same rows. */
const INVENTED_NAME = /^unk__\d+$/;

/** @throws OperatingError VK_MODEL_LOAD (model owner) */
export function readOnnxGraph(file: string): OnnxGraph {
  let raw: RawModel;
  try {
    const type = protoType('onnx/onnx.proto', 'onnx.ModelProto');
    const reader = protobuf.Reader.create(readFileSync(file));
    reader.discardUnknown = true;
    raw = type.toObject(type.decode(reader), { longs: Number, arrays: true }) as RawModel;
  } catch (cause) {
    throw notOnnx(file, (cause as Error).message, cause);
  }
  const { graph } = raw;
  if (graph === undefined || graph.output.length === 0) throw notOnnx(file, 'it has no graph with an output');
  const weights = new Set(graph.initializer.map(({ name }) => name));
  return {
    inputs: graph.input.filter(({ name }) => !weights.has(name)).map(tensorOf),
    outputs: graph.output.map(tensorOf),
  };
}

interface RawValue {
  readonly name?: string;
  readonly type?: {
    readonly tensor_type?: {
      readonly elem_type?: number;
      readonly shape?: { readonly dim: readonly { readonly dim_value?: number; readonly dim_param?: string }[] };
    };
  };
}

interface RawModel {
  readonly graph?: {
    readonly initializer: readonly { readonly name?: string }[];
    readonly input: readonly RawValue[];
    readonly output: readonly RawValue[];
  };
}

function tensorOf({ name = '', type }: RawValue): GraphTensor {
  const tensor = type?.tensor_type;
  const dims = tensor?.shape?.dim;
  const first = dims?.[0]?.dim_param ?? '';
  return {
    name,
    dataType: ELEMENT_TYPES[tensor?.elem_type ?? 0],
    dims: dims?.map(({ dim_value: value }) => (value === undefined || value < 0 ? -1 : value)),
    rowsName: INVENTED_NAME.test(first) ? '' : first,
  };
}

function notOnnx(file: string, reason: string, cause?: unknown): OperatingError {
  const message = `${file} is not an ONNX model: ${reason}.`;
  return new OperatingError('VK_MODEL_LOAD', 'model owner', message, [], { cause });
}
