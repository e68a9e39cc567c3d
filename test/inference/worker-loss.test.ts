/**
 * Real threads, ended from outside or hung, with a real batch in their hands.
 *
 * A thread is terminated first and given its batch in the same turn: it owns the batch, will never run again, and its
 * exit is still to come. The other order would race into ONNX Runtime, and onnxruntime-node 1.30 aborts the whole process
 * when a thread is terminated inside a run (which is why the pool itself never does that).
 */
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/index.js';
import type { Engine } from '../../src/inference/index.js';
import { slow } from './fixtures/models.js';
import { Recorder, start, until } from './fixtures/recorder.js';

const NEVER = Number.POSITIVE_INFINITY;
let engine: Engine;
afterEach(() => engine.close());

function ask(ticket: number, turns: number, deadlineUs = NEVER): boolean {
  const batch = engine.reserve(0, 0, 64, ticket, deadlineUs);
  batch?.inputs[0].fill(turns, engine.candidateRow, engine.candidateRow + 64);
  engine.flush();
  return batch !== null;
}

/** The pool's threads, reached from outside: the engine offers no such thing. */
// biome-ignore-start lint/complexity/useLiteralKeys: brackets reach private members, dots do not.
const threads = () => engine['pool']['piscina'].threads;
// biome-ignore-end lint/complexity/useLiteralKeys: as above.
const scores = (recorder: Recorder, ticket: number) => recorder.answers.get(ticket)?.scores?.[0] ?? null;

describe('a worker that dies in the middle of a batch', () => {
  it('costs that batch its scores and nothing more', async () => {
    const recorder = new Recorder();
    const exits: { reason: string; ticketsFailed: number }[] = [];
    engine = await start([slow()], recorder, { workers: 2, onWorkerExit: (exit) => exits.push(exit) });
    const exited = threads()[0].terminate();
    for (const ticket of [1, 2, 3]) ask(ticket, ticket);
    expect(engine.stats().models[0]).toMatchObject({ running: 2, waiting: 1 });
    await exited;
    await until(() => recorder.answers.size === 3, engine);

    // One of the two batches in flight is lost; the other and the one that waited are answered.
    const lost = [1, 2, 3].filter((ticket) => scores(recorder, ticket) === null);
    expect(lost).toHaveLength(1);
    expect(lost).not.toContain(3);
    for (const ticket of [1, 2, 3]) if (ticket !== lost[0]) expect(scores(recorder, ticket)).toBe(ticket);
    expect(exits).toEqual([expect.objectContaining({ ticketsFailed: 1, reason: expect.stringContaining('exited') })]);

    await until(() => engine.stats().instancesUp === 2, engine);
    await until(() => threads().length === 2);
    for (const ticket of [4, 5, 6, 7]) ask(ticket, ticket);
    await engine.drain();
    for (const ticket of [4, 5, 6, 7]) expect(scores(recorder, ticket)).toBe(ticket);
    expect(recorder.repeated).toEqual([]);
    expect(engine.stats()).toMatchObject({ workersLost: 1 });
    expect(engine.stats().models[0].slabsFree).toBe(4);
  });

  it('is replaced while requests wait, if it was the only one', async () => {
    const recorder = new Recorder();
    engine = await start([slow()], recorder);
    const exited = threads()[0].terminate();
    ask(1, 1);
    ask(2, 2);
    await exited;
    await until(() => recorder.answers.size === 1, engine);
    expect(scores(recorder, 1)).toBeNull();
    expect(engine.estimateUs(0, 1)).toBe(NEVER);
    await until(() => recorder.answers.size === 2, engine);
    expect(scores(recorder, 2)).toBe(2);
  });

  it('comes back after longer and longer pauses when it keeps dying', async () => {
    const pausesUs: number[] = [];
    engine = await start([slow()], new Recorder(), { onWorkerExit: (exit) => pausesUs.push(exit.restartInUs) });
    for (let loss = 1; loss <= 3; loss++) {
      await until(() => engine.stats().instancesUp === 1, engine);
      // All of them: Piscina may have a spare one about.
      await Promise.all(threads().map((thread) => thread.terminate()));
      await until(() => pausesUs.length === loss, engine);
    }
    expect(pausesUs).toEqual([50_000, 100_000, 200_000]);
  });

  it('lets what waits expire when nobody comes back in time', async () => {
    const recorder = new Recorder();
    engine = await start([slow()], recorder);
    await threads()[0].terminate();
    await until(() => engine.stats().instancesUp === 0);
    ask(1, 1, systemClock.nowUs() + 5_000);
    expect(recorder.answers.size).toBe(0);
    // Later than the deadline, sooner than any restart: this tick's time is handed in.
    engine.tick(systemClock.nowUs() + 5_000);
    expect(scores(recorder, 1)).toBeNull();
    expect(recorder.answers.size).toBe(1);
    expect(engine.stats().models[0]).toMatchObject({ batchesExpired: 1, slabsFree: 4 });
  });
});

describe('a worker that hangs', () => {
  /** A second or more in native code. */
  const LONG_TURNS = 8000;

  it('is given up after the batch timeout, and its slab rests until its thread is gone', async () => {
    const recorder = new Recorder();
    const exits: { reason: string }[] = [];
    engine = await start([slow()], recorder, { batchTimeoutUs: 50_000, onWorkerExit: (exit) => exits.push(exit) });
    ask(1, LONG_TURNS);
    await until(() => recorder.answers.size === 1, engine);
    expect(scores(recorder, 1)).toBeNull();
    expect(exits).toEqual([expect.objectContaining({ reason: 'a batch ran longer than 50 ms' })]);
    expect(engine.stats()).toMatchObject({ instancesUp: 0, workersLost: 1, workersAbandoned: 1 });
    expect(engine.stats().models[0]).toMatchObject({ running: 0, waiting: 0, slabsFree: 3 });

    ask(2, 2);
    await until(() => recorder.answers.size === 2, engine);
    expect(scores(recorder, 2)).toBe(2);
    // The replacement answered while the first thread was still running.
    expect(engine.stats()).toMatchObject({ instancesUp: 1, workersAbandoned: 1 });
    await until(() => engine.stats().models[0].slabsFree === 4, engine);
    expect(engine.stats().workersAbandoned).toBe(0);
    await until(() => threads().length === 1, engine);
    expect(recorder.repeated).toEqual([]);
  });

  it('does not keep the engine from closing', async () => {
    const recorder = new Recorder();
    engine = await start([slow()], recorder, { batchTimeoutUs: 50_000 });
    ask(1, LONG_TURNS);
    await engine.close();
    expect(recorder.answers.size).toBe(1);
    expect(scores(recorder, 1)).toBeNull();
    expect(threads()).toHaveLength(0);
  });
});
