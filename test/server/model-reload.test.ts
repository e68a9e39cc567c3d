/** Reloads of a model of the bid path under load: nothing is lost, nothing is wrong, and nothing stays in memory. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Repository, type Row, ServerProcess } from './model-support.js';
import { bannerRequest, JSON_TYPE } from './support.js';

const RELOADS = 50;
/** By then threads, sessions and the heap have their size. */
const SETTLED = 10;
const MODEL = 'pctr_dlrm';
/**
 * A version's slabs, 1.2 MiB of shared memory, go when the collector next looks at all of the heap: forty of them were
 * 50 MiB, and all but the last went at a forced collection. A session that stays is about 10 MiB with its thread.
 */
const GROWTH_MIB_MAX = 100;

const repository = new Repository();
let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start(repository, { control_mode: 'explicit' });
});
afterAll(async () => {
  await server?.kill();
  repository.remove();
});

/** One request part with some candidates; the numbers differ by `seed`. */
function inputsOf(seed: number): Row[] {
  const candidates = 1 + (seed % 5);
  const fill = (count: number, of: (i: number) => number) => Array.from({ length: count }, (_, i) => of(i));
  const ids = (i: number) => (seed * 7 + i * 3) % 10;
  const dense = (i: number) => ((seed + i) % 8) / 8;
  return [
    { name: 'request_ids', datatype: 'INT32', shape: [1, 20], data: fill(20, ids) },
    { name: 'request_dense', datatype: 'FP32', shape: [1, 3], data: fill(3, dense) },
    { name: 'candidate_ids', datatype: 'INT32', shape: [candidates, 6], data: fill(candidates * 6, ids) },
    { name: 'candidate_dense', datatype: 'FP32', shape: [candidates, 3], data: fill(candidates * 3, dense) },
    { name: 'request_index', datatype: 'INT32', shape: [candidates], data: fill(candidates, () => 0) },
  ];
}

function residentMib(): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** The metrics of the bid path are on the same page. */
const lostBids = async () =>
  (await server.v2.metric('vickrey_requests_total', 'outcome="inference_failed"')) +
  (await server.v2.metric('vickrey_requests_total', 'outcome="internal_error"'));

describe(`${RELOADS} reloads while v2 requests and bids run`, () => {
  it.skipIf(process.platform !== 'linux')(
    'lose no request, give no wrong answer and keep no memory',
    async () => {
      const { v2, bidUrl } = server;
      const seeds = [1, 2, 3, 4];
      const expected = await Promise.all(seeds.map((seed) => v2.values(MODEL, inputsOf(seed))));
      expect(new Set(expected.map(String)).size).toBe(seeds.length);

      const seen = { v2: 0, bids: 0, bidsWon: 0, problems: [] as string[] };
      let stopped = false;
      const askModel = async (i: number) => {
        while (!stopped) {
          const got = await v2.values(MODEL, inputsOf(seeds[i])).catch((error: Error) => [error.message]);
          // Another batch size may round the last bits differently.
          const isRight =
            got.length === expected[i].length && expected[i].every((x, k) => Math.abs(x - Number(got[k])) < 1e-4);
          if (!isRight) seen.problems.push(`${got} instead of ${expected[i]}`);
          seen.v2++;
        }
      };
      const askForBids = async () => {
        while (!stopped) {
          const body = bannerRequest({ id: `r${seen.bids}`, tmax: 1_000 });
          const { status } = await fetch(bidUrl, { method: 'POST', headers: JSON_TYPE, body });
          if (status !== 200 && status !== 204) seen.problems.push(`bid ${status}`);
          if (status === 200) seen.bidsWon++;
          seen.bids++;
        }
      };
      const clients = Promise.all([...seeds.map((_, i) => askModel(i)), askForBids(), askForBids()]);
      let settledMib = 0;
      for (let reload = 1; reload <= RELOADS; reload++) {
        const { status, json } = await v2.load(MODEL);
        if (status !== 200) seen.problems.push(`load ${status}: ${JSON.stringify(json)}`);
        if (reload === SETTLED) settledMib = residentMib();
      }
      stopped = true;
      await clients;
      const endMib = residentMib();
      process.stdout.write(
        `${RELOADS} reloads, ${seen.v2} v2 requests, ${seen.bids} bid requests (${seen.bidsWon} bids): ` +
          `resident ${settledMib.toFixed(0)} MiB after reload ${SETTLED}, ${endMib.toFixed(0)} MiB after ${RELOADS}\n`,
      );
      expect(seen.problems).toEqual([]);
      expect(seen.v2).toBeGreaterThan(100);
      // A bid is not lost by a reload: each of these requests can be bid on, before, during and after.
      expect(seen.bidsWon).toBe(seen.bids);
      expect(await lostBids()).toBe(0);
      expect(endMib - settledMib).toBeLessThan(GROWTH_MIB_MAX);
    },
    180_000,
  );
});
