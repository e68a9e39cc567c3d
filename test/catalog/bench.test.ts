import { expect, test } from 'vitest';
import { benchCatalog } from '../../bench/catalog.js';

test('the catalog bench runs at toy size and repeats itself', async () => {
  const lines: string[] = [];
  const options = { sizes: [100, 1000], requests: 50, print: (line: string) => lines.push(line) };
  const result = await benchCatalog(options);
  expect(lines).toHaveLength(3);
  expect(result.sizes.map((size) => size.line_items)).toEqual([100, 1000]);
  for (const size of result.sizes) {
    expect(size.ads).toBeGreaterThan(size.line_items);
    expect(size.candidates_per_request).toBeGreaterThan(1);
    expect(size.find_us_per_request).toBeGreaterThan(0);
    expect(size.index_bytes).toBeGreaterThan(0);
  }
  expect((await benchCatalog(options)).hash).toBe(result.hash);
});
