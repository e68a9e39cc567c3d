import { DATA_TYPES, type DataType, type ExecutorBatch, type ModelConfig, type Tensor } from '../../contract/index.js';
import { decodeAnswer } from './remote-codec.js';

/** What a model's answers must look like: by output, the shape of the graph, −1 = variable, batch dimension included. */
export type AnswerShapes = ReadonlyMap<string, readonly number[]>;

export function answerShapes(config: ModelConfig): AnswerShapes {
  return new Map(
    config.outputs.map(({ name, dims, reshape }) => {
      const own = reshape ?? dims;
      return [name, config.maxBatchSize > 0 ? [-1, ...own] : own];
    }),
  );
}

/**
 * Turns the bytes that came back into the outputs of the batch, in its order; a tensor is passed on only when its type,
 * its rows, its other dimensions and its byte size are what the configuration says.
 *
 * @param rowsLeading whether the first dimension counts the rows of the batch
 * @returns a sentence about what is wrong with the answer, instead
 */
export function readAnswer(
  message: Uint8Array,
  batch: ExecutorBatch,
  shapes: AnswerShapes,
  rowsLeading: boolean,
): Tensor[] | string {
  let answer: ReturnType<typeof decodeAnswer>;
  try {
    answer = decodeAnswer(message);
  } catch {
    return 'the bytes are no ModelInferResponse';
  }
  if (answer.raw.length !== answer.outputs.length) {
    return `${answer.outputs.length} outputs but ${answer.raw.length} raw contents`;
  }
  const tensors: Tensor[] = [];
  for (const { name, dataType } of batch.outputs) {
    const index = answer.outputs.findIndex((output) => output.name === name);
    if (index === -1) return `output '${name}' is missing`;
    const found = answer.outputs[index];
    const bytes = answer.raw[index];
    if (found.dataType !== dataType) return `output '${name}' is ${found.dataType} instead of ${dataType}`;
    const expected = shapes.get(name) ?? [];
    if (!fits(found.shape, expected, rowsLeading ? batch.rows : -1)) {
      const wanted = rowsLeading ? [batch.rows, ...expected.slice(1)] : expected;
      return `output '${name}' has shape [${found.shape}] instead of [${wanted}]`;
    }
    if (!holds(bytes, dataType, found.shape)) {
      return `output '${name}' has ${bytes.length} bytes, which are no ${dataType} of shape [${found.shape}]`;
    }
    tensors.push({ name, dataType, shape: found.shape, bytes });
  }
  return tensors;
}

/** @param rows of the first dimension; −1 = as expected */
function fits(shape: readonly number[], expected: readonly number[], rows: number): boolean {
  if (shape.length !== expected.length) return false;
  return shape.every((dimension, i) => {
    const wanted = i === 0 && rows !== -1 ? rows : expected[i];
    return wanted === -1 ? dimension >= 0 : dimension === wanted;
  });
}

function holds(bytes: Uint8Array, dataType: DataType, shape: readonly number[]): boolean {
  const elements = shape.reduce((product, dimension) => product * dimension, 1);
  const elementBytes = DATA_TYPES[dataType].bytes;
  return elementBytes > 0 ? elements * elementBytes === bytes.length : elements === countBytesElements(bytes);
}

/** Elements of a BYTES tensor; −1 when the lengths do not add up. */
function countBytesElements(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  let at = 0;
  while (at + 4 <= bytes.length) {
    at += 4 + view.getUint32(at, true);
    count++;
  }
  return at === bytes.length ? count : -1;
}
