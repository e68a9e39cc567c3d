/** A model that runs on another server, which here is a second Vickrey: what happens when it dies, is slow, or is dear. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  identityConfig,
  type ModelServerUnderTest,
  Repository,
  rowsOf,
  ServerProcess,
  startModels,
  tensors,
} from './model-support.js';

const remoteRepository = new Repository();
const repository = new Repository();
let remote: ServerProcess;
let near: ModelServerUnderTest;

const remoteConfig = (remoteModel: string, more: Record<string, string | number>) => `
  backend: "remote" max_batch_size: 64 ${tensors()}
  ${Object.entries({ remote_endpoint: `127.0.0.1:${remote.grpcPort}`, remote_model: remoteModel, ...more })
    .map(([key, value]) => `parameters { key: "${key}" value { string_value: "${value}" } }`)
    .join('\n')}`;

beforeAll(async () => {
  // The far model adds nothing, so the answers of both sides are known; each takes its own time.
  remoteRepository.put('far', identityConfig('instance_group { count: 8 }', 2));
  remoteRepository.put('far_slow', identityConfig('instance_group { count: 8 }', 2_000));
  remoteRepository.put('far_dear', identityConfig('', 30));
  remote = await ServerProcess.start(remoteRepository);
  const breaker = { remote_breaker_failures: 3, remote_breaker_open_ms: 200, remote_timeout_ms: 1_000 };
  repository
    .put('local', identityConfig('instance_group { count: 8 }'))
    .put('with_fallback', remoteConfig('far', { ...breaker, local_model: 'local' }))
    .put('local_dear', identityConfig('', 30))
    .put('cheap_here', remoteConfig('far_dear', { route: 'cost', local_model: 'local' }))
    .put('cheap_there', remoteConfig('far', { route: 'cost', local_model: 'local_dear' }))
    .put('alone', remoteConfig('far', breaker))
    .put(
      'timed',
      `${remoteConfig('far_slow', { remote_timeout_ms: 10_000 })}
       dynamic_batching { default_queue_policy {
         default_timeout_microseconds: 5000000 allow_timeout_override: true } }`,
    );
  near = await startModels(repository);
});
afterAll(async () => {
  await near?.running.stop();
  await remote?.kill();
  repository.remove();
  remoteRepository.remove();
});

/** Clients that ask until they are told to stop; every answer is checked. */
function load(model: string, clients: number) {
  const seen = { answered: 0, wrong: [] as string[] };
  let stopped = false;
  const client = async (number: number) => {
    for (let i = 0; !stopped; i++) {
      const value = number * 10_000 + (i % 10_000);
      try {
        const got = await near.v2.values(model, [rowsOf(value, -value)]);
        if (got[0] !== value || got[1] !== -value) seen.wrong.push(`${value}: ${got}`);
        seen.answered++;
      } catch (error) {
        seen.wrong.push(String(error));
      }
    }
  };
  const all = Promise.all(Array.from({ length: clients }, (_, i) => client(i + 1)));
  const stop = async () => {
    stopped = true;
    await all;
    return seen;
  };
  return { seen, stop };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a remote model', () => {
  it('passes the deadline on: a slow remote is given up in time', async () => {
    const startMs = performance.now();
    const { status, json } = await near.v2.infer('timed', [rowsOf(1)], { timeout: 300_000 });
    expect(status).toBe(503);
    expect(json.error).toMatch(/timeout expired/);
    // Without the deadline the answer would come after 2 s.
    expect(performance.now() - startMs).toBeLessThan(1_500);
    expect(await near.v2.values('timed', [rowsOf(7)])).toEqual([7]);
  });

  it.each([
    ['cheap_here', 'local'],
    ['cheap_there', 'remote'],
  ])('with route cost goes where it was measured to be cheaper: %s', async (model, cheaper) => {
    const routed = (route: string) =>
      near.v2.metric('vickrey_remote_batches_total', `model="${model}"`, `route="${route}"`);
    for (let i = 0; i < 100; i++) expect(await near.v2.values(model, [rowsOf(i)])).toEqual([i]);
    // Eight trials on either side, then one in 32 on the dearer one.
    expect((await routed('local')) + (await routed('remote'))).toBe(100);
    expect(await routed(cheaper)).toBeGreaterThan(70);
  });

  it('loses no request when its remote is killed, and returns to it when it is back', async () => {
    const { v2 } = near;
    const routed = (route: string) =>
      v2.metric('vickrey_remote_batches_total', 'model="with_fallback"', `route="${route}"`);
    const isClosed = () => v2.metric('vickrey_remote_breaker_closed', 'model="with_fallback"');
    const { seen, stop } = load('with_fallback', 8);
    await expect.poll(() => seen.answered, { timeout: 10_000 }).toBeGreaterThan(100);
    expect(await routed('fallback')).toBe(0);
    expect(await isClosed()).toBe(1);

    const { grpcPort } = remote;
    await remote.kill('SIGKILL');
    await expect.poll(isClosed, { timeout: 10_000 }).toBe(0);
    const atKill = seen.answered;
    await expect.poll(() => seen.answered, { timeout: 10_000 }).toBeGreaterThan(atKill + 100);
    expect(await routed('fallback')).toBeGreaterThan(0);
    const alone = await v2.infer('alone', [rowsOf(1)]);
    expect(alone.status).toBe(503);
    expect(alone.json.error).toContain("the remote of model 'alone'");

    remote = await ServerProcess.start(remoteRepository, { grpc_port: grpcPort });
    await expect.poll(isClosed, { timeout: 10_000 }).toBe(1);
    await pause(100);
    const fallbacks = await routed('fallback');
    const atReturn = seen.answered;
    await expect.poll(() => seen.answered, { timeout: 10_000 }).toBeGreaterThan(atReturn + 100);
    expect(await routed('fallback')).toBe(fallbacks);
    const { wrong } = await stop();
    expect(wrong).toEqual([]);
    await expect.poll(() => v2.values('alone', [rowsOf(3)]).catch(() => []), { timeout: 10_000 }).toEqual([3]);
  }, 60_000);
});
