/** `model_warmup` of a model configuration, with the files it names already read. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DATA_TYPES, type DataType, type TensorConfig, type WarmUp } from '../contract/index.js';
import { WARM_UP_BYTES_MAX, WARM_UP_RUNS_MAX } from './config-limits.js';
import type { RawConfig, RawWarmUp, Refuse } from './raw-config.js';
import { dataTypeOf } from './tensor-config.js';

/**
 * @param directory the model's; data files lie in its `warmup/`
 * @throws OperatingError naming the field
 */
export function readWarmUps(
  raw: RawConfig,
  inputs: readonly TensorConfig[],
  directory: string,
  refuse: Refuse,
): WarmUp[] {
  return raw.model_warmup.map((warmUp, i) => {
    const path = `model_warmup[${i}]`;
    const rowsMax = Math.max(1, raw.max_batch_size);
    const { name, batch_size: batchSize, count } = warmUp;
    if (batchSize < 1 || batchSize > rowsMax) {
      throw refuse(`${path}.batch_size`, `${batchSize} is not between 1 and ${rowsMax}`);
    }
    if (count > WARM_UP_RUNS_MAX) throw refuse(`${path}.count`, `${count} is more than ${WARM_UP_RUNS_MAX}`);
    for (const input of inputs) {
      if (!input.optional && !Object.hasOwn(warmUp.inputs, input.name)) {
        throw refuse(`${path}.inputs`, `input '${input.name}' is missing`);
      }
    }
    const tensors = Object.entries(warmUp.inputs).map(([input, data]) =>
      readInput(input, data, inputs, directory, (problem) => refuse(`${path}.inputs["${input}"]`, problem)),
    );
    return { name, batchSize, count: Math.max(1, count), inputs: tensors };
  });
}

function readInput(
  name: string,
  raw: RawWarmUp['inputs'][string],
  inputs: readonly TensorConfig[],
  directory: string,
  refuse: (problem: string) => Error,
): WarmUp['inputs'][number] {
  const config = inputs.find((input) => input.name === name);
  if (config === undefined) throw refuse(`the model has no input '${name}'`);
  const { dims: shape } = raw;
  const { dataType, dims } = config;
  if (dataTypeOf(raw.data_type) !== dataType) {
    throw refuse(`'${name}' is ${DATA_TYPES[dataType].config}, not ${raw.data_type}`);
  }
  const fits = shape.length === dims.length && shape.every((dim, i) => dim >= 0 && (dims[i] === -1 || dims[i] === dim));
  if (!fits) throw refuse(`dims [${shape}] do not fit the input's [${dims}]`);
  const elements = shape.reduce((product, dim) => product * dim, 1);
  if (elements * Math.max(4, DATA_TYPES[dataType].bytes) > WARM_UP_BYTES_MAX) {
    throw refuse(`[${shape}] is more than ${WARM_UP_BYTES_MAX} bytes`);
  }
  switch (raw.input_data_type) {
    case 'zero_data':
      return { name, dataType, shape, data: 'zero' };
    case 'random_data':
      return { name, dataType, shape, data: 'random' };
    case 'input_data_file':
      return {
        name,
        dataType,
        shape,
        data: readData(directory, raw.input_data_file ?? '', dataType, elements, refuse),
      };
    default:
      throw refuse('says neither zero_data nor random_data nor input_data_file');
  }
}

function readData(
  directory: string,
  name: string,
  dataType: DataType,
  elements: number,
  refuse: (problem: string) => Error,
): Uint8Array {
  if (name === '' || name === '.' || name === '..' || /[/\\]/.test(name)) {
    throw refuse(`input_data_file '${name}' is not the name of a file in warmup/`);
  }
  const file = join(directory, 'warmup', name);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw refuse(`${file} is missing`);
  if (size > WARM_UP_BYTES_MAX) throw refuse(`${file} is larger than ${WARM_UP_BYTES_MAX} bytes`);
  const data = readFileSync(file);
  const { bytes } = DATA_TYPES[dataType];
  if (bytes > 0 && data.length !== elements * bytes) {
    throw refuse(`${file} has ${data.length} bytes, not the ${elements * bytes} of the shape`);
  }
  if (bytes === 0 && countStrings(data) !== elements) {
    throw refuse(`${file} does not hold ${elements} elements, each behind its 4-byte length`);
  }
  return data;
}

/** −1 where the lengths do not add up. */
function countStrings(data: Buffer): number {
  let count = 0;
  let at = 0;
  for (; at + 4 <= data.length; count++) at += 4 + data.readUInt32LE(at);
  return at === data.length ? count : -1;
}
