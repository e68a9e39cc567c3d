import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchPath } from '../../bench/path/path.js';

it('the path bench runs at toy size, and the same requests have the same answers in every run', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-bench-'));
  const options = { requests: 300, connections: 4, directory, lineItems: 1_000 };
  const first = await benchPath(options);
  expect(first).toMatchObject({ suite: 'path', requests: 300, errors: 0 });
  expect(first.cpu_us_per_request).toBeGreaterThan(0);
  expect(first.floor_cpu_us_per_request).toBeGreaterThan(0);
  expect(first.bid_rate).toBeGreaterThan(0.5);
  expect(first.candidates_per_request).toBeGreaterThan(1);
  expect((await benchPath(options)).hash).toBe(first.hash);
  rmSync(directory, { recursive: true });
}, 120_000);
