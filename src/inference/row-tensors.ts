/** Batches of reserved rows as named tensors, for a model of the bid path that runs elsewhere. */
import { InferError, type ModelConfig, type ModelSignature, type Tensor, type TensorData } from '../contract/index.js';
import type { Slab } from './slab.js';

/** Copies: the slab is shared memory, which not every library takes. */
export function rowTensors(
  slab: Slab,
  signature: ModelSignature,
  config: ModelConfig,
  requestRows: number,
  candidateRows: number,
): Tensor[] {
  const tensors = signature.inputs.map(({ name, scope, type, width }, i): Tensor => {
    const rows = scope === 'request' ? requestRows : candidateRows;
    const dims = config.inputs.find((input) => input.name === name)?.dims.length ?? 2;
    const isFlat = (config.maxBatchSize > 0 ? dims + 1 : dims) === 1;
    return {
      name,
      dataType: type === 'int32' ? 'INT32' : 'FP32',
      shape: isFlat ? [rows] : [rows, width],
      bytes: bytesOf(slab.inputs[i], rows * width),
    };
  });
  if (signature.requestIndexInput === '') return tensors;
  const bytes = bytesOf(slab.requestIndex, candidateRows);
  return [...tensors, { name: signature.requestIndexInput, dataType: 'INT32', shape: [candidateRows], bytes }];
}

/**
 * Writes the scores that came back into the slab.
 * @throws InferError INTERNAL when there is not one FP32 score per candidate row
 */
export function takeScores(
  slab: Slab,
  signature: ModelSignature,
  candidateRows: number,
  outputs: readonly Tensor[],
): void {
  const scores = outputs.find((output) => output.name === signature.output);
  if (scores?.dataType !== 'FP32' || scores.bytes.byteLength !== candidateRows * 4) {
    throw new InferError('INTERNAL', `output '${signature.output}' is not ${candidateRows} FP32 scores`);
  }
  new Uint8Array(slab.scores.buffer, slab.scores.byteOffset, scores.bytes.byteLength).set(scores.bytes);
}

function bytesOf(values: TensorData, count: number): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, count * 4).slice();
}
