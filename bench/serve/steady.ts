/**
 * Steady load on a model with queue timeouts on: does throughput hold? (Triton's decays for minutes, server#8870.)
 *
 * A closed loop of small batches keeps the queue longer than the timeout of every fourth request, so that requests
 * expire all the time. The figure is the rate of good answers in the last window over that in the first; a window is a
 * minute when the run is long enough to have three.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { ensureDemo } from '../../world/index.js';
import { Child, type Usage } from '../path/child.js';
import { writeServingConfig } from './serving-config.js';

export interface SteadyOptions {
  readonly seconds: number;
  readonly connections: number;
  /** Where demo and configuration are put. */
  readonly directory?: string;
  readonly lineItems?: number;
}

export interface SteadyResult {
  readonly suite: 'steady';
  readonly seconds: number;
  readonly window_s: number;
  readonly first_per_s: number;
  readonly last_per_s: number;
  readonly ratio: number;
  /** Good answers per second, window by window. */
  readonly per_s: readonly number[];
  /** Share of the requests that expired in the queue. */
  readonly expired_share: number;
  /** Of the server after a collection, after the warm-up and at the end. */
  readonly rss_mib: readonly [number, number];
}

const MODEL = 'steady';
const ROWS = 2;
/** Small batches, so that one request's rows are a good part of one and a queue forms. */
const BATCH_ROWS_MAX = 8;
const WARM_UP_S_MAX = 5;
/** Below the time that 64 connections' requests wait for batches of four requests. */
const SHORT_TIMEOUT_US = 500;

const CONFIG = `
name: "${MODEL}"
platform: "onnxruntime_onnx"
max_batch_size: ${BATCH_ROWS_MAX}
input [ { name: "ids" data_type: TYPE_INT32 dims: [ 15 ] }, { name: "dense" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "log_cpm" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } } ]
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching {
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 100000
    allow_timeout_override: true
    max_queue_size: 1024
  }
}
`;

export async function benchSteady(options: SteadyOptions): Promise<SteadyResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'vickrey-steady-'));
  const demo = ensureDemo(options.directory ? join(options.directory, 'demo') : 'var/demo', {
    lineItems: options.lineItems,
  });
  const configFile = join(scratch, 'steady.json');
  const ports = await writeServingConfig(configFile, demo.catalogDir, writeRepository(scratch));
  const server = await Child.start(import.meta.url, './server.js', { configFile });
  const pool = new Pool(`http://127.0.0.1:${ports.http}`, { connections: options.connections, pipelining: 1 });
  try {
    return await measure(options, pool, server);
  } finally {
    await pool.close();
    await server.stop();
    rmSync(scratch, { recursive: true });
  }
}

function writeRepository(scratch: string): string {
  const repository = join(scratch, 'models');
  // The bid path wants its two models, whatever else is served.
  for (const name of ['pctr_dlrm', 'pcvr'])
    cpSync(join('native-models', name), join(repository, name), { recursive: true });
  mkdirSync(join(repository, MODEL, '1'), { recursive: true });
  cpSync(join('native-models', 'win_price', '1', 'model.onnx'), join(repository, MODEL, '1', 'model.onnx'));
  writeFileSync(join(repository, MODEL, 'config.pbtxt'), CONFIG);
  return repository;
}

async function measure(
  { seconds, connections }: SteadyOptions,
  pool: Pool,
  server: Child<unknown>,
): Promise<SteadyResult> {
  const windowS = Math.min(60, seconds / 3);
  const good: number[] = [];
  let expired = 0;
  let asked = 0;
  let endMs = 0;
  let startMs = 0;
  const loop = async (connection: number) => {
    for (let i = connection; performance.now() < endMs; i++) {
      const { headers, body } = i % 4 === 0 ? HURRIED : PATIENT;
      const answer = await pool.request({ path: `/v2/models/${MODEL}/infer`, method: 'POST', headers, body });
      await answer.body.dump();
      const window = Math.floor((performance.now() - startMs) / (windowS * 1000));
      asked++;
      if (answer.statusCode === 200) good[window] = (good[window] ?? 0) + 1;
      else if (answer.statusCode === 503) expired++;
      else throw new Error(`the server answered ${answer.statusCode}`);
    }
  };
  const run = async (runS: number) => {
    [good.length, expired, asked] = [0, 0, 0];
    startMs = performance.now();
    endMs = startMs + runS * 1000;
    await Promise.all(Array.from({ length: connections }, (_, connection) => loop(connection)));
  };
  await run(Math.min(WARM_UP_S_MAX, windowS));
  const rss = async () => Math.round((await server.ask<Usage>({ collect: true })).rssBytes / 1024 / 1024);
  const rssBefore = await rss();
  await run(seconds);
  // What is left over is no whole window.
  const windows = good.slice(0, Math.floor(seconds / windowS)).map((count) => Math.round(count / windowS));
  const [first, last] = [windows[0], windows.at(-1)!];
  return {
    suite: 'steady',
    seconds,
    window_s: windowS,
    first_per_s: first,
    last_per_s: last,
    ratio: Math.round((last / first) * 1000) / 1000,
    per_s: windows,
    expired_share: Math.round((expired / asked) * 1000) / 1000,
    rss_mib: [rssBefore, await rss()],
  };
}

const PATIENT = request(0);
const HURRIED = request(SHORT_TIMEOUT_US);

/** @param timeoutUs 0 = the model's default */
function request(timeoutUs: number) {
  const ids = new Uint8Array(ROWS * 15 * 4);
  const dense = new Uint8Array(ROWS * 3 * 4);
  const tensor = (name: string, datatype: string, width: number) => ({
    name,
    datatype,
    shape: [ROWS, width],
    parameters: { binary_data_size: ROWS * width * 4 },
  });
  const header = JSON.stringify({
    inputs: [tensor('ids', 'INT32', 15), tensor('dense', 'FP32', 3)],
    parameters: { binary_data_output: true, ...(timeoutUs > 0 ? { timeout: timeoutUs } : {}) },
  });
  return {
    headers: { 'inference-header-content-length': String(header.length) },
    body: Buffer.concat([Buffer.from(header), ids, dense]),
  };
}
