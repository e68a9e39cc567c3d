/** Closed loops over loopback: each of `connections` sends its next request when the last one is answered. */
import { Client, credentials } from '@grpc/grpc-js';
import { Pool } from 'undici';
import type { HttpRequest } from './ranker-requests.js';

export interface Loop {
  /** Sends `requests` requests. @throws Error on the first that is not answered well */
  run(requests: number): Promise<{ requestsPerS: number }>;
  /** One request; resolves with the body or message of the answer. */
  ask(request: number): Promise<Buffer>;
  close(): Promise<void>;
}

export function httpLoop(port: number, path: string, requests: readonly HttpRequest[], connections: number): Loop {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 });
  const ask = async (i: number) => {
    const { headers, body } = requests[i % requests.length];
    const answer = await pool.request({ path, method: 'POST', headers, body });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}: ${bytes}`);
    return bytes;
  };
  return { ask, run: (count) => closedLoop(count, connections, ask), close: () => pool.close() };
}

/** gRPC shares one connection among the loops, as clients do. */
export function grpcLoop(port: number, path: string, requests: readonly Buffer[], concurrency: number): Loop {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const ask = (i: number) =>
    new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, requests[i % requests.length], (error, answer) =>
        error ? reject(error) : resolve(answer as Buffer),
      );
    });
  return {
    ask,
    run: (count) => closedLoop(count, concurrency, ask),
    close: async () => client.close(),
  };
}

async function closedLoop(count: number, connections: number, ask: (i: number) => Promise<unknown>) {
  let next = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < count) await ask(next++);
    }),
  );
  return { requestsPerS: count / ((performance.now() - startedMs) / 1000) };
}
