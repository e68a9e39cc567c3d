/**
 * Makes the calls of Triton's Node gRPC example (client repository, src/grpc_generated/javascript/client.js) the way it
 * does: definitions by proto-loader with its options, int contents in, raw contents out. Takes host and port; exits 1 on
 * the first wrong answer.
 */
import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const [host, port] = process.argv.slice(2);
const protos = new URL('../../proto/triton/', import.meta.url).pathname;
const definition = loadSync(`${protos}grpc_service.proto`, {
  includeDirs: [protos],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { GRPCInferenceService } = loadPackageDefinition(definition).inference;
const client = new GRPCInferenceService(`${host}:${port}`, credentials.createInsecure());
const call = (method, request) => promisify(client[method]).call(client, request);

assert.equal((await call('serverLive', {})).live, true);
assert.equal((await call('serverReady', {})).ready, true);
const metadata = await call('modelMetadata', { name: 'simple', version: '' });
assert.equal(metadata.name, 'simple');
assert.deepEqual(
  metadata.inputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
  [
    ['INPUT0', 'INT32', ['-1', '16']],
    ['INPUT1', 'INT32', ['-1', '16']],
  ],
);

const values = Array.from({ length: 16 }, (_, i) => i);
const input = (name) => ({ name, datatype: 'INT32', shape: [1, 16], contents: { int_contents: values } });
const response = await call('modelInfer', {
  model_name: 'simple',
  model_version: '',
  inputs: [input('INPUT0'), input('INPUT1')],
  outputs: [{ name: 'OUTPUT0' }, { name: 'OUTPUT1' }],
});
const [sums, differences] = response.raw_output_contents.map((raw) => values.map((_, i) => raw.readInt32LE(i * 4)));
assert.deepEqual(
  sums,
  values.map((value) => value * 2),
);
assert.deepEqual(
  differences,
  values.map(() => 0),
);
client.close();
