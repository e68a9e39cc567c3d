import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { builtFile } from '../../src/base/index.js';

/** What a process has used so far. */
export interface Usage {
  /** User and system time of all its threads, microseconds. */
  readonly cpuUs: number;
  readonly rssBytes: number;
}

/** A process of the bench: it says `ready` with its facts, then answers one question at a time. */
export class Child<Ready> {
  private ended = '';
  private waiting: { resolve(answer: unknown): void; reject(error: Error): void } | undefined;

  private constructor(
    private readonly process: ChildProcess,
    public ready: Ready,
  ) {
    process.on('message', (answer) => this.waiting?.resolve(answer));
    process.on('exit', (code) => {
      this.ended = `a bench process ended with code ${code}`;
      this.waiting?.reject(new Error(this.ended));
    });
  }

  /** @param file relative to `from`, such as `./server.js` */
  static async start<Ready>(from: string, file: string, args: object): Promise<Child<Ready>> {
    // Garbage is collected on request, so that memory is read after a collection and not at a random moment.
    const process = fork(builtFile(from, file), [JSON.stringify(args)], { execArgv: ['--expose-gc'] });
    const child = new Child<Ready>(process, undefined as Ready);
    child.ready = await child.answer();
    return child;
  }

  ask<Answer>(question: object): Promise<Answer> {
    this.process.send(question);
    return this.answer();
  }

  async stop(): Promise<void> {
    const exit = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await exit;
  }

  private answer<Answer>(): Promise<Answer> {
    if (this.ended !== '') return Promise.reject(new Error(this.ended));
    return new Promise((resolve, reject) => {
      this.waiting = { resolve: resolve as (answer: unknown) => void, reject };
    });
  }
}

/** The child's half: sends `ready`, then answers with what `answer` returns. */
export function serveParent<Question>(ready: object, answer: (question: Question) => object | Promise<object>): void {
  process.on('message', async (question) => process.send?.(await answer(question as Question)));
  process.send?.(ready);
}

/** What this process has used so far; `collect` runs the garbage collector first. */
export function usage(collect = false): Usage {
  const { user, system } = process.cpuUsage();
  if (collect) globalThis.gc?.();
  return { cpuUs: user + system, rssBytes: process.memoryUsage.rss() };
}

export function childArguments<T>(): T {
  return JSON.parse(process.argv[2]) as T;
}
