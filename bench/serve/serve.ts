/**
 * What the v2 protocol costs: the real server over loopback, against the direct run of the same rows, round by round in
 * turn, so that a noisy machine disturbs both alike. A request is one auction of the demo ranker: one request row and 1
 * or 32 candidate rows.
 *
 * The figure is CPU (user + system, all threads of the server process) per request; the direct cost is a process that
 * does nothing but `InferenceSession.run`, one request after the other. The server may run requests together that
 * arrive together, which the direct run does not: that is part of what is measured. All encodings must give the very
 * bits of the direct run, else the bench fails. What requests/s does not show: a client elsewhere, since here the
 * client takes its share of the same cores.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDemo } from '../../world/index.js';
import { Child, type Usage } from '../path/child.js';
import type { DirectArguments, DirectResult, DirectRound } from './direct.js';
import { grpcLoop, httpLoop, type Loop } from './load.js';
import { type Mlserver, type MlserverArguments, startMlserver } from './mlserver.js';
import { grpcCodec, httpBinary, httpJson, MODEL, rankerRequests } from './ranker-requests.js';
import { type ServingPorts, writeServingConfig } from './serving-config.js';

export interface ServeOptions {
  /** Per case, over all rounds. */
  readonly requests: number;
  readonly connections: number;
  /** Where demo and configuration are put. */
  readonly directory?: string;
  readonly lineItems?: number;
  /** Measures MLServer in the same rounds; its Python environment is made on the first run. */
  readonly mlserver?: boolean;
}

interface CaseReport {
  readonly requests_per_s: number;
  readonly cpu_us_per_request: number;
  readonly direct_cpu_us: number;
  /** Of CPU per request to the direct cost. */
  readonly ratio: number;
}

export interface ServeResult {
  readonly suite: 'serve';
  readonly model: string;
  readonly connections: number;
  readonly requests_per_case: number;
  /** By encoding and candidates: `http_binary_32`. */
  readonly cases: Readonly<Record<string, CaseReport>>;
  /** How many times our CPU it takes, and how many times its requests we answer; it speaks JSON. Absent without `mlserver`. */
  readonly mlserver_behind?: Readonly<Record<string, { readonly cpu: number; readonly requests_per_s: number }>>;
  /** Of all scores. */
  readonly hash: string;
}

const ROUNDS = 3;
/** V8 settles on its optimised code within some thousand requests; they are no part of the figure. */
const WARM_UP_REQUESTS = 2_000;
/** Distinct requests that the loops walk through. */
const DISTINCT = 64;
const CANDIDATES = [1, 32];
const REPOSITORY = 'native-models';

/** By its parallel_workers: all in one process, and its default. */
const RIVAL_NAMES = ['mlserver_one_process_json', 'mlserver_default_json'] as const;

interface Rival {
  readonly name: (typeof RIVAL_NAMES)[number];
  readonly server: Mlserver;
}

interface Case {
  readonly name: string;
  readonly candidates: number;
  readonly loop: Loop;
  cpuUs(): Promise<number>;
  /** The scores in an answer. */
  scores(answer: Buffer): Buffer;
  readonly rounds: { cpuUs: number; requestsPerS: number }[];
}

export async function benchServe(options: ServeOptions): Promise<ServeResult> {
  const directory = options.directory ?? 'var/bench';
  mkdirSync(directory, { recursive: true });
  const demo = ensureDemo(options.directory ? join(directory, 'demo') : 'var/demo', { lineItems: options.lineItems });
  const configFile = join(directory, 'serve.json');
  const ports = await writeServingConfig(configFile, demo.catalogDir, REPOSITORY);
  const server = await Child.start(import.meta.url, './server.js', { configFile });
  const direct = await Child.start(import.meta.url, './direct.js', {
    repository: REPOSITORY,
    requests: DISTINCT,
    candidateCounts: CANDIDATES,
  } satisfies DirectArguments);
  const rivals: Rival[] = [];
  try {
    for (const parallelWorkers of options.mlserver ? ([0, 1] as const) : []) {
      const place: MlserverArguments = { directory, repository: REPOSITORY, model: MODEL, parallelWorkers };
      rivals.push({ name: RIVAL_NAMES[parallelWorkers], server: await startMlserver(place) });
    }
    const cases = CANDIDATES.flatMap((candidates) => [
      ...ownCases(ports, candidates, options.connections, server),
      ...rivals.map((rival) => mlserverCase(rival, candidates, options.connections)),
    ]);
    const hash = await checkScores(cases, direct);
    const directUs = await measure(cases, direct, options.requests);
    await Promise.all(cases.map(({ loop }) => loop.close()));
    return report(cases, directUs, hash, options);
  } finally {
    await Promise.all([server.stop(), direct.stop(), ...rivals.map((rival) => rival.server.stop())]);
  }
}

function ownCases(ports: ServingPorts, candidates: number, connections: number, server: Child<unknown>): Case[] {
  const requests = rankerRequests(REPOSITORY, DISTINCT, candidates);
  const grpc = grpcCodec();
  const path = `/v2/models/${MODEL}/infer`;
  const cpuUs = async () => (await server.ask<Usage>({})).cpuUs;
  const make = (encoding: string, loop: Loop, scores: Case['scores']): Case => ({
    name: `${encoding}_${candidates}`,
    candidates,
    loop,
    cpuUs,
    scores,
    rounds: [],
  });
  return [
    // The scores are the last bytes of a binary answer, whatever its header says.
    make('http_binary', httpLoop(ports.http, path, requests.map(httpBinary), connections), (answer) =>
      answer.subarray(answer.length - candidates * 4),
    ),
    make('http_json', httpLoop(ports.http, path, requests.map(httpJson), connections), scoresOfJson),
    make('grpc', grpcLoop(ports.grpc, grpc.path, requests.map(grpc.encode), connections), grpc.decode),
  ];
}

function mlserverCase({ name, server }: Rival, candidates: number, connections: number): Case {
  const requests = rankerRequests(REPOSITORY, DISTINCT, candidates).map(httpJson);
  const loop = httpLoop(server.port, `/v2/models/${MODEL}/infer`, requests, connections);
  const { cpuUs } = server;
  return { name: `${name}_${candidates}`, candidates, loop, cpuUs, scores: scoresOfJson, rounds: [] };
}

function scoresOfJson(answer: Buffer): Buffer {
  const { outputs } = JSON.parse(answer.toString('utf8')) as { outputs: { data: number[] }[] };
  return Buffer.from(Float32Array.from(outputs[0].data).buffer);
}

/** Every distinct request once, one by one: the bits must be those of the direct run. */
async function checkScores(cases: readonly Case[], direct: Child<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for (const candidates of CANDIDATES) {
    const { scores } = await direct.ask<DirectResult>({ candidates, runs: 1 } satisfies DirectRound);
    for (const one of cases.filter((c) => c.candidates === candidates)) {
      for (let i = 0; i < DISTINCT; i++) {
        const got = one.scores(await one.loop.ask(i)).toString('base64');
        if (got !== scores[i]) throw new Error(`${one.name}: request ${i} has other scores than the direct run`);
      }
    }
    hash.update(scores.join());
  }
  return hash.digest('hex').slice(0, 16);
}

/** @returns the direct cost by candidates, µs: the median of the rounds */
async function measure(cases: readonly Case[], direct: Child<unknown>, requests: number): Promise<Map<number, number>> {
  const perRound = Math.ceil(requests / ROUNDS);
  const directRounds = new Map<number, number[]>(CANDIDATES.map((candidates) => [candidates, []]));
  const warmUp = Math.min(WARM_UP_REQUESTS, perRound);
  for (const { loop } of cases) await loop.run(warmUp);
  for (const candidates of CANDIDATES) await direct.ask({ candidates, runs: warmUp } satisfies DirectRound);
  for (let round = 0; round < ROUNDS; round++) {
    for (const candidates of CANDIDATES) {
      const question: DirectRound = { candidates, runs: perRound };
      directRounds.get(candidates)!.push((await direct.ask<DirectResult>(question)).cpuUsPerRequest);
      for (const one of cases.filter((c) => c.candidates === candidates)) {
        const before = await one.cpuUs();
        const { requestsPerS } = await one.loop.run(perRound);
        one.rounds.push({ cpuUs: ((await one.cpuUs()) - before) / perRound, requestsPerS });
      }
    }
  }
  return new Map(CANDIDATES.map((candidates) => [candidates, median(directRounds.get(candidates)!)]));
}

function report(
  cases: readonly Case[],
  directUs: ReadonlyMap<number, number>,
  hash: string,
  options: ServeOptions,
): ServeResult {
  const reports: Record<string, CaseReport> = {};
  for (const { name, candidates, rounds } of cases) {
    const cpuUs = median(rounds.map((round) => round.cpuUs));
    const direct = directUs.get(candidates)!;
    reports[name] = {
      requests_per_s: Math.round(median(rounds.map((round) => round.requestsPerS))),
      cpu_us_per_request: rounded(cpuUs, 1),
      direct_cpu_us: rounded(direct, 1),
      ratio: rounded(cpuUs / direct, 3),
    };
  }
  return {
    suite: 'serve',
    model: MODEL,
    connections: options.connections,
    requests_per_case: options.requests,
    cases: reports,
    ...(options.mlserver ? { mlserver_behind: behind(reports) } : {}),
    hash,
  };
}

function behind(reports: Record<string, CaseReport>): ServeResult['mlserver_behind'] {
  const lines: Record<string, { cpu: number; requests_per_s: number }> = {};
  for (const [name, own] of Object.entries(reports)) {
    if (name.startsWith('mlserver')) continue;
    for (const rival of RIVAL_NAMES) {
      const other = reports[`${rival}_${name.split('_').at(-1)}`];
      lines[`${name} over ${rival}`] = {
        cpu: rounded(other.cpu_us_per_request / own.cpu_us_per_request, 2),
        requests_per_s: rounded(own.requests_per_s / other.requests_per_s, 2),
      };
    }
  }
  return lines;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
