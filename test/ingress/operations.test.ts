import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OperationsServer, startOperations } from '../../src/ingress/index.js';
import { TestLog } from './support.js';

describe('operations', () => {
  const state = { live: true, ready: false };
  const log = new TestLog();
  let server: OperationsServer;
  const base = { host: '127.0.0.1', log, live: () => state.live, ready: () => state.ready };
  const admin = {
    echo: async (body: unknown) => ({ status: 200, json: { body: body ?? 'none' } }),
    refuse: async () => ({ status: 422, json: { errors: ['a.yaml: no'] } }),
    fail: async () => Promise.reject(new Error('a bug for the test')),
  };
  const metrics = async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' });

  beforeAll(async () => {
    server = await startOperations({ ...base, port: 0, token: 'secret', admin, metrics });
  });
  afterAll(() => server.close());

  const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${server.port}${path}`, init);
  const withToken = (body?: string): RequestInit => ({
    method: 'POST',
    headers: { authorization: 'Bearer secret' },
    body,
  });

  it('health follows the state', async () => {
    expect((await ask('/healthz/live')).status).toBe(200);
    expect((await ask('/healthz/ready')).status).toBe(503);
    state.ready = true;
    expect((await ask('/healthz/ready')).status).toBe(200);
    state.live = false;
    expect((await ask('/healthz/live')).status).toBe(503);
  });

  it('gives the metrics', async () => {
    const response = await ask('/metrics');
    expect([response.headers.get('content-type'), await response.text()]).toEqual([
      'text/plain; version=0.0.4',
      'up 1\n',
    ]);
  });

  it.each<[string, RequestInit, number]>([
    ['/', {}, 404],
    ['/metrics', { method: 'POST' }, 405],
    ['/healthz/ready?verbose', {}, 200],
    ['/admin/echo', { method: 'POST' }, 401],
    ['/admin/echo', { method: 'POST', headers: { authorization: 'Bearer wrong' } }, 401],
    ['/admin/echo', { method: 'POST', headers: { authorization: 'secret' } }, 401],
    ['/admin/nobody', {}, 401],
    ['/admin/nobody', withToken(), 404],
    ['/admin/__proto__', withToken(), 404],
    ['/admin/echo', { ...withToken(), method: 'GET' }, 405],
    ['/admin/echo', withToken(), 200],
    ['/admin/echo', withToken('{"a":1}'), 200],
    ['/admin/echo', withToken('{'), 400],
    ['/admin/echo', withToken(`"${'x'.repeat(100_000)}"`), 413],
    ['/admin/refuse', withToken(), 422],
    ['/admin/fail', withToken(), 500],
  ])('%s %o is %i', async (path, init, status) => {
    expect((await ask(path, init)).status).toBe(status);
  });

  it('hands the body to the handler, and its result back', async () => {
    expect(await (await ask('/admin/echo', withToken('{"a":1}'))).json()).toEqual({ body: { a: 1 } });
    expect(await (await ask('/admin/refuse', withToken())).json()).toEqual({ errors: ['a.yaml: no'] });
  });

  it('without a token there is no admin', async () => {
    const closed = await startOperations({ ...base, port: 0, token: '', admin, metrics });
    const headers = { authorization: 'Bearer ' };
    const response = await fetch(`http://127.0.0.1:${closed.port}/admin/echo`, { method: 'POST', headers });
    expect(response.status).toBe(401);
    await closed.close();
  });

  it('says which port it cannot have', async () => {
    const second = startOperations({ ...base, port: server.port, token: '', admin, metrics });
    await expect(second).rejects.toMatchObject({ code: 'VK_PORT_UNAVAILABLE' });
  });
});
