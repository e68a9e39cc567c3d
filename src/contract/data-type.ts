/** Tensor element types by their KServe v2 names: size, name in config.pbtxt, and name in ONNX Runtime. */
export const DATA_TYPES = {
  BOOL: { bytes: 1, config: 'TYPE_BOOL', onnx: 'bool' },
  UINT8: { bytes: 1, config: 'TYPE_UINT8', onnx: 'uint8' },
  UINT16: { bytes: 2, config: 'TYPE_UINT16', onnx: 'uint16' },
  UINT32: { bytes: 4, config: 'TYPE_UINT32', onnx: 'uint32' },
  UINT64: { bytes: 8, config: 'TYPE_UINT64', onnx: 'uint64' },
  INT8: { bytes: 1, config: 'TYPE_INT8', onnx: 'int8' },
  INT16: { bytes: 2, config: 'TYPE_INT16', onnx: 'int16' },
  INT32: { bytes: 4, config: 'TYPE_INT32', onnx: 'int32' },
  INT64: { bytes: 8, config: 'TYPE_INT64', onnx: 'int64' },
  FP16: { bytes: 2, config: 'TYPE_FP16', onnx: 'float16' },
  FP32: { bytes: 4, config: 'TYPE_FP32', onnx: 'float32' },
  FP64: { bytes: 8, config: 'TYPE_FP64', onnx: 'float64' },
  /** 0 = of any size: each element is a 4-byte little-endian length and so many bytes. */
  BYTES: { bytes: 0, config: 'TYPE_STRING', onnx: 'string' },
  /** The JavaScript binding of ONNX Runtime has no such tensor; other backends carry it. */
  BF16: { bytes: 2, config: 'TYPE_BF16', onnx: '' },
} as const;

export type DataType = keyof typeof DATA_TYPES;

export function isDataType(name: string): name is DataType {
  return Object.hasOwn(DATA_TYPES, name);
}
