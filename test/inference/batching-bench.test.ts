import { expect, it } from 'vitest';
import { benchBatching } from '../../bench/batching.js';
import { twoScope } from './fixtures/models.js';

it('the batching bench runs at toy size, and gives the same scores for the same seed', async () => {
  const options = {
    model: twoScope(),
    idsMax: 64,
    requestCounts: [1, 4],
    candidatesPerRequest: 8,
    rounds: 3,
    seed: 7,
  };
  const report = await benchBatching(options);
  expect(report.shapes.map((shape) => [shape.requests, shape.candidate_rows])).toEqual([
    [1, 8],
    [4, 32],
  ]);
  for (const { two_scope_us, plain_us } of report.shapes) expect(Math.min(two_scope_us, plain_us)).toBeGreaterThan(0);
  expect(report.hash).toMatch(/^[0-9a-f]{8}$/);
  expect((await benchBatching(options)).hash).toBe(report.hash);
  expect((await benchBatching({ ...options, seed: 8 })).hash).not.toBe(report.hash);
});
