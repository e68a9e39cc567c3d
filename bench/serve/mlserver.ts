/** MLServer on the same model, from PyPI in an environment of its own. Its settings are its defaults, but for its logs. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './serving-config.js';

export interface MlserverArguments {
  readonly directory: string;
  readonly repository: string;
  readonly model: string;
  /** Processes for inference beside the one that speaks HTTP: 1 is its default; 0 = all in one, cheaper for small models. */
  readonly parallelWorkers: 0 | 1;
}

export interface Mlserver {
  readonly port: number;
  /** User and system time of all its processes. */
  cpuUs(): Promise<number>;
  stop(): Promise<void>;
}

const SOURCES = 'bench/serve/mlserver';
const VENV = 'var/mlserver-venv';
const START_MS_MAX = 60_000;
/** Linux counts CPU in /proc in hundredths of a second. */
const TICK_US = 10_000;

export async function startMlserver(chosen: MlserverArguments): Promise<Mlserver> {
  const { directory, repository, model, parallelWorkers } = chosen;
  const python = join(VENV, 'bin', 'python');
  if (!existsSync(python)) execFileSync('python3', ['-m', 'venv', VENV]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  execFileSync(python, [...pip, '-r', join(SOURCES, 'requirements.txt')], { stdio: ['ignore', 'ignore', 'inherit'] });

  const home = join(directory, `mlserver-${parallelWorkers}`);
  mkdirSync(home, { recursive: true });
  copyFileSync(join(SOURCES, 'runtime.py'), join(home, 'runtime.py'));
  const [port, grpcPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
  const settings = {
    host: '127.0.0.1',
    http_port: port,
    grpc_port: grpcPort,
    metrics_port: metricsPort,
    debug: false,
    parallel_workers: parallelWorkers,
    logging_settings: { version: 1, root: { level: 'ERROR', handlers: [] } },
  };
  writeFileSync(join(home, 'settings.json'), JSON.stringify(settings));
  const uri = resolve(repository, model, '1', 'model.onnx');
  const modelSettings = { name: model, implementation: 'runtime.Ranker', parameters: { uri } };
  writeFileSync(join(home, 'model-settings.json'), JSON.stringify(modelSettings));

  const child = spawn(resolve(VENV, 'bin', 'mlserver'), ['start', '.'], {
    cwd: home,
    env: { ...process.env, PYTHONPATH: '.', PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error('MLServer cannot be started');
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    await untilReady(`http://127.0.0.1:${port}/v2/models/${model}/ready`, () => child.exitCode);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, stop, cpuUs: async () => treeCpuUs(pid) };
}

async function untilReady(url: string, exitCode: () => number | null): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  while (performance.now() < endMs && exitCode() === null) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    await sleep(200);
  }
  throw new Error(`MLServer is not ready: exit code ${exitCode()}`);
}

/** User and system time of a process and its living descendants. */
function treeCpuUs(root: number): number {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // A process may end between the two calls.
    try {
      // The command, in parentheses, may hold blanks; the fields behind it do not.
      const text = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      parents.set(Number(entry), Number(fields[1]));
      ticks.set(Number(entry), Number(fields[11]) + Number(fields[12]));
    } catch {}
  }
  let sum = 0;
  for (const [pid, count] of ticks) {
    let ancestor: number | undefined = pid;
    while (ancestor !== undefined && ancestor !== root) ancestor = parents.get(ancestor);
    if (ancestor === root) sum += count;
  }
  return sum * TICK_US;
}
