import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchMicro } from '../../bench/micro.js';

it('the micro bench times every room of the hot path', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-micro-'));
  const result = (await benchMicro({ directory, lineItems: 1_000, seconds: 0.01 })) as {
    ns_per_request: Record<string, number>;
  };
  for (const room of ['openrtb', 'catalog', 'features', 'calibration', 'bidding', 'auction']) {
    expect(result.ns_per_request[room]).toBeGreaterThan(0);
  }
  rmSync(directory, { recursive: true });
});
