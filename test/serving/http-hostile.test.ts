import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binaryBody, bytesOf, type Served, serve, strings } from './http-support.js';

let served: Served;
beforeAll(async () => {
  served = await serve('node');
});
afterAll(() => served.server.close(100));

async function refusal(body: string | Buffer, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`${served.url}/v2/models/echo/infer`, { method: 'POST', body, headers });
  const text = await response.text();
  return response.status === 400 ? (JSON.parse(text) as { error: string }).error : `${response.status} ${text}`;
}

const one = (input: string): string => `{"inputs":[${input}]}`;
const int = (datatype: string, data: string, shape = '[1]'): string =>
  one(`{"name":"X","datatype":"${datatype}","shape":${shape},"data":${data}}`);

/** What is wrong → the body, and what the message must say. */
const JSON_CASES: Readonly<Record<string, readonly [string, string]>> = {
  'no JSON': ['{"inputs":', 'failed to parse the request JSON buffer'],
  'an empty body': ['', 'failed to parse the request JSON buffer'],
  'an array': ['[]', 'failed to parse the request JSON buffer'],
  'a bare word that only looks like NaN': ['{"inputs":[Nan, NaN]}', 'failed to parse the request JSON buffer'],
  'no inputs': ['{}', "Unable to parse 'inputs'"],
  'an id that is a number': ['{"id":1,"inputs":[]}', "Unable to parse 'id'"],
  'no data': [one('{"name":"X","datatype":"FP32","shape":[1]}'), "no field is set for input 'X'"],
  'data twice': [
    one('{"name":"X","datatype":"FP32","shape":[1],"data":[1],"parameters":{"binary_data_size":4}}'),
    "both are set for input 'X'",
  ],
  'an unknown type': [int('FP8', '[1]'), "invalid datatype for input 'X' for model 'echo'"],
  'a type of Object.prototype': [int('toString', '[1]'), "invalid datatype for input 'X'"],
  'FP16 as JSON': [int('FP16', '[1]'), 'receiving FP16 data via JSON is not supported'],
  'too few values': [int('FP32', '[1]', '[2]'), "input 'X': Shape does not match true shape of 'data' field"],
  'too many values': [int('FP32', '[[1,2],[3]]', '[2]'), "input 'X': Shape does not match"],
  'a negative dimension': [int('FP32', '[1]', '[-1]'), "'shape' of input 'X': -1 is not a dimension"],
  'a broken dimension': [int('FP32', '[1]', '[1.5]'), '1.5 is not a dimension'],
  'a dimension that is text': [int('FP32', '[1]', '["1"]'), '"1" is not a dimension'],
  'a shape that overflows': [int('FP32', '[1]', '[4294967296,4294967296,4294967296]'), 'elements'],
  'a shape that would fill the memory': [int('FP64', '[1]', '[2147483647]'), 'Shape does not match'],
  'a huge shape hidden behind a zero': [int('FP32', '[1]', '[0,99999999999]'), 'elements'],
  'an INT8 that is too large': [int('INT8', '[128]'), "input 'X': 128 is not a value of type INT8"],
  'a UINT32 below zero': [int('UINT32', '[-1]'), '-1 is not a value of type UINT32'],
  'a broken INT32': [int('INT32', '[1.5]'), '1.5 is not a value of type INT32'],
  'an INT64 past its range': [int('INT64', '[9223372036854775808]'), 'is not a value of type INT64'],
  'an INT64 as text': [int('INT64', '["x"]'), '"x" is not a value of type INT64'],
  'a UINT64 below zero': [int('UINT64', '[-9007199254740993]'), 'is not a value of type UINT64'],
  'an FP32 that becomes infinite': [int('FP32', '[1e39]'), 'is not a value of type FP32'],
  'NaN as an integer': [int('INT32', '[NaN]'), 'is not a value of type INT32'],
  'null as a number': [int('FP32', '[null]'), 'null is not a value of type FP32'],
  'a BOOL that is a number': [int('BOOL', '[1]'), '1 is not a value of type BOOL'],
  'BYTES that are numbers': [int('BYTES', '[1]'), '1 is not a value of type BYTES'],
  'deep nesting': [int('FP32', `${'['.repeat(5000)}1${']'.repeat(5000)}`), "input 'X': nested too deep"],
  'shared memory': [
    one('{"name":"X","datatype":"FP32","shape":[1],"parameters":{"shared_memory_region":"r"}}'),
    'shared memory is not supported',
  ],
  'a reserved parameter': ['{"inputs":[],"parameters":{"triton_x":1}}', 'are reserved for Triton usage'],
  'a parameter that is a list': ['{"inputs":[],"parameters":{"p":[]}}', "parameter 'p' has invalid type"],
  'a negative priority': ['{"inputs":[],"parameters":{"priority":-1}}', "Unable to parse 'priority'"],
  'outputs that are no list': ['{"inputs":[],"outputs":{}}', "Unable to parse 'outputs'"],
  'an output without a name': ['{"inputs":[],"outputs":[{}]}', "Unable to parse 'name' of an output"],
};

describe('hostile JSON', () => {
  it.each(Object.entries(JSON_CASES))('%s', async (_what, [body, message]) => {
    expect(await refusal(body)).toContain(message);
  });

  it('keeps __proto__ a parameter like any other', async () => {
    await fetch(`${served.url}/v2/models/echo/infer`, {
      method: 'POST',
      body: '{"inputs":[],"parameters":{"__proto__":"x"}}',
    });
    expect(Object.entries(served.models.seen.at(-1)!.parameters)).toEqual([['__proto__', 'x']]);
  });
});

describe('hostile binary', () => {
  const input = (datatype: string, shape: number[], size: unknown): object => ({
    inputs: [{ name: 'X', datatype, shape, parameters: { binary_data_size: size } }],
  });
  const cases: readonly (readonly [string, object, Buffer, string])[] = [
    ['too few bytes', input('FP32', [2], 4), Buffer.alloc(4), "byte size mismatch for input 'X' for model 'echo'"],
    ['more than the body has', input('FP32', [2], 8), Buffer.alloc(4), 'exceeds the 4 bytes left in the body'],
    ['a size below zero', input('FP32', [1], -4), Buffer.alloc(4), "Unable to parse 'binary_data_size'"],
    ['bytes that nobody asked for', input('FP32', [1], 4), Buffer.alloc(5), 'unexpected additional input data'],
    ['half a length', input('BYTES', [1], 3), Buffer.alloc(3), 'incomplete string length indicator'],
    ['a length past the end', input('BYTES', [1], 4), Buffer.from([1, 0, 0, 0]), 'incomplete string data'],
    ['too few strings', input('BYTES', [2], 5), strings('a'), 'expected 2 string elements'],
  ];
  it.each(cases)('%s', async (_what, json, bytes, message) => {
    const { body, headers } = binaryBody(json, bytes);
    expect(await refusal(body, headers)).toContain(message);
  });

  it.each(['-1', '1e1', '99', 'x'])('a JSON length of %s', async (length) => {
    expect(await refusal('{"inputs":[]}', { 'inference-header-content-length': length })).toContain(
      'Inference-Header-Content-Length',
    );
  });
});

const ARRAYS = {
  UINT8: [Uint8Array, fc.nat(255)],
  UINT16: [Uint16Array, fc.nat(65535)],
  UINT32: [Uint32Array, fc.nat(2 ** 32 - 1)],
  UINT64: [BigUint64Array, fc.bigInt(0n, 2n ** 64n - 1n)],
  INT8: [Int8Array, fc.integer({ min: -128, max: 127 })],
  INT16: [Int16Array, fc.integer({ min: -32768, max: 32767 })],
  INT32: [Int32Array, fc.integer()],
  INT64: [BigInt64Array, fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)],
  FP32: [Float32Array, fc.float({ noNaN: true })],
  FP64: [Float64Array, fc.double({ noNaN: true })],
} as const;

describe('round trips', () => {
  it.each(Object.entries(ARRAYS))(
    '%s: the bytes sent as JSON are the bytes of the numbers',
    async (type, [array, value]) => {
      await fc.assert(
        fc.asyncProperty(fc.array(value as fc.Arbitrary<never>, { maxLength: 8 }), async (values) => {
          const typed = (array as { from(from: unknown): unknown }).from(values) as ArrayBufferView &
            Iterable<number | bigint>;
          const text = `[${[...typed].map((v) => (Object.is(v, -0) ? '-0.0' : String(v))).join(',')}]`;
          const body = `{"inputs":[{"name":"X","datatype":"${type}","shape":[${values.length}],"data":${text}}]}`;
          const response = await fetch(`${served.url}/v2/models/echo/infer`, { method: 'POST', body });
          const reply = await response.text();
          expect(response.status, reply).toBe(200);
          expect(Buffer.from(served.models.seen.at(-1)!.inputs[0].bytes)).toEqual(bytesOf(typed));
          // And the JSON we answer is read as the same tensor again.
          const again = reply.slice(reply.indexOf('"data":') + 7, -3);
          const second = body.replace(text, again);
          await fetch(`${served.url}/v2/models/echo/infer`, { method: 'POST', body: second });
          expect(Buffer.from(served.models.seen.at(-1)!.inputs[0].bytes)).toEqual(bytesOf(typed));
        }),
        { numRuns: 25, seed: 7 },
      );
    },
  );

  it('any damage to a good body is a 200 or a 400, never a bug', async () => {
    const good = binaryBody(
      {
        inputs: [
          { name: 'a', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
          { name: 'b', datatype: 'INT64', shape: [1], data: [3] },
        ],
      },
      Buffer.alloc(8),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(good.body.length - 1), fc.nat(255), async (at, value) => {
        const body = Buffer.from(good.body);
        body[at] = value;
        const response = await fetch(`${served.url}/v2/models/echo/infer`, {
          method: 'POST',
          body,
          headers: good.headers,
        });
        await response.arrayBuffer();
        expect([200, 400]).toContain(response.status);
      }),
      { numRuns: 150, seed: 7 },
    );
    expect(served.log.errors).toEqual([]);
  });
});
