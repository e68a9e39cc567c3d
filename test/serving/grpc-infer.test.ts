import { Client, credentials, status as STATUS } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Message, rawRequest, STATUS_BY_CODE, startV2, stopAll } from './grpc-support.js';

afterEach(stopAll);

/** 64 bits as protobufjs takes them. */
const int64 = (value: bigint): object => ({
  low: Number(BigInt.asIntN(32, value)),
  high: Number(BigInt.asIntN(32, value >> 32n)),
  unsigned: value > 0n,
});
const bytesOf = (array: ArrayBufferView): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

describe('ModelInfer', () => {
  it('gives raw bytes through and back, whatever they are, with the id', async () => {
    const { client, models } = await startV2();
    const parts = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(parts, fc.string({ unit: 'grapheme', maxLength: 5 }), async (tensors, suffix) => {
        const id = `id${suffix}`;
        const inputs = tensors.map((bytes, i) => ({ name: `in${i}`, datatype: 'UINT8', shape: [1, bytes.length] }));
        const reply = await client.call('ModelInfer', rawRequest(id, { inputs, raw_input_contents: tensors }));
        expect(reply.id).toBe(id);
        expect(reply.model_version).toBe('7');
        expect(reply.raw_output_contents.map((bytes: Buffer) => [...bytes])).toEqual(tensors.map((t) => [...t]));
        expect(reply.outputs.map((output: { name: string; datatype: string }) => output.name)).toEqual(
          inputs.map((input) => input.name),
        );
        expect(reply.outputs.every((output: { contents: unknown }) => output.contents === null)).toBe(true);
        expect(models.seen.at(-1)!.inputs.map((input) => input.shape)).toEqual(inputs.map((input) => input.shape));
      }),
      { numRuns: 40 },
    );
  });

  const int64s = [int64(-(2n ** 63n)), int64(5n)];
  const uint64s = [int64(2n ** 64n - 1n), int64(1n)];
  const CONTENTS: [string, Message, Buffer][] = [
    ['BOOL', { bool_contents: [true, false] }, Buffer.from([1, 0])],
    ['INT8', { int_contents: [-1, 127] }, Buffer.from([255, 127])],
    ['INT16', { int_contents: [-2, 300] }, bytesOf(new Int16Array([-2, 300]))],
    ['INT32', { int_contents: [-(2 ** 31), 7] }, bytesOf(new Int32Array([-(2 ** 31), 7]))],
    ['INT64', { int64_contents: int64s }, bytesOf(new BigInt64Array([-(2n ** 63n), 5n]))],
    ['UINT8', { uint_contents: [255, 1] }, Buffer.from([255, 1])],
    ['UINT16', { uint_contents: [65535, 1] }, bytesOf(new Uint16Array([65535, 1]))],
    ['UINT32', { uint_contents: [2 ** 32 - 1, 1] }, bytesOf(new Uint32Array([2 ** 32 - 1, 1]))],
    ['UINT64', { uint64_contents: uint64s }, bytesOf(new BigUint64Array([2n ** 64n - 1n, 1n]))],
    ['FP32', { fp32_contents: [1.5, -0] }, bytesOf(new Float32Array([1.5, -0]))],
    ['FP64', { fp64_contents: [Math.PI, Number.NaN] }, bytesOf(new Float64Array([Math.PI, Number.NaN]))],
    ['BYTES', { bytes_contents: [Buffer.from('ab'), Buffer.alloc(0)] }, Buffer.from('\x02\0\0\0ab\0\0\0\0')],
  ];
  it.each(CONTENTS)('reads typed contents of %s', async (datatype, contents, bytes) => {
    const { client, models } = await startV2();
    const inputs = [{ name: 'in', datatype, shape: [2], contents }];
    const reply = await client.call('ModelInfer', { model_name: 'echo', inputs });
    expect(Buffer.from(models.seen[0].inputs[0].bytes).equals(bytes)).toBe(true);
    expect(bytes.equals(reply.raw_output_contents[0])).toBe(true);
  });

  it('reads version, outputs, priority, timeout and the other parameters', async () => {
    const { client, models } = await startV2();
    await client.call(
      'ModelInfer',
      rawRequest('a', {
        model_version: '2',
        outputs: [{ name: 'y' }, { name: 'x' }],
        parameters: {
          priority: { uint64_param: 2 },
          timeout: { int64_param: 1500 },
          sequence_id: { int64_param: int64(2n ** 63n - 1n) },
          sequence_start: { bool_param: true },
          mine: { int64_param: -5 },
          text: { string_param: '' },
          real: { double_param: 0.5 },
          triton_enable_empty_final_response: { bool_param: true },
        },
      }),
    );
    const { model, version, id, outputs, priority, timeoutUs, parameters } = models.seen[0];
    expect({ model, version, id, outputs, priority, timeoutUs, parameters }).toEqual({
      model: 'echo',
      version: '2',
      id: 'a',
      outputs: ['y', 'x'],
      priority: 2,
      timeoutUs: 1500,
      parameters: { sequence_id: '9223372036854775807', sequence_start: true, mine: -5, text: '', real: 0.5 },
    });
  });

  it.each(Object.entries(STATUS_BY_CODE))('answers %s with its status and message', async (code, status) => {
    const { client } = await startV2();
    expect(await client.refusal('ModelInfer', rawRequest(code))).toEqual({ code: status, details: 'as asked' });
  });

  const raw = Buffer.alloc(8);
  const input = (change: Message = {}): Message => ({ name: 'in', datatype: 'FP32', shape: [1, 2], ...change });
  const INVALID = STATUS.INVALID_ARGUMENT;
  const explicit = "unexpected explicit tensor data for input tensor 'in' for model 'echo'";
  const REFUSALS: [string, Message, number, string][] = [
    [
      'typed and raw contents',
      { inputs: [input(), input({ contents: { fp32_contents: [1] } })], raw_input_contents: [raw] },
      INVALID,
      "contents field must not be specified when using raw_input_contents for 'in' for model 'echo'",
    ],
    [
      'an input without contents',
      { inputs: [input(), input({ name: 'b' })] },
      INVALID,
      "unable to find data for input tensor 'b' for model 'echo' in request.",
    ],
    [
      'more raw contents than inputs',
      { raw_input_contents: [raw, raw] },
      INVALID,
      "expected 1 raw_input_contents but got 2 for model 'echo'",
    ],
    [
      'contents in the field of another type',
      { inputs: [input({ contents: { int_contents: [1] } })], raw_input_contents: [] },
      INVALID,
      `${explicit} of type 'INT32', expected datatype 'FP32'`,
    ],
    [
      'typed contents for a type without a field',
      { inputs: [input({ datatype: 'FP16', contents: { fp32_contents: [1] } })], raw_input_contents: [] },
      INVALID,
      `${explicit} of type 'FP32', expected datatype 'FP16'`,
    ],
    [
      'contents in two fields',
      { inputs: [input({ contents: { fp32_contents: [1], fp64_contents: [1] } })], raw_input_contents: [] },
      INVALID,
      `${explicit}, binary data was already supplied.`,
    ],
    [
      'a data type that does not exist',
      { inputs: [input({ datatype: 'toString' })] },
      INVALID,
      "unknown data-type 'toString' of input 'in' for model 'echo'",
    ],
    [
      'a negative dimension',
      { inputs: [input({ shape: [-1, 2] })] },
      INVALID,
      "input 'in' for model 'echo' has a negative dimension in its shape [-1,2]",
    ],
    [
      'a timeout of the wrong type',
      { parameters: { timeout: { uint64_param: 1 } } },
      INVALID,
      "invalid value type for 'timeout' parameter, expected int64_param.",
    ],
    [
      'a priority of the wrong type',
      { parameters: { priority: { string_param: '1' } } },
      INVALID,
      "invalid value type for 'priority' parameter, expected int64_param or uint64_param.",
    ],
    [
      'a negative priority',
      { parameters: { priority: { int64_param: -1 } } },
      INVALID,
      "invalid value for 'priority', expected value >= 0.",
    ],
    [
      'a reserved parameter',
      { parameters: { triton_x: { bool_param: true } } },
      INVALID,
      "parameter keys starting with 'triton_' are reserved for Triton usage. " +
        "Only the following keys starting with 'triton_' are allowed: triton_enable_empty_final_response",
    ],
    [
      'a parameter without a value',
      { parameters: { mine: {} } },
      INVALID,
      "invalid value type for 'mine' parameter, expected int64_param, bool_param, or string_param.",
    ],
    [
      'a tensor in shared memory',
      { inputs: [input({ parameters: { shared_memory_region: { string_param: 'r' } } })] },
      STATUS.UNIMPLEMENTED,
      'shared memory is not supported: send tensors in the request',
    ],
  ];
  it.each(REFUSALS)('refuses %s', async (_what, change, code, details) => {
    const { client, models } = await startV2();
    expect(await client.refusal('ModelInfer', rawRequest('a', change))).toEqual({ code, details });
    expect(models.seen).toEqual([]);
  });

  it('refuses bytes that are no message, and cuts what it repeats of a hostile name', async () => {
    const { client, server } = await startV2();
    const plain = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const code = await new Promise((resolve) => {
      const bytes = (message: Buffer): Buffer => message;
      const path = '/inference.GRPCInferenceService/ModelInfer';
      plain.makeUnaryRequest(path, bytes, bytes, Buffer.from([0x0a, 0xff]), (error) => resolve(error?.code));
    });
    plain.close();
    expect(code).toBe(INVALID);
    const long = '😀'.repeat(100_000);
    const refusal = await client.refusal('ModelInfer', rawRequest('a', { inputs: [input({ datatype: `x${long}` })] }));
    expect(refusal.code).toBe(INVALID);
    expect(refusal.details!.length).toBe(1024);
  });

  it('answers a bug with INTERNAL, logs it, and goes on', async () => {
    const { client, logged } = await startV2();
    expect(await client.refusal('ModelInfer', rawRequest('throw'))).toEqual({ code: 13, details: 'internal error' });
    expect(logged).toHaveLength(1);
    expect((await client.call('ModelInfer', rawRequest('a'))).id).toBe('a');
  });

  it('gives the largest values as text where classification is asked for', async () => {
    const { client } = await startV2();
    const outputs = [{ name: 'in', parameters: { classification: { int64_param: 1 } } }];
    const reply = await client.call('ModelInfer', rawRequest('a', { outputs }));
    expect(reply.outputs[0].datatype).toBe('BYTES');
    expect(Buffer.from(reply.raw_output_contents[0]).subarray(4).toString()).toBe('2.000000:1');
    const bytes = { inputs: [input({ datatype: 'BOOL' })], outputs };
    expect((await client.refusal('ModelInfer', rawRequest('a', bytes))).code).toBe(STATUS.UNIMPLEMENTED);
  });

  it('cancels with the models what the client gives up, or has no time left for', async () => {
    const { client, models } = await startV2();
    const deadline = Date.now() + 50;
    const refusal = await client.refusal('ModelInfer', rawRequest('hold'), { deadline });
    expect(refusal.code).toBe(STATUS.DEADLINE_EXCEEDED);
    while (models.cancelled === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await client.call('ModelInfer', rawRequest('a'))).id).toBe('a');
    expect(models.cancelled).toBe(1);
  });

  it('refuses more requests in flight than it may hold', async () => {
    const { client, models } = await startV2({ requestsInFlightMax: 2 });
    const held = [client.call('ModelInfer', rawRequest('hold')), client.call('ModelInfer', rawRequest('hold'))];
    while (models.held.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await client.refusal('ModelInfer', rawRequest('a'))).code).toBe(STATUS.UNAVAILABLE);
    models.release();
    await Promise.all(held);
    expect((await client.call('ModelInfer', rawRequest('a'))).id).toBe('a');
  });
});
