import type { InferResponse, ModelServer, Tensor } from '../contract/index.js';
import { isBatched } from './binary-raw.js';
import { dataJson } from './json-tensor.js';
import { classified } from './v2-classification.js';
import type { InferCall } from './v2-request.js';

/** A reply to an infer request: JSON, or JSON of `jsonBytes` bytes with the binary tensors behind it. */
export interface InferReply {
  readonly parts: readonly Uint8Array[];
  /** −1 = there is no binary tensor. */
  readonly jsonBytes: number;
}

/** Binary tensors are handed on as they are, in the order of the outputs. @throws InferError */
export function inferReply(models: ModelServer, call: InferCall, response: InferResponse): InferReply {
  const binaries: Uint8Array[] = [];
  let outputs = '';
  let binary = false;
  for (const output of response.outputs) {
    const wish = call.wishes.get(output.name) ?? call.otherwise;
    let tensor: Tensor = output;
    if (wish.classes > 0) {
      tensor = classified(output, wish.classes, isBatched(models, response.model, response.version));
    }
    const head = `{"name":${JSON.stringify(tensor.name)},"datatype":"${tensor.dataType}","shape":[${tensor.shape.join(',')}]`;
    if (outputs !== '') outputs += ',';
    if (wish.binary) {
      binary = true;
      if (tensor.bytes.byteLength > 0) binaries.push(tensor.bytes);
      outputs += `${head},"parameters":{"binary_data_size":${tensor.bytes.byteLength}}}`;
    } else {
      outputs += `${head},"data":${dataJson(tensor)}}`;
    }
  }
  const { id } = call.request;
  const idMember = id === '' ? '' : `"id":${JSON.stringify(id)},`;
  const names = `"model_name":${JSON.stringify(response.model)},"model_version":${JSON.stringify(response.version)}`;
  const json = Buffer.from(`{${idMember}${names},"outputs":[${outputs}]}`);
  return { parts: [json, ...binaries], jsonBytes: binary ? json.byteLength : -1 };
}
