import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureDemo } from '../../world/index.js';
import { bannerRequest, JSON_TYPE, writeConfig } from './support.js';

const MAIN = new URL('../../dist/src/main.js', import.meta.url).pathname;
let directory: string;
let catalogDirectory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vickrey-process-'));
  catalogDirectory = ensureDemo(join(directory, 'demo'), { lineItems: 1_000, requests: 1 }).catalogDir;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The command as `npm start` runs it. */
async function start(changes: object = {}) {
  const child = spawn(process.execPath, [MAIN, '--config', writeConfig(directory, catalogDirectory, changes)]);
  const output = { text: '' };
  child.stdout.on('data', (chunk) => {
    output.text += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output.text += chunk;
  });
  await Promise.race([
    expect.poll(() => output.text, { timeout: 30_000 }).toContain('Ask for a bid'),
    once(child, 'exit'),
  ]);
  return { child, output, url: /curl -s (\S+)/.exec(output.text)?.[1] ?? '' };
}

async function stopped(child: ChildProcess): Promise<number | null> {
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const [code] = await exit;
  return code;
}

describe('the process', () => {
  it('prints a curl line that returns a bid, and what it decided', async () => {
    const { child, output } = await start();
    const [, url, body] = /curl -s (\S+) .*-d '(.*)'/.exec(output.text)!;
    const response = await fetch(url, { method: 'POST', headers: JSON_TYPE, body });
    expect(response.status).toBe(200);
    for (const word of ['pctr_dlrm', 'pcvr', '1000 line items', 'workers', 'limits', 'gRPC'])
      expect(output.text).toContain(word);
    expect(await stopped(child)).toBe(0);
  });

  it('reloads on SIGHUP, and refuses a bad catalog with its findings in the log', async () => {
    const { child, output, url } = await start();
    const bad = join(catalogDirectory, 'zz.yaml');
    writeFileSync(bad, 'creatives: [{ id: 1 }]\n');
    child.kill('SIGHUP');
    await expect.poll(() => output.text, { timeout: 20_000 }).toContain('the old one stays');
    expect(output.text).toContain('zz.yaml');
    expect((await fetch(url, { method: 'POST', headers: JSON_TYPE, body: bannerRequest() })).status).toBe(200);
    writeFileSync(bad, '');
    child.kill('SIGHUP');
    await expect.poll(() => output.text, { timeout: 20_000 }).toContain('catalog reloaded');
    rmSync(bad);
    expect(await stopped(child)).toBe(0);
  });

  it('drains on SIGTERM: every request that was taken is answered, and it exits 0', async () => {
    const { child, url } = await start();
    const requests = Array.from({ length: 50 }, () =>
      fetch(url, { method: 'POST', headers: JSON_TYPE, body: bannerRequest() }).then(
        (response) => response.status,
        () => 'refused',
      ),
    );
    await Promise.race(requests);
    expect(await stopped(child)).toBe(0);
    const outcomes = await Promise.all(requests);
    expect(outcomes.filter((outcome) => outcome === 200).length).toBeGreaterThan(0);
    for (const outcome of outcomes) expect([200, 204, 'refused']).toContain(outcome);
  });

  it.each([
    ['an unknown model', { models: { pctr: 'nothing' } }, /VK_MODEL_UNKNOWN: models\.pctr: .*'nothing'.*pctr_dlrm/],
    ['the mode that is not there yet', { bidding: { mode: 'shaded' } }, /VK_CONFIG_INVALID: .*not available yet/],
    ['a missing catalog', { catalog: { directory: '/nonexistent' } }, /VK_CATALOG/],
  ])('refuses to start with %s, and says who can fix it', async (_name, changes, message) => {
    const { child, output } = await start(changes);
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(1);
    expect(output.text).toMatch(message);
    expect(output.text).toMatch(/To be fixed by the (operator|catalog owner)/);
  });
});
