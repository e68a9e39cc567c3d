import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bannerRequest, startTestServer, type TestServer, worldBodies } from './support.js';

/** A repository whose conversion model has room for one request a batch, so that its seats run out first. */
let running: TestServer;
let repository: string;
beforeAll(async () => {
  repository = mkdtempSync(join(tmpdir(), 'vickrey-models-'));
  for (const model of ['pctr_dlrm', 'pcvr'])
    cpSync(join('native-models', model), join(repository, model), { recursive: true });
  const file = join(repository, 'pcvr', 'config.pbtxt');
  const config = readFileSync(file, 'utf8')
    .replace(/(request_rows_max[\s\S]*?string_value: ")\d+/, '$18')
    .replace(/(candidate_rows_max[\s\S]*?string_value: ")\d+/, '$1512');
  writeFileSync(file, config);
  // A small catalog: where every request has 64 candidates, rows of another batch happen to point to the right place.
  running = await startTestServer({ models: { repository }, inference: { slabs_per_model: 2 } }, 400);
});
afterAll(async () => {
  await running.stop();
  rmSync(repository, { recursive: true });
});

it('a request that gets only one of its two seats is refused and harms nobody in the batch', async () => {
  // Waves of different sizes: rows that nobody wrote then point into a batch that was larger.
  const bodies = worldBodies(2_000);
  for (let from = 0, wave = 0; from < bodies.length; wave++) {
    const size = wave % 2 === 0 ? 120 : 12 + (wave % 7);
    const answers = await Promise.all(bodies.slice(from, from + size).map((body) => running.post(body)));
    for (const { status } of answers) expect([200, 204]).toContain(status);
    from += size;
  }
  const metrics = await running.metrics();
  expect(metrics).toMatch(/vickrey_batch_reservations_refused_total\{model="pcvr",version="1"\} [1-9]/);
  expect(metrics).toMatch(/vickrey_batches_failed_total\{model="pctr_dlrm",version="1"\} 0\n/);
  expect(metrics).toMatch(/outcome="inference_failed"\} 0\n/);
  expect((await running.post(bannerRequest())).status).toBe(200);
}, 60_000);
