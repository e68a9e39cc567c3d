import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { builtFile } from '../../src/base/index.js';
import { startTestHttp, TestLog } from './support.js';

it('auto means uWebSockets.js where it loads', async () => {
  const log = new TestLog();
  const server = await startTestHttp({ backend: 'auto', log });
  expect([server.backend, log.lines]).toEqual(['uws', []]);
  await server.close();
});

// `--no-addons` makes every native addon fail to load: what happens on musl or an old glibc.
it('auto falls back to node:http with a warning that says why', async () => {
  const door = builtFile(new URL('../../src/ingress/index.ts', import.meta.url).href, './index.js').href;
  const script = `
    import { startHttp } from ${JSON.stringify(door)};
    const warnings = [];
    const log = { info() {}, warn: (fields, message) => warnings.push({ fields, message }), error() {} };
    const onBid = (exchange, body, reply) => reply.answer(0, '{}');
    const limits = { exchanges: [], bodyBytesMax: 1000, bodyDecompressedBytesMax: 1000 };
    const server = await startHttp({ host: '127.0.0.1', port: 0, backend: process.argv[1], ...limits, onBid, log });
    const request = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
    const { status } = await fetch('http://127.0.0.1:' + server.port + '/openrtb2/bid', request);
    await server.close();
    console.log(JSON.stringify({ backend: server.backend, status, warnings }));
  `;
  const run = (backend: string) =>
    promisify(execFile)(process.execPath, ['--no-addons', '--input-type=module', '-e', script, backend]);
  const { backend, status, warnings } = JSON.parse((await run('auto')).stdout);
  expect([backend, status, warnings.length]).toEqual(['node', 200, 1]);
  expect(warnings[0].fields.reason).toMatch(/addon/i);
  await expect(run('uws')).rejects.toThrow(/uWS|addon/);
});
