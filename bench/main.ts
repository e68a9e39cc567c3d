/**
 * The bench harness: `npm run bench -- SUITE [options]`. Without a suite it prints the two numbers that matter: server
 * CPU per answered request and its ratio to the floor.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { benchBatching } from './batching.js';
import { benchCatalog } from './catalog.js';
import { benchMicro } from './micro.js';
import { benchPath } from './path/path.js';
import { benchServe } from './serve/serve.js';
import { benchSteady } from './serve/steady.js';

const USAGE = `usage: npm run bench -- [SUITE] [--requests N] [--connections N] [--seconds N] [--mlserver] [--json FILE]

  path       the real server over loopback against the floor: HTTP + JSON.parse + the bare model
  catalog    load time, memory and retrieval time at 10 k, 100 k and 1 M line items
  micro      the rooms of the hot path one by one
  batching   cost of a row by batch shape; the doorbell
  serve      the v2 protocol over loopback against the direct run of the same rows; with --mlserver also MLServer
  steady     throughput of a model with queue timeouts over --seconds, the last minute against the first
`;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    requests: { type: 'string' },
    connections: { type: 'string' },
    seconds: { type: 'string' },
    mlserver: { type: 'boolean' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});

function whole(text: string | undefined, absent: number): number {
  const value = text === undefined ? absent : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`not a positive whole number: ${text}`);
  return value;
}

async function run(suite: string): Promise<object> {
  const connections = whole(values.connections, 64);
  switch (suite) {
    case 'path':
      return benchPath({ requests: whole(values.requests, 300_000), connections });
    case 'catalog':
      return benchCatalog({ sizes: [10_000, 100_000, 1_000_000], requests: whole(values.requests, 2_000) });
    case 'micro':
      return benchMicro({});
    case 'batching':
      return benchBatching({});
    case 'serve':
      return benchServe({ requests: whole(values.requests, 15_000), connections, mlserver: values.mlserver });
    case 'steady':
      return benchSteady({ seconds: whole(values.seconds, 600), connections });
    default:
      throw new Error(`unknown suite '${suite}'\n${USAGE}`);
  }
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const [suite] = positionals;
  if (suite === undefined) {
    const result = await benchPath({ requests: whole(values.requests, 60_000), connections: 64 });
    console.log(`${result.cpu_us_per_request} µs of CPU per request, ${result.ratio} × the floor`);
    return;
  }
  const line = JSON.stringify(await run(suite));
  if (values.json !== undefined) writeFileSync(values.json, `${line}\n`);
  console.log(line);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
