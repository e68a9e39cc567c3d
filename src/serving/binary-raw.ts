import type { ModelServer, Tensor } from '../contract/index.js';
import { DATA_TYPES } from '../contract/index.js';
import { invalid } from './http-errors.js';

/**
 * A raw binary request: the whole body is the model's only input, batch size 1, and the shape follows from the model and
 * the size. A BYTES input gets the body as its one element.
 *
 * @throws InferError where the model has several inputs, or the shape cannot be told
 */
export function rawInput(models: ModelServer, model: string, version: string, body: Uint8Array): Tensor {
  const { inputs } = models.metadata(model, version);
  if (inputs.length !== 1) {
    throw invalid(
      `Raw request must only have 1 input to be deduced but the model '${model}' has ${inputs.length} inputs`,
    );
  }
  const [{ name, datatype: dataType, shape: declared }] = inputs;
  const batched = isBatched(models, model, version);
  const shape = declared.map((dim, i) => (batched && i === 0 ? 1 : dim));
  const elementBytes = DATA_TYPES[dataType].bytes;
  const elements = elementBytes === 0 ? 1 : body.byteLength / elementBytes;
  const variable = shape.indexOf(-1);
  if (variable !== shape.lastIndexOf(-1)) {
    throw invalid(`The shape of the raw input '${name}' can not be deduced because it has several variable dimensions`);
  }
  if (variable !== -1) {
    const others = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
    shape[variable] = others === 0 ? 0 : elements / others;
  }
  const product = shape.reduce((all, dim) => all * dim, 1);
  if (!Number.isInteger(elements) || shape.some((dim) => !Number.isInteger(dim)) || product !== elements) {
    throw invalid(
      `The shape of the raw input '${name}' can not be deduced: ${body.byteLength} bytes of ${dataType} do not fill [${declared}]`,
    );
  }
  if (elementBytes > 0) return { name, dataType, shape, bytes: body };
  const bytes = Buffer.allocUnsafe(4 + body.byteLength);
  bytes.writeUInt32LE(body.byteLength);
  bytes.set(body, 4);
  return { name, dataType, shape, bytes };
}

/** Metadata shows the batch dimension as one more −1; only the configuration tells them apart. */
export function isBatched(models: ModelServer, model: string, version: string): boolean {
  return Number(models.config(model, version).max_batch_size ?? 0) > 0;
}
