import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/index.js';
import type { Engine } from '../../src/inference/index.js';
import { CONTROL } from '../../src/inference/worker-protocol.js';
import { singleScope, slow, twoScope, twoScopeScore } from './fixtures/models.js';
import { Recorder, start, until } from './fixtures/recorder.js';

const NEVER = Number.POSITIVE_INFINITY;

let engine: Engine | undefined;
afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

type Candidate = { requestRow: number; ids: [number, number]; number: number };
type Request = { rows: { ids: [number, number]; number: number }[]; candidates: Candidate[] };

/** Reserves and writes one request of the two-scope fixture; false when refused. */
function ask(target: Engine, model: number, ticket: number, request: Request, deadlineUs = NEVER): boolean {
  const batch = target.reserve(model, request.rows.length, request.candidates.length, ticket, deadlineUs);
  if (batch === null) return false;
  const { requestRow, candidateRow } = target;
  const [requestIds, requestNumbers, candidateIds, candidateNumbers] = batch.inputs;
  request.rows.forEach(({ ids, number }, i) => {
    requestIds.set(ids, (requestRow + i) * 2);
    requestNumbers[requestRow + i] = number;
  });
  request.candidates.forEach((candidate, i) => {
    batch.requestIndex[candidateRow + i] = requestRow + candidate.requestRow;
    candidateIds.set(candidate.ids, (candidateRow + i) * 2);
    candidateNumbers[candidateRow + i] = candidate.number;
  });
  return true;
}

function expected(request: Request): number[] {
  return request.candidates.map(({ requestRow, ids, number }) => {
    const row = request.rows[requestRow];
    return twoScopeScore(row.ids, row.number, ids, number);
  });
}

/** One request row and these candidates. */
function simple(id: number, candidates: number, number = 1): Request {
  const candidate = (i: number): Candidate => ({ requestRow: 0, ids: [i, 1], number: 2 });
  return { rows: [{ ids: [id, 5], number }], candidates: Array.from({ length: candidates }, (_, i) => candidate(i)) };
}

describe('engine', () => {
  it('answers each ticket with the scores of its own rows, over any requests and models', async () => {
    const recorder = new Recorder();
    const models = [twoScope(), singleScope(), twoScope({ candidateRowsMax: 16, requestRowsMax: 3 })];
    const running = await start(models, recorder, { workers: 2 });
    engine = running;
    const small = fc.integer({ min: 0, max: 63 });
    const ids = fc.tuple(small, small);
    const request: fc.Arbitrary<Request> = fc.integer({ min: 1, max: 3 }).chain((rowCount) =>
      fc.record({
        rows: fc.array(fc.record({ ids, number: small }), { minLength: rowCount, maxLength: rowCount }),
        candidates: fc.array(fc.record({ requestRow: fc.nat(rowCount - 1), ids, number: small }), {
          minLength: 1,
          maxLength: 16,
        }),
      }),
    );
    const turn = fc.array(fc.tuple(fc.constantFrom(0, 2), request), { maxLength: 8 });
    let ticket = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { maxLength: 8 }), async (turns) => {
        const asked = new Map<number, number[]>();
        for (const requests of turns) {
          for (const [model, request] of requests) {
            ticket++;
            if (ask(running, model, ticket, request)) asked.set(ticket, expected(request));
            const single = running.reserve(1, 0, 1, -ticket, NEVER);
            if (single === null) continue;
            single.inputs[0].set([ticket % 100, 1, 2], running.candidateRow * 3);
            asked.set(-ticket, [(ticket % 100) + 2 + 8]);
          }
          running.flush();
          await new Promise((resolve) => setImmediate(resolve));
        }
        await running.drain();
        for (const [id, scores] of asked) expect(recorder.answers.get(id)?.scores).toEqual(scores);
        expect(recorder.answers.size).toBe(asked.size);
        expect(recorder.repeated).toEqual([]);
        recorder.answers.clear();
      }),
      { numRuns: 60 },
    );
  });

  it('puts requests that come while the workers are busy into one batch', async () => {
    const recorder = new Recorder();
    engine = await start([twoScope(), slow()], recorder);
    const busy = engine.reserve(1, 0, 1, 100, NEVER);
    busy!.inputs[0][engine.candidateRow] = 200;
    engine.flush();
    for (let ticket = 0; ticket < 4; ticket++) {
      ask(engine, 0, ticket, simple(ticket, 10));
      engine.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await engine.drain();
    expect(recorder.answers.size).toBe(5);
    const [model] = engine.stats().models;
    expect(model).toMatchObject({
      batches: 1,
      requestRows: 4,
      candidateRows: 40,
      waiting: 0,
      running: 0,
      slabsFree: 4,
    });
    // 32 < 40 ≤ 64.
    expect(model.rowsHistogram[6]).toBe(1);
    expect(recorder.batchEnds).toEqual([1, 0]);
  });

  it('is warm when it starts: the costs are fitted', async () => {
    engine = await start([twoScope(), singleScope()], new Recorder(), { workers: 2 });
    const stats = engine.stats();
    // Two instances of each model, since nothing says otherwise.
    expect(stats).toMatchObject({ workers: 2, instancesUp: 4, workersLost: 0 });
    for (const { cost } of stats.models) expect(cost.a + cost.b).toBeGreaterThan(0);
    expect(engine.estimateUs(0, 64)).toBeGreaterThan(0);
    expect(engine.estimateUs(0, 64)).toBeLessThan(1_000_000);
    expect([engine.modelIndex('single_scope'), engine.modelIndex('none')]).toEqual([1, -1]);
    // onnxruntime-node takes shared memory from Node 22 on; the workers find out by trying.
    expect(stats.readsSharedMemory).toBe(Number(process.versions.node.split('.')[0]) >= 22);
  });

  it('refuses with null when every slab is taken, and counts it', async () => {
    const recorder = new Recorder();
    engine = await start([twoScope()], recorder, { slabsPerModel: 2 });
    const taken = [0, 1, 2].map((ticket) => ask(engine!, 0, ticket, simple(ticket, 64)));
    expect(taken).toEqual([true, true, false]);
    expect(engine.stats().models[0].refused).toBe(1);
    engine.flush();
    await engine.drain();
    expect([...recorder.answers.keys()]).toEqual([0, 1]);
  });

  it('takes a late wake-up for what it is: the event loop may be preempted between ringing and waking', async () => {
    const recorder = new Recorder();
    const running = await start([twoScope()], recorder);
    engine = running;
    const { pool } = running as unknown as {
      pool: { groups: Map<number, { seats: { control: Int32Array }[] }> };
    };
    const control = pool.groups.get(0)?.seats[0].control as Int32Array;
    for (let ticket = 0; ticket < 200; ticket++) {
      ask(running, 0, ticket, simple(3, 2));
      running.flush();
      await until(() => recorder.answers.has(ticket), running);
      Atomics.notify(control, CONTROL.doorbell);
    }
    expect(recorder.repeated).toEqual([]);
    expect(running.stats().models[0].batches).toBe(200);
  });

  it('refuses to start when the graph has no room for the highest ids of its features', async () => {
    const model = twoScope();
    const [ids, ...others] = model.signature.inputs;
    const withHighest = (id: number) => ({
      ...model,
      signature: { ...model.signature, inputs: [{ ...ids, highest: [id, 9] }, ...others] },
    });
    engine = await start([withHighest(63)], new Recorder());
    await expect(start([withHighest(64)], new Recorder())).rejects.toMatchObject({ code: 'VK_MODEL_SIGNATURE' });
  });

  it('says why the runtime refuses batches, once per reason', async () => {
    const recorder = new Recorder();
    const said: string[] = [];
    const running = await start([twoScope()], recorder, { onBatchRefused: (name) => said.push(name) });
    engine = running;
    for (let ticket = 0; ticket < 3; ticket++) {
      ask(running, 0, ticket, simple(999, 2));
      running.flush();
      await until(() => recorder.answers.has(ticket), running);
    }
    expect(said).toEqual(['two_scope']);
    expect(running.idle).toBe(true);
  });

  it('fails a batch that the runtime refuses, with its reason, and goes on', async () => {
    const recorder = new Recorder();
    engine = await start([twoScope()], recorder);
    ask(engine, 0, 1, simple(64, 3));
    ask(engine, 0, 2, simple(1, 3));
    engine.flush();
    await engine.drain();
    expect([...recorder.answers].map(([ticket, { scores }]) => [ticket, scores])).toEqual([
      [1, null],
      [2, null],
    ]);
    ask(engine, 0, 3, simple(1, 3));
    engine.flush();
    await engine.drain();
    expect(recorder.answers.get(3)?.scores).toEqual(expected(simple(1, 3)));
    expect(engine.stats()).toMatchObject({ instancesUp: 1, workersLost: 0 });
    expect(engine.stats().models[0]).toMatchObject({ batches: 1, batchesFailed: 1, ticketsFailed: 2 });
    expect(engine.stats().models[0].lastFailure).toMatch(/indices element out of data bounds/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'fails only the ticket whose scores are not finite: %d',
    async (bad) => {
      const recorder = new Recorder();
      engine = await start([twoScope()], recorder);
      ask(engine, 0, 1, simple(1, 3));
      ask(engine, 0, 2, simple(2, 3, bad));
      ask(engine, 0, 3, simple(3, 3));
      engine.flush();
      await engine.drain();
      expect(recorder.answers.get(1)?.scores).toEqual(expected(simple(1, 3)));
      expect(recorder.answers.get(2)?.scores).toBeNull();
      expect(recorder.answers.get(3)?.scores).toEqual(expected(simple(3, 3)));
      expect(engine.stats().models[0]).toMatchObject({
        batches: 1,
        batchesFailed: 0,
        ticketsFailed: 1,
        ticketsNonFinite: 1,
      });
    },
  );

  it('fails a batch that is already too late instead of running it', async () => {
    const recorder = new Recorder();
    engine = await start([twoScope()], recorder);
    ask(engine, 0, 1, simple(1, 3), systemClock.nowUs() - 1);
    engine.flush();
    expect(recorder.answers.get(1)?.scores).toBeNull();
    expect(engine.stats().models[0]).toMatchObject({ batches: 0, batchesExpired: 1, ticketsFailed: 1, slabsFree: 4 });
  });

  it('lets a listener reserve again from within its callbacks', async () => {
    class Relay extends Recorder {
      override onScores(ticket: number, model: number, scores: Float32Array, offset: number, count: number): void {
        super.onScores(ticket, model, scores, offset, count);
        if (ticket < 50) {
          expect(ask(engine!, 0, ticket + 1, simple(ticket + 1, 64))).toBe(true);
          engine!.flush();
        }
      }
    }
    const relay = new Relay();
    engine = await start([twoScope()], relay, { slabsPerModel: 2 });
    ask(engine, 0, 1, simple(1, 64));
    engine.flush();
    await until(() => relay.answers.size === 50);
    expect(relay.answers.get(50)?.scores).toEqual(expected(simple(50, 64)));
  });

  it('answers the other tickets of a batch when the listener throws for one', async () => {
    class Faulty extends Recorder {
      override onScores(ticket: number, model: number, scores: Float32Array, offset: number, count: number): void {
        if (ticket === 1) throw new Error('a bug of the listener');
        super.onScores(ticket, model, scores, offset, count);
      }

      override onFailed(ticket: number, model: number): void {
        if (ticket === 1) throw new Error('a bug of the listener');
        super.onFailed(ticket, model);
      }
    }
    const faulty = new Faulty();
    engine = await start([twoScope()], faulty);
    const late = systemClock.nowUs() - 1;
    for (const ticket of [1, 2]) ask(engine, 0, ticket, simple(1, 3), late);
    expect(() => engine!.flush()).toThrow('a bug of the listener');
    expect([...faulty.answers.keys()]).toEqual([2]);
    expect(engine.stats().models[0].slabsFree).toBe(4);
  });

  it('fails what waits when it is closed, and takes nothing any more', async () => {
    const recorder = new Recorder();
    engine = await start([slow()], recorder);
    const write = (ticket: number, turns: number) => {
      const batch = engine!.reserve(0, 0, 64, ticket, NEVER);
      batch?.inputs[0].fill(turns, engine!.candidateRow, engine!.candidateRow + 64);
      engine!.flush();
      return batch !== null;
    };
    write(1, 100);
    write(2, 1);
    const closed = engine.close();
    expect(recorder.answers.get(2)?.scores).toBeNull();
    expect(write(3, 1)).toBe(false);
    await closed;
    expect(recorder.answers.get(1)?.scores).toEqual(Array(64).fill(100));
    expect(recorder.answers.size).toBe(2);
  });

  it.each([
    [
      'an input that the graph does not have',
      { inputs: [{ name: 'features2', scope: 'candidate', type: 'float32', width: 3 }] },
      "no input 'features2'; it has 'features'",
    ],
    [
      'another type',
      { inputs: [{ name: 'features', scope: 'candidate', type: 'int32', width: 3 }] },
      "'features' is float32 in the graph; int32 is expected",
    ],
    [
      'another width',
      { inputs: [{ name: 'features', scope: 'candidate', type: 'float32', width: 4 }] },
      "'features' is [rows, 3] in the graph; [rows, 4] is expected",
    ],
    ['an input that nobody writes', { inputs: [] }, "does not write the graph's input 'features'"],
    ['a request index that is not there', { requestIndexInput: 'index' }, "no input 'index'"],
    ['an output that is not there', { output: 'logit' }, "no output 'logit'; it has 'score'"],
  ])('refuses to start with %s', async (_, change, message) => {
    const model = singleScope();
    const wrong = { ...model, signature: { ...model.signature, ...change } as typeof model.signature };
    const starting = start([wrong], new Recorder(), { workers: 2 });
    await expect(starting).rejects.toThrow(message);
    await expect(starting).rejects.toMatchObject({ code: 'VK_MODEL_SIGNATURE', fixedBy: 'model owner' });
  });

  it('refuses to start with a graph that fixes its rows', async () => {
    const model = singleScope();
    const file = model.file.replace('single_scope', 'fixed_rows');
    const starting = start([{ ...model, file }], new Recorder());
    await expect(starting).rejects.toThrow("'features' is [4, 3] in the graph; [rows, 3] is expected");
  });

  it('refuses to start with a file that is no model, and with limits that make no sense', async () => {
    const starting = start([{ ...singleScope(), file: import.meta.filename }], new Recorder());
    await expect(starting).rejects.toMatchObject({ code: 'VK_MODEL_LOAD', fixedBy: 'model owner' });
    for (const options of [{ workers: 0 }, { slabsPerModel: 0 }, { workers: 1.5 }]) {
      const refused = start([singleScope()], new Recorder(), options);
      await expect(refused).rejects.toMatchObject({ code: 'VK_ENGINE_LIMIT', fixedBy: 'operator' });
    }
    const rows = start([singleScope({ candidateRowsMax: 0 })], new Recorder());
    await expect(rows).rejects.toThrow('single_scope: candidateRowsMax is 0');
  });
});
