/** Requests for the demo ranker, seeded mixtures of the valid rows that the model ships, in every encoding of the protocol. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { mix32 } from '../../src/base/index.js';

export const MODEL = 'pctr_dlrm';
const REQUEST_INDEX = 'request_index';

interface Input {
  readonly name: string;
  readonly type: 'int32' | 'float32';
  readonly shape: readonly number[];
  readonly values: Int32Array | Float32Array;
}

/** One auction: one request row and its candidates. */
export type RankerRequest = readonly Input[];

interface ScoreVectors {
  readonly inputs: Record<string, { readonly shape: [number, number]; readonly values: readonly number[] }>;
}

interface FeatureFile {
  readonly tensors: readonly { name: string; scope: 'request' | 'candidate'; type: 'int32' | 'float32' }[];
}

export function rankerRequests(repository: string, count: number, candidates: number): RankerRequest[] {
  const directory = join(repository, MODEL);
  const read = (file: string) => JSON.parse(readFileSync(join(directory, file), 'utf8'));
  const { inputs } = read(join('1', 'score-vectors.json')) as ScoreVectors;
  const { tensors } = read('features.json') as FeatureFile;
  return Array.from({ length: count }, (_, request) => {
    const made: Input[] = tensors.map(({ name, scope, type }) => {
      const [rows, width] = inputs[name].shape;
      const taken = scope === 'request' ? 1 : candidates;
      const values = type === 'int32' ? new Int32Array(taken * width) : new Float32Array(taken * width);
      for (let i = 0; i < taken; i++) {
        const row = mix32(request * 4096 + i) % rows;
        values.set(inputs[name].values.slice(row * width, (row + 1) * width), i * width);
      }
      return { name, type, shape: [taken, width], values };
    });
    made.push({ name: REQUEST_INDEX, type: 'int32', shape: [candidates], values: new Int32Array(candidates) });
    return made;
  });
}

const DATATYPES = { int32: 'INT32', float32: 'FP32' } as const;

export interface HttpRequest {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** Tensors as bytes behind the JSON header, both ways. */
export function httpBinary(request: RankerRequest): HttpRequest {
  const header = JSON.stringify({
    inputs: request.map(({ name, type, shape, values }) => ({
      name,
      datatype: DATATYPES[type],
      shape,
      parameters: { binary_data_size: values.byteLength },
    })),
    parameters: { binary_data_output: true },
  });
  return {
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(Buffer.byteLength(header)),
    },
    body: Buffer.concat([Buffer.from(header), ...request.map(bytesOf)]),
  };
}

export function httpJson(request: RankerRequest): HttpRequest {
  const inputs = request.map(({ name, type, shape, values }) => ({
    name,
    datatype: DATATYPES[type],
    shape,
    data: Array.from(values),
  }));
  return { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ inputs })) };
}

/** An encoded ModelInferRequest, and the way back. */
export function grpcCodec() {
  const loaded = loadSync('grpc_service.proto', { includeDirs: ['proto/triton'], keepCase: true });
  const service = loaded['inference.GRPCInferenceService'] as ServiceDefinition;
  const { path, requestSerialize, responseDeserialize } = service.ModelInfer;
  return {
    path,
    encode: (request: RankerRequest): Buffer =>
      requestSerialize({
        model_name: MODEL,
        inputs: request.map(({ name, type, shape }) => ({ name, datatype: DATATYPES[type], shape })),
        raw_input_contents: request.map(bytesOf),
      }),
    /** The bytes of the first output. */
    decode: (response: Buffer): Buffer =>
      (responseDeserialize(response) as { raw_output_contents: Buffer[] }).raw_output_contents[0],
  };
}

function bytesOf({ values }: Input): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}
