import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/base/index.js';
import { type ExecutorBatch, InferError, type OnExecuted } from '../../../src/contract/index.js';
import { makeExecutor } from '../../../src/inference/backends/make-executor.js';
import type { LocalModel, RemoteExecutor } from '../../../src/inference/backends/remote.js';
import { batchOf, modelConfig, run } from './model.js';
import {
  type Handler,
  type RemoteServer,
  rightAnswer,
  startRemote,
  type WireRequest,
  writeResponse,
} from './remote-server.js';

/** Long enough that only a remote that hangs ever meets it. */
const PATIENT = { remote_timeout_ms: '20000' };

const right: Handler = (request, answer) => answer(null, writeResponse(rightAnswer(request)));
const hang: Handler = () => {};
const failing =
  (code: status): Handler =>
  (_request, answer) =>
    answer({ code, details: 'because' });

/** Answers zeros, which no remote of these tests does. */
const local: LocalModel = (batch, done) => {
  const bytes = new Uint8Array(batch.rows * 8);
  setImmediate(() => done(null, [{ name: 'Y', dataType: 'FP32', shape: [batch.rows, 2], bytes }]));
};

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

async function remoteWith(handler: Handler): Promise<RemoteServer> {
  const server = await startRemote(handler);
  cleanUps.push(() => server.close());
  return server;
}

function executorFor(
  port: number,
  parameters: Record<string, string> = {},
  others: { local?: LocalModel; clock?: Clock; random?: () => number; log?: (message: string) => void } = {},
): RemoteExecutor {
  const config = modelConfig('remote', { remote_endpoint: `127.0.0.1:${port}`, ...PATIENT, ...parameters });
  const log = others.log ?? (() => {});
  const executor = makeExecutor(config, {
    clock: others.clock ?? systemClock,
    random: others.random ?? (() => 0.5),
    local: others.local ?? null,
    log: { info: (_fields, message) => log(message), warn: (_fields, message) => log(message) },
  }) as RemoteExecutor;
  cleanUps.unshift(() => executor.close());
  return executor;
}

async function closedPort(): Promise<number> {
  const server = await startRemote(right);
  server.close();
  return server.port;
}

describe('a remote that answers', () => {
  it('gets raw tensors under its own name and version, and gives outputs in the order of the batch', async () => {
    const seen: WireRequest[] = [];
    const server = await remoteWith((request, answer) => {
      seen.push(request);
      const [{ shape }] = request.inputs;
      const other = { name: 'Z', datatype: 'BYTES', shape: [1, 1] };
      const { outputs, raw_output_contents } = rightAnswer(request);
      answer(
        null,
        writeResponse({
          outputs: [other, ...outputs],
          raw_output_contents: [new Uint8Array(4), ...raw_output_contents],
        }),
      );
      expect(shape).toEqual([1, 2]);
    });
    const executor = executorFor(server.port, { remote_model: 'their-name', remote_model_version: '3' });
    const batch = batchOf(1);
    expect(await run(executor, batch)).toEqual([
      { name: 'Y', dataType: 'FP32', shape: [1, 2], bytes: Buffer.from(batch.inputs[0].bytes) },
    ]);
    expect(seen).toMatchObject([
      {
        model_name: 'their-name',
        model_version: '3',
        inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 2] }],
        outputs: [{ name: 'Y' }],
        raw_input_contents: [Buffer.from(batch.inputs[0].bytes)],
      },
    ]);
    expect(executor.stats()).toMatchObject({ routedRemote: 1, calls: 1, fallbacks: 0, breaker: 'closed', inFlight: 0 });
  });

  it.each([
    ['the batch', 5_000_000, '20000', 5_000],
    ['remote_timeout_ms', 50_000_000, '3000', 3_000],
    ['remote_timeout_ms, there being no other', Infinity, '3000', 3_000],
  ])('sees the deadline of %s', async (_whose, leftUs, timeoutMs, expectedMs) => {
    let leftMs = 0;
    let queueUs = 0;
    const server = await remoteWith((request, answer, call) => {
      leftMs = Number(call.getDeadline()) - Date.now();
      queueUs = request.parameters.timeout.int64_param;
      right(request, answer, call, undefined!);
    });
    const executor = executorFor(server.port, { remote_timeout_ms: timeoutMs });
    await run(executor, batchOf(1, systemClock.nowUs() + leftUs));
    expect(leftMs).toBeLessThanOrEqual(expectedMs + 1);
    expect(leftMs).toBeGreaterThan(expectedMs / 2);
    expect(queueUs).toBeLessThanOrEqual(expectedMs * 1000);
    expect(queueUs).toBeGreaterThan(expectedMs * 900);
  });

  it('is called over remote_connections connections', async () => {
    const server = await remoteWith(right);
    const executor = executorFor(server.port, { remote_connections: '3' });
    for (let i = 0; i < 9; i++) await run(executor, batchOf(1));
    expect(server.peers.size).toBe(3);
  });

  it('is called with at most remote_in_flight_max batches at once', async () => {
    const answers: (() => void)[] = [];
    const server = await remoteWith((request, answer, call, self) =>
      answers.push(() => right(request, answer, call, self)),
    );
    const executor = executorFor(server.port, { remote_in_flight_max: '2' });
    expect(executor.concurrencyMax).toBe(2);
    const first = [run(executor, batchOf(1)), run(executor, batchOf(1))];
    await expect(run(executor, batchOf(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(executor.stats().notCalled.saturated).toBe(1);
    while (answers.length < 2) await new Promise(setImmediate);
    for (const answer of answers) answer();
    await Promise.all(first);
  });

  it('is not asked for what is late already', async () => {
    const server = await remoteWith(right);
    const executor = executorFor(server.port, {}, { local });
    await expect(run(executor, batchOf(1, systemClock.nowUs() - 1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(executor.stats()).toMatchObject({ late: 1, calls: 0, fallbacks: 0 });
  });
});

/** By name: the handler, what it is counted as, and what a client without a local model is told. */
const SICK: readonly [name: string, handler: Handler | null, failure: string, code: string, timeoutMs: string][] = [
  ['hangs', hang, 'timeout', 'UNAVAILABLE', '50'],
  ['refuses', null, 'unavailable', 'UNAVAILABLE', '20000'],
  ['says UNAVAILABLE', failing(status.UNAVAILABLE), 'unavailable', 'UNAVAILABLE', '20000'],
  ['says INTERNAL', failing(status.INTERNAL), 'other', 'INTERNAL', '20000'],
  ['does not know the model', failing(status.NOT_FOUND), 'other', 'INTERNAL', '20000'],
  ['goes down mid-batch', (_request, _answer, _call, remote) => remote.close(), 'unavailable', 'UNAVAILABLE', '20000'],
  ['dies mid-batch', (_request, _answer, _call, remote) => remote.cut(), 'unavailable', 'UNAVAILABLE', '20000'],
  [
    'answers garbage',
    (_request, answer) => answer(null, Buffer.from('no protobuf')),
    'invalid_answer',
    'INTERNAL',
    '20000',
  ],
];

describe.each(SICK)('a remote that %s', (_name, handler, failure, code, timeoutMs) => {
  const port = async () => (handler === null ? closedPort() : (await remoteWith(handler)).port);

  it(`fails the batch with ${code}, counted as ${failure}`, async () => {
    const executor = executorFor(await port(), { remote_timeout_ms: timeoutMs });
    const error = await run(executor, batchOf(2)).catch((cause) => cause);
    expect(error).toBeInstanceOf(InferError);
    expect(error).toMatchObject({ code, message: expect.stringContaining("the remote of model 'm'") });
    expect(error.message).not.toContain('127.0.0.1');
    expect(executor.stats()).toMatchObject({ calls: 1, failures: { [failure]: 1 }, inFlight: 0 });
  });

  it('is stood in for by the local model, and not called any more once the breaker is open', async () => {
    const logged: string[] = [];
    const parameters = {
      remote_timeout_ms: timeoutMs,
      remote_breaker_failures: '2',
      remote_breaker_open_ms: '3600000',
    };
    const executor = executorFor(await port(), parameters, { local, log: (message) => logged.push(message) });
    for (let i = 0; i < 4; i++) {
      const [output] = await run(executor, batchOf(2));
      expect(output.bytes).toEqual(new Uint8Array(16));
    }
    const stats = executor.stats();
    expect(stats).toMatchObject({ calls: 2, fallbacks: 4, breaker: 'open', breakerOpened: 1, routedRemote: 4 });
    expect(stats.notCalled.breaker_open).toBe(2);
    expect(Object.values(stats.failures).reduce((sum, count) => sum + count)).toBe(2);
    expect(logged).toEqual(['remote keeps failing; breaker open']);
  });
});

/** Each differs in one thing from the right answer to a batch of two rows. */
const FP32_2 = { name: 'Y', datatype: 'FP32', shape: [2, 2] };
const WRONG: readonly [what: string, outputs: (typeof FP32_2)[], raw: number[], part: string][] = [
  ['no output', [], [], "'Y' is missing"],
  ['an output of another name', [{ ...FP32_2, name: 'Q' }], [16], "'Y' is missing"],
  ['another type', [{ ...FP32_2, datatype: 'INT32' }], [16], 'INT32 instead of FP32'],
  ['a row too few', [{ ...FP32_2, shape: [1, 2] }], [8], '[1,2] instead of [2,2]'],
  ['another second dimension', [{ ...FP32_2, shape: [2, 3] }], [24], '[2,3] instead of [2,2]'],
  ['another rank', [{ ...FP32_2, shape: [2, 2, 1] }], [16], '[2,2,1] instead of [2,2]'],
  ['a negative dimension', [{ ...FP32_2, shape: [-2, -2] }], [16], '[-2,-2] instead of [2,2]'],
  ['a byte too few', [FP32_2], [15], '15 bytes'],
  ['a byte too many', [FP32_2], [17], '17 bytes'],
  ['no raw contents', [FP32_2], [], '1 outputs but 0 raw contents'],
  ['contents without an output', [FP32_2], [16, 16], '1 outputs but 2 raw contents'],
];

describe('an answer is refused when it has', () => {
  it.each(WRONG)('%s', async (_what, outputs, raw, part) => {
    const answer = writeResponse({ outputs, raw_output_contents: raw.map((length) => new Uint8Array(length)) });
    const server = await remoteWith((_request, reply) => reply(null, answer));
    const executor = executorFor(server.port);
    const error = await run(executor, batchOf(2)).catch((cause) => cause);
    expect(error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining(part) });
    expect(executor.stats().failures.invalid_answer).toBe(1);
  });
});

describe('models that differ from the one above', () => {
  const { outputs } = modelConfig('remote', {});
  const dependencies = { clock: systemClock, random: () => 0.5, local: null };

  it.each([
    ['elements that add up', [2, 1], Uint8Array.of(1, 0, 0, 0, 65, 0, 0, 0, 0), true],
    ['an element too few', [3, 1], Uint8Array.of(1, 0, 0, 0, 65, 0, 0, 0, 0), false],
    ['a length beyond the end', [2, 1], Uint8Array.of(1, 0, 0, 0, 65, 1, 0, 0, 0), false],
    ['a torn length', [1, 1], Uint8Array.of(0, 0, 0), false],
    ['no element at all', [0, 1], new Uint8Array(0), true],
  ])('BYTES: %s', async (_what, shape, bytes, good) => {
    const answer = writeResponse({ outputs: [{ name: 'Y', datatype: 'BYTES', shape }], raw_output_contents: [bytes] });
    const server = await remoteWith((_request, reply) => reply(null, answer));
    const config = modelConfig(
      'remote',
      { remote_endpoint: `127.0.0.1:${server.port}`, ...PATIENT },
      { maxBatchSize: 0, outputs: [{ ...outputs[0], dataType: 'BYTES', dims: [-1, 1] }] },
    );
    const executor = makeExecutor(config, dependencies);
    cleanUps.unshift(() => executor.close());
    const batch = { ...batchOf(1), outputs: [{ name: 'Y', dataType: 'BYTES' as const }] };
    if (good)
      expect((await run(executor, batch))[0]).toMatchObject({ dataType: 'BYTES', shape, bytes: Buffer.from(bytes) });
    else await expect(run(executor, batch)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('that do not batch have their own first dimension, and may be large', async () => {
    const server = await remoteWith(right);
    const config = modelConfig(
      'remote',
      { remote_endpoint: `127.0.0.1:${server.port}`, ...PATIENT },
      { maxBatchSize: 0, outputs: [{ ...outputs[0], dims: [-1, 2] }] },
    );
    const executor = makeExecutor(config, dependencies);
    cleanUps.unshift(() => executor.close());
    // 8 MB: twice what the library takes by default.
    const batch = { ...batchOf(1_000_000), rows: 1 };
    const [output] = await run(executor, batch);
    expect(output.shape).toEqual([1_000_000, 2]);
    expect(Buffer.compare(output.bytes, batch.inputs[0].bytes)).toBe(0);
  });
});

describe('a remote that fails now and then', () => {
  it('passes INVALID_ARGUMENT on without counting it against the remote', async () => {
    const server = await remoteWith(failing(status.INVALID_ARGUMENT));
    const executor = executorFor(server.port, { remote_breaker_failures: '1' }, { local });
    for (let i = 0; i < 3; i++) {
      await expect(run(executor, batchOf(1))).rejects.toMatchObject({ code: 'INVALID_ARG', message: 'because' });
    }
    expect(executor.stats()).toMatchObject({ calls: 3, failures: { rejected: 3 }, fallbacks: 0, breaker: 'closed' });
  });

  it('does not trouble the local model with what is late by then', async () => {
    const server = await remoteWith(hang);
    const executor = executorFor(server.port, {}, { local });
    await expect(run(executor, batchOf(1, systemClock.nowUs() + 30_000))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(executor.stats()).toMatchObject({ calls: 1, failures: { timeout: 1 }, late: 1, fallbacks: 0 });
  });

  it('is used again after one probe that succeeds', async () => {
    let nowUs = 0;
    const logged: string[] = [];
    const server = await remoteWith(failing(status.UNAVAILABLE));
    const executor = executorFor(
      server.port,
      { remote_breaker_failures: '1', remote_breaker_open_ms: '10' },
      { local, clock: { nowUs: () => nowUs, epochMs: () => 0 }, log: (message) => logged.push(message) },
    );
    await run(executor, batchOf(1));
    server.handler = right;
    await run(executor, batchOf(1));
    expect(executor.stats()).toMatchObject({ calls: 1, fallbacks: 2, breaker: 'open' });
    nowUs += 10_000;
    const [probe, beside] = await Promise.all([run(executor, batchOf(3)), run(executor, batchOf(3))]);
    expect(probe[0].bytes).toEqual(Buffer.from(batchOf(3).inputs[0].bytes));
    expect(beside[0].bytes).toEqual(new Uint8Array(24));
    await run(executor, batchOf(1));
    expect(executor.stats()).toMatchObject({ calls: 3, fallbacks: 3, breaker: 'closed', breakerOpened: 1 });
    expect(logged).toEqual(['remote keeps failing; breaker open', 'remote answers again; breaker closed']);
  });

  it('is reached again when it comes back on the same port', async () => {
    const port = await closedPort();
    const executor = executorFor(port, { remote_breaker_failures: '1000000' }, { local });
    await run(executor, batchOf(1));
    expect(executor.stats().fallbacks).toBe(1);
    const server = await startRemote(right, port);
    cleanUps.push(() => server.close());
    while (server.peers.size === 0) {
      await run(executor, batchOf(1));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
});

describe('closing', () => {
  it('fails what is in flight, once, without the local model, and refuses what comes after', async () => {
    let asked = 0;
    const server = await remoteWith(() => asked++);
    const executor = executorFor(server.port, {}, { local });
    const waiting = [run(executor, batchOf(1)), run(executor, batchOf(1))];
    const failed = waiting.map((batch) => expect(batch).rejects.toMatchObject({ code: 'UNAVAILABLE' }));
    while (asked < 2) await new Promise(setImmediate);
    await executor.close();
    await Promise.all(failed);
    expect(executor.stats()).toMatchObject({ fallbacks: 0, inFlight: 0, breaker: 'closed' });
    await expect(run(executor, batchOf(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('route: cost', () => {
  it('sends small batches to the local model and large ones to the remote when the clock says so', async () => {
    // The remote takes 5 ms whatever the size, the local model 1 ms per row; one batch at a time, on a clock of our own.
    let nowUs = 0;
    const server = await remoteWith((request, answer, call, self) => {
      nowUs += 5_000;
      right(request, answer, call, self);
    });
    const slowLocal: LocalModel = (batch: ExecutorBatch, done: OnExecuted) => {
      nowUs += batch.rows * 1_000;
      local(batch, done);
    };
    const executor = executorFor(
      server.port,
      { route: 'cost', local_model: 'small' },
      { local: slowLocal, clock: { nowUs: () => nowUs, epochMs: () => 0 } },
    );
    const sizes = [1, 2, 16, 64];
    for (let i = 0; i < 32; i++) await run(executor, batchOf(sizes[(i >> 1) % 4]));
    for (const [rows, side] of [
      [1, 'routedLocal'],
      [2, 'routedLocal'],
      [16, 'routedRemote'],
      [64, 'routedRemote'],
    ] as const) {
      const before = executor.stats()[side];
      await run(executor, batchOf(rows));
      expect(executor.stats()[side], `${rows} rows`).toBe(before + 1);
    }
  });
});

describe('parameters', () => {
  const good = { remote_endpoint: 'gpu-7.example:8001' };
  it.each([
    ['remote_endpoint', { remote_endpoint: '' }],
    ['remote_endpoint', { remote_endpoint: 'gpu' }],
    ['remote_endpoint', { remote_endpoint: 'gpu:0' }],
    ['remote_endpoint', { remote_endpoint: 'gpu:65536' }],
    ['remote_endpoint', { remote_endpoint: 'http://gpu:8001' }],
    ['remote_endpoint', { remote_endpoint: 'unix:/tmp/socket' }],
    ['remote_model_version', { remote_model_version: 'latest' }],
    ['remote_connections', { remote_connections: '0' }],
    ['remote_in_flight_max', { remote_in_flight_max: '-1' }],
    ['remote_timeout_ms', { remote_timeout_ms: '1.5' }],
    ['remote_timeout_ms', { remote_timeout_ms: '600001' }],
    ['remote_breaker_failures', { remote_breaker_failures: 'five' }],
    ['remote_breaker_open_ms', { remote_breaker_open_ms: '1e3' }],
    ['route', { route: 'local_first' }],
    ['route', { route: 'cost' }],
    ['local_model', { local_model: 'm' }],
    ['remote_tiemout_ms', { remote_tiemout_ms: '100' }],
  ])('%s is refused by name: %j', (name, parameters: Record<string, string>) => {
    const dependencies = { clock: systemClock, random: () => 0.5, local };
    const make = () => makeExecutor(modelConfig('remote', { ...good, ...parameters }), dependencies);
    expect(make).toThrow(
      expect.objectContaining({ code: 'VK_MODEL_CONFIG', message: expect.stringContaining(`parameter '${name}'`) }),
    );
  });

  it.each(['gpu-7.example:8001', '10.0.0.7:8001', '[::1]:8001', 'host_name:1'])(
    'endpoint %s is taken',
    async (endpoint) => {
      const dependencies = { clock: systemClock, random: () => 0.5, local: null };
      const executor = makeExecutor(modelConfig('remote', { remote_endpoint: endpoint }), dependencies);
      expect(executor.concurrencyMax).toBe(16);
      await executor.close();
    },
  );
});
