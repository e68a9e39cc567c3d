import type { InferResponse, ModelServer } from '../contract/index.js';
import { isBatched } from './binary-raw.js';
import type { GrpcInferCall } from './grpc-infer-request.js';
import type { InferResponseMessage } from './grpc-messages.js';
import { classified } from './v2-classification.js';

/**
 * Tensors always go as raw bytes, which are handed on as they are: Triton's Python client decodes nothing else.
 * @throws InferError UNSUPPORTED where classes are wanted of a type without an order
 */
export function inferResponseMessage(
  models: ModelServer,
  { request, classes }: GrpcInferCall,
  response: InferResponse,
): InferResponseMessage {
  const outputs =
    classes === null
      ? response.outputs
      : response.outputs.map((output) => {
          const wanted = classes.get(output.name) ?? 0;
          return wanted === 0
            ? output
            : classified(output, wanted, isBatched(models, response.model, response.version));
        });
  return {
    model_name: response.model,
    model_version: response.version,
    id: request.id,
    outputs: outputs.map(({ name, dataType, shape }) => ({ name, datatype: dataType, shape })),
    raw_output_contents: outputs.map((output) => output.bytes),
  };
}
