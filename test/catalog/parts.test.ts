import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rankOrder } from '../../src/catalog/rank.js';
import { TextReader, TextTable } from '../../src/catalog/text-table.js';
import { findValue, VocabularyBuilder } from '../../src/catalog/vocabulary.js';

test('the rank order is that of a comparing sort', () => {
  const ecpm = fc.oneof(fc.constantFrom(1, 2, 1e6), fc.double({ min: Number.MIN_VALUE, max: 1e15, noNaN: true }));
  const tie = fc.oneof(fc.constantFrom(0, 1, 0xffffffff), fc.nat());
  fc.assert(
    fc.property(fc.array(fc.tuple(ecpm, tie)), (ads) => {
      const order = rankOrder(
        Float64Array.from(ads, (ad) => ad[0]),
        Uint32Array.from(ads, (ad) => ad[1]),
      );
      const expected = ads.map((_, i) => i).sort((a, b) => ads[b][0] - ads[a][0] || ads[a][1] - ads[b][1]);
      expect(Array.from(order)).toEqual(expected);
    }),
  );
});

test('a text table numbers equal texts equally, and gives them back', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 3000, size: 'max' }), (texts) => {
      const table = new TextTable();
      const numbers = texts.map((one) => table.intern(one));
      expect(table.count).toBe(new Set(['', ...texts]).size);
      const reader = new TextReader(table.toShared());
      for (let i = 0; i < texts.length; i++) {
        expect(table.read(numbers[i])).toBe(texts[i]);
        expect(reader.read(numbers[i])).toBe(texts[i]);
        expect(table.intern(texts[i])).toBe(numbers[i]);
      }
    }),
    { numRuns: 30 },
  );
});

test('texts of the same hash stay apart', () => {
  // Among 200 000 texts about five pairs share their 32-bit hash.
  const table = new TextTable();
  let wrong = 0;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 200_000; i++) if (table.intern(`text ${i}`) !== i + 1) wrong++;
  }
  expect(wrong).toBe(0);
});

test('a vocabulary finds each value, also as the first part of a longer text, and nothing else', () => {
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(text), text, (values, other) => {
      const builder = new VocabularyBuilder();
      const numbers = values.map((value) => builder.intern(value));
      const columns = builder.toShared();
      for (let i = 0; i < values.length; i++) {
        expect(findValue(columns, values[i], values[i].length)).toBe(numbers[i]);
        expect(findValue(columns, `${values[i]}${other}`, values[i].length)).toBe(numbers[i]);
      }
      expect(findValue(columns, other, other.length)).toBe(
        values.includes(other) ? numbers[values.indexOf(other)] : -1,
      );
    }),
  );
});
