/** The load generator: a closed loop of `connections` over loopback, in a process of its own so that its CPU is not the server's. */
import { readFileSync } from 'node:fs';
import autocannon, { type Options, type Result } from 'autocannon';
import { build } from 'hdr-histogram-js';
import { childArguments, serveParent } from './child.js';

export interface LoadRound {
  readonly port: number;
  readonly requests: number;
  readonly connections: number;
}

export interface LoadResult {
  readonly answered: number;
  readonly bids: number;
  readonly errors: number;
  readonly durationS: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const { bodies } = childArguments<{ bodies: string }>();
const lines = readFileSync(bodies, 'utf8').trimEnd().split('\n');

serveParent({}, run);

async function run({ port, requests, connections }: LoadRound): Promise<LoadResult> {
  const latencies = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const statuses = new Map<number, number>();
  // Each connection walks through its own share of the requests.
  const share = Math.max(1, Math.floor(lines.length / connections));
  let clients = 0;
  const result = await new Promise<Result>((resolve, reject) => {
    const options: Options = {
      url: `http://127.0.0.1:${port}/openrtb2/bid`,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      connections,
      amount: requests,
      timeout: 20,
      body: lines[0],
      setupClient: (client) => {
        const first = (clients++ * share) % lines.length;
        client.setRequests(lines.slice(first, first + share).map((body) => ({ body })));
      },
    };
    const instance = autocannon(options, (error, result) => (error ? reject(error) : resolve(result)));
    instance.on('response', (_client, statusCode, _bytes, responseTimeMs) => {
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
      latencies.recordValue(Math.max(1, Math.round(responseTimeMs * 1000)));
    });
  });
  return {
    answered: [...statuses.values()].reduce((sum, count) => sum + count, 0),
    bids: statuses.get(200) ?? 0,
    errors: result.errors + result.timeouts + result.mismatches,
    durationS: result.duration,
    p50Us: latencies.getValueAtPercentile(50),
    p99Us: latencies.getValueAtPercentile(99),
  };
}
