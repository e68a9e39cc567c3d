import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InferRequest, InferResponse, Tensor } from '../../src/contract/index.js';
import { ResponseCache } from '../../src/inference/response-cache.js';

const A: Tensor = { name: 'a', dataType: 'UINT8', shape: [1, 4], bytes: Buffer.from('abcd') };
const B: Tensor = { name: 'b', dataType: 'UINT8', shape: [1, 2], bytes: Buffer.from('ef') };
const REQUEST: InferRequest = {
  model: 'm',
  version: '',
  id: '',
  inputs: [A, B],
  outputs: [],
  priority: 0,
  timeoutUs: 0,
  parameters: {},
};

function responseOf(bytes: Uint8Array): InferResponse {
  return { model: 'm', version: '1', outputs: [{ name: 'y', dataType: 'UINT8', shape: [bytes.length], bytes }] };
}

describe('the key', () => {
  const cache = new ResponseCache(0x10000);
  const key = cache.keyOf(REQUEST, '1');

  const same: [string, Partial<InferRequest>][] = [
    ['the request id', { id: 'x' }],
    ['how urgent it is', { priority: 1, timeoutUs: 5 }],
    ['the order of the inputs', { inputs: [B, A] }],
    ['where the bytes lie', { inputs: [{ ...A, bytes: Buffer.from('xabcd').subarray(1) }, B] }],
  ];
  it.each(same)('does not depend on %s', (_, part) => {
    expect(cache.keyOf({ ...REQUEST, ...part }, '1')).toBe(key);
  });

  const different: [string, Partial<InferRequest>, string][] = [
    ['the model', { model: 'n' }, '1'],
    ['the loaded version', {}, '2'],
    ['the outputs asked for', { outputs: ['y'] }, '1'],
    ['an input left out', { inputs: [A] }, '1'],
    ['an input’s name', { inputs: [{ ...A, name: 'c' }, B] }, '1'],
    ['an input’s type', { inputs: [{ ...A, dataType: 'INT8' }, B] }, '1'],
    ['an input’s shape', { inputs: [{ ...A, shape: [4, 1] }, B] }, '1'],
    ['an input’s bytes', { inputs: [{ ...A, bytes: Buffer.from('abce') }, B] }, '1'],
    [
      'where one input ends',
      {
        inputs: [
          { ...A, bytes: Buffer.from('abcde') },
          { ...B, bytes: Buffer.from('f') },
        ],
      },
      '1',
    ],
  ];
  it.each(different)('depends on %s', (_, part, loaded) => {
    expect(cache.keyOf({ ...REQUEST, ...part }, loaded)).not.toBe(key);
  });
});

describe('the cache', () => {
  it('gives what was put, and counts', () => {
    const cache = new ResponseCache(0x10000);
    const key = cache.keyOf(REQUEST, '1');
    expect(cache.get(key)).toBeNull();
    cache.put(key, responseOf(Buffer.from('xyz')));
    expect(cache.get(key)).toEqual(responseOf(new Uint8Array(Buffer.from('xyz'))));
    expect([cache.hits, cache.misses, cache.entries]).toEqual([1, 1, 1]);
  });

  it('keeps a copy: the batch that a response is a view of may be used again', () => {
    const cache = new ResponseCache(0x10000);
    const batch = Buffer.from('..xyz..');
    cache.put('key', responseOf(batch.subarray(2, 5)));
    batch.fill(0);
    const bytes = cache.get('key')?.outputs[0].bytes ?? new Uint8Array();
    expect(Buffer.from(bytes).toString()).toBe('xyz');
    expect(bytes.buffer.byteLength).toBe(3);
  });

  it('drops the least recently used', () => {
    const cache = new ResponseCache(3 * 2048);
    for (const key of ['1', '2', '3']) cache.put(key, responseOf(new Uint8Array(1024)));
    cache.get('1');
    cache.put('4', responseOf(new Uint8Array(1024)));
    expect(['1', '2', '3', '4'].map((key) => cache.get(key) !== null)).toEqual([true, false, true, true]);
  });

  it('does not keep what is larger than itself, nor lose the rest to it', () => {
    const cache = new ResponseCache(4096);
    cache.put('small', responseOf(new Uint8Array(1)));
    cache.put('large', responseOf(new Uint8Array(4096)));
    expect([cache.get('small') !== null, cache.get('large')]).toEqual([true, null]);
  });

  it('never holds more bytes than its bound', () => {
    const sizes = fc.array(fc.tuple(fc.nat(20), fc.nat(9000)));
    const property = fc.property(sizes, (puts) => {
      const cache = new ResponseCache(8192);
      for (const [key, bytes] of puts) {
        cache.put(String(key), responseOf(new Uint8Array(bytes)));
        expect(cache.bytes).toBeLessThanOrEqual(8192);
      }
    });
    fc.assert(property, { seed: 1 });
  });
});
