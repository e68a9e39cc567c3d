import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combine32, hashInteger, hashString, mix32 } from '../../src/base/index.js';

describe('hashString', () => {
  // Known answers of MurmurHash3 x86-32 with seed 0.
  it.each([
    ['', 0],
    ['a', 0x3c2569b2],
    ['aa', 0x371091a9],
    ['aaa', 0xb4d05fb7],
    ['aaaa', 0x7eeed987],
    ['hello', 0x248bfa47],
    ['hello, world', 0x149bbb7f],
    ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
    ['é', 0x10110787],
    ['日本', 0xc4d9f942],
  ])('%j', (text, expected) => expect(hashString(text)).toBe(expected));

  it('reads text as UTF-8, lone surrogates as U+FFFD', () => {
    expect(hashString('\ud800')).toBe(hashString('\ufffd'));
    expect(hashString('é')).not.toBe(hashString('e'));
  });

  it('is a non-zero uint32 for every non-empty string', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), (text) => {
        const h = hashString(text);
        return Number.isInteger(h) && h > 0 && h <= 0xffffffff;
      }),
    );
  });
});

describe('integer hashes', () => {
  it('mix32 is a bijection on a sample, and a uint32', () => {
    const seen = new Set(Array.from({ length: 10_000 }, (_, i) => mix32(i)));
    expect(seen.size).toBe(10_000);
  });

  it('combine32 keeps missing missing and tells order', () => {
    expect(combine32(0, 5)).toBe(0);
    expect(combine32(5, 0)).toBe(0);
    expect(combine32(1, 2)).not.toBe(combine32(2, 1));
    expect(hashInteger(0)).not.toBe(0);
  });
});
