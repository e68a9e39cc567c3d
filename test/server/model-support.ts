/** What the tests of the model server share: repositories of their own, the v2 protocol over HTTP, and child processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { ensureDemo } from '../../world/index.js';
import { startTestServer, type TestServer, writeConfig } from './support.js';

const NATIVE_MODELS = fileURLToPath(new URL('../../native-models', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const ROLES = ['pctr_dlrm', 'pcvr'];
const FREE_PORTS = { host: '127.0.0.1', http_port: 0, grpc_port: 0, metrics_port: 0 };

export interface Row {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** A repository that a test writes to; the models of the bid path's roles are always in it. */
export class Repository {
  readonly directory = mkdtempSync(join(tmpdir(), 'vickrey-models-'));

  constructor() {
    for (const role of ROLES) symlinkSync(join(NATIVE_MODELS, role), join(this.directory, role));
  }

  put(name: string, config: string, ...versions: number[]): this {
    for (const version of versions.length > 0 ? versions : [1]) {
      mkdirSync(join(this.directory, name, String(version)), { recursive: true });
    }
    return this.write(`${name}/config.pbtxt`, config);
  }

  /** A copy of a shipped model, to be changed. */
  copy(name: string): this {
    rmSync(join(this.directory, name), { recursive: true, force: true });
    cpSync(join(NATIVE_MODELS, name), join(this.directory, name), { recursive: true });
    return this;
  }

  write(path: string, contents: string | Uint8Array): this {
    writeFileSync(join(this.directory, path), contents);
    return this;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** `IN` comes back as `OUT`: rows of one FP32. */
export function identityConfig(more = '', delayMs = 0, names: readonly [string, string] = ['IN', 'OUT']): string {
  return `backend: "identity" max_batch_size: 64
    ${tensors(names)}
    parameters { key: "execute_delay_ms" value { string_value: "${delayMs}" } }
    ${more}`;
}

export function tensors([input, output]: readonly [string, string] = ['IN', 'OUT']): string {
  return `input { name: "${input}" data_type: TYPE_FP32 dims: [1] } output { name: "${output}" data_type: TYPE_FP32 dims: [1] }`;
}

export function rowsOf(...values: number[]): Row {
  return { name: 'IN', datatype: 'FP32', shape: [values.length, 1], data: values };
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what comes back is compared as a whole
  readonly json: any;
}

/** The v2 protocol over HTTP as a client speaks it. */
export class V2 {
  constructor(
    readonly url: string,
    private readonly metricsUrl: string,
  ) {}

  infer(model: string, inputs: readonly Row[], parameters: object = {}): Promise<Answer> {
    return this.post(`models/${model}/infer`, { inputs, parameters });
  }

  /** The first output's values; a failure is thrown with what the server said. */
  async values(model: string, inputs: readonly Row[]): Promise<number[]> {
    const { status, json } = await this.infer(model, inputs);
    if (status !== 200) throw new Error(`${status}: ${JSON.stringify(json)}`);
    return json.outputs[0].data;
  }

  load(model: string, parameters: object = {}): Promise<Answer> {
    return this.post(`repository/models/${model}/load`, { parameters });
  }

  unload(model: string, parameters: object = {}): Promise<Answer> {
    return this.post(`repository/models/${model}/unload`, { parameters });
  }

  async get(path: string): Promise<Answer> {
    return answerOf(await fetch(`${this.url}/v2/${path}`));
  }

  async post(path: string, body: object): Promise<Answer> {
    return answerOf(await fetch(`${this.url}/v2/${path}`, { method: 'POST', body: JSON.stringify(body) }));
  }

  // biome-ignore lint/suspicious/noExplicitAny: as on the wire
  async statistics(model: string): Promise<any> {
    return (await this.get(`models/${model}/stats`)).json.model_stats[0];
  }

  /** The sum of a family's series whose labels contain all of `labels`. */
  async metric(name: string, ...labels: string[]): Promise<number> {
    const text = await (await fetch(this.metricsUrl)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    const wanted = lines.filter((line) => labels.every((label) => line.includes(label)));
    return wanted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, json: text === '' ? null : JSON.parse(text) };
}

export interface ModelServerUnderTest {
  readonly running: TestServer;
  readonly v2: V2;
}

/** The whole server in this process, over a repository. */
export async function startModels(repository: Repository, serving: object = {}): Promise<ModelServerUnderTest> {
  const changes = { models: { repository: repository.directory }, serving: { ...FREE_PORTS, ...serving } };
  const running = await startTestServer(changes, 2_000);
  const { http, metrics } = running.server.serving!;
  const v2 = new V2(`http://127.0.0.1:${http.port}`, `http://127.0.0.1:${metrics.port}/metrics`);
  return { running, v2 };
}

/** The server as a process of its own, as `npm start` runs it. */
export class ServerProcess {
  private constructor(
    readonly child: ChildProcess,
    readonly v2: V2,
    readonly grpcPort: number,
    readonly bidUrl: string,
    private readonly directory: string,
  ) {}

  static async start(repository: Repository, serving: object = {}): Promise<ServerProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'vickrey-child-'));
    const { catalogDir } = ensureDemo(join(directory, 'demo'), { lineItems: 200, requests: 1 });
    const changes = {
      models: { repository: repository.directory },
      serving: { ...FREE_PORTS, ...serving },
      log_level: 'warn',
    };
    const child = spawn(process.execPath, [MAIN, '--config', writeConfig(directory, catalogDir, changes)]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const exited = once(child, 'exit').then(([code]) => Promise.reject(new Error(`exit ${code}: ${output}`)));
    exited.catch(() => {});
    const told = vi.waitUntil(() => output.includes('Ask for a bid'), { timeout: 30_000 });
    await Promise.race([told, exited]);
    const found = (pattern: RegExp) => pattern.exec(output)![1];
    const metricsUrl = found(/v2 metrics +(\S+)/);
    const v2 = new V2(found(/v2 HTTP +(\S+)\/v2/), metricsUrl);
    return new ServerProcess(child, v2, Number(found(/v2 gRPC +\S+:(\d+)/)), found(/curl -s (\S+)/), directory);
  }

  /** As a crash of the machine: no drain. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = once(this.child, 'exit');
      this.child.kill(signal);
      await exit;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
