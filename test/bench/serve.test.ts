import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchServe } from '../../bench/serve/serve.js';
import { benchSteady } from '../../bench/serve/steady.js';

const directory = mkdtempSync(join(tmpdir(), 'vickrey-serve-'));
const common = { directory, lineItems: 1_000 };

it('the serve bench measures every encoding, all with the bits of the direct run', async () => {
  const { cases, hash } = await benchServe({ ...common, requests: 60, connections: 2 });
  const encodings = ['http_binary', 'http_json', 'grpc'];
  expect(Object.keys(cases).toSorted()).toEqual(encodings.flatMap((name) => [`${name}_1`, `${name}_32`]).toSorted());
  for (const { cpu_us_per_request, direct_cpu_us, requests_per_s } of Object.values(cases)) {
    expect(Math.min(cpu_us_per_request, direct_cpu_us, requests_per_s)).toBeGreaterThan(0);
  }
  expect(hash).toMatch(/^[0-9a-f]{16}$/);
}, 120_000);

it('the steady bench lets requests expire and still has good answers in every window', async () => {
  const { per_s, expired_share } = await benchSteady({ ...common, seconds: 3, connections: 64 });
  expect(per_s).toHaveLength(3);
  expect(Math.min(...per_s)).toBeGreaterThan(0);
  expect(expired_share).toBeGreaterThan(0);
  rmSync(directory, { recursive: true });
}, 120_000);
