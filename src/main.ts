#!/usr/bin/env node
/** The command line: reads the configuration, starts the server, says what it decided, obeys signals. */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { type Config, limitSums, loadConfig } from './config/index.js';
import { OperatingError } from './contract/index.js';
import { type Server, startServer } from './server.js';

const USAGE = `usage: vickrey [--config FILE]

  --config FILE   YAML; every option and its default: docs/configuration.md
  --help          this text

environment: VICKREY_ADMIN_TOKEN   bearer token of the admin API (16 characters or more)
signals:     SIGHUP reloads the catalog; SIGTERM and SIGINT drain and exit 0
`;

async function main(): Promise<void> {
  const values = readArguments();
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const config = loadConfig(values.config, process.env);
  const log = pino({ level: config.log_level });
  // A reload that is asked for while the first load is still running has nothing to do yet, and must not kill us.
  process.once('SIGHUP', () => {});
  const startedMs = performance.now();
  const server = await startServer(config, log);
  process.stdout.write(report(config, server, performance.now() - startedMs));

  process.on('SIGHUP', () => {
    // A refusal is logged where it happens.
    server.reloadCatalog().catch(() => {});
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      server.drain().then(
        () => process.exit(0),
        (error) => {
          log.error({ err: error }, 'the drain failed');
          process.exit(1);
        },
      );
    });
  }
}

function readArguments() {
  try {
    return parseArgs({ options: { config: { type: 'string', default: '' }, help: { type: 'boolean' } } }).values;
  } catch (error) {
    throw new OperatingError('VK_USAGE', 'operator', `${(error as Error).message}\n${USAGE}`);
  }
}

/** What the server decided, for the person who started it. */
function report(config: Config, server: Server, startMs: number): string {
  const { http, grpc, operations, engine, catalog } = server;
  const load = catalog.report;
  const stats = engine.stats();
  const mebibytes = (count: number) => `${(count / 1024 / 1024).toFixed(1)} MiB`;
  const url = `http://127.0.0.1:${http.port}`;
  const imp = '{"id":"1","banner":{"w":300,"h":250},"bidfloor":0.1}';
  const site = '{"domain":"news-0001.example","cat":["IAB12"]}';
  const device = '{"devicetype":2,"os":"Windows","language":"en","geo":{"country":"USA"}}';
  const body = `{"id":"hello","tmax":150,"imp":[${imp}],"site":${site},"device":${device},"user":{"id":"u1"}}`;
  const lines = [
    '',
    `Vickrey is ready after ${(startMs / 1000).toFixed(1)} s.`,
    '',
    `  bids        ${url}/openrtb2/bid and /openrtb2/bid/{${config.exchanges.join(',')}}, on ${http.backend === 'uws' ? 'uWebSockets.js' : 'node:http'}`,
    `              ${grpc ? `gRPC vickrey.v1.BidService on port ${grpc.port}` : 'gRPC is off'}`,
    ...(server.serving === undefined ? ['  v2 protocol is off'] : servingLines(config, server.serving, server)),
    `  operations  http://${config.operations.host}:${operations.port}/healthz/ready, /metrics, /admin/…`,
    ...(config.operations.admin_token === undefined
      ? [`              admin token of this run: ${server.adminToken}`]
      : []),
    `  catalog     ${config.catalog.directory}: ${load.lineItems} line items, ${load.creatives} creatives, ${load.campaigns} campaigns, ${load.advertisers} advertisers; ${mebibytes(load.bytes.total)}, loaded in ${Math.round(load.loadMs)} ms`,
    ...stats.models.map((m) => `  model       ${m.name} version ${m.version}: ${costOf(m.cost)}`),
    `  workers     ${stats.instancesUp} instance(s), a thread each; ${stats.workers} at once, ${mebibytes(stats.slabBytes)} of slabs, ${stats.readsSharedMemory ? 'read in place' : 'copied once in the worker (Node < 22)'}`,
    `  pricing     ${config.bidding.mode}, seat ${config.bidding.seat}, ${config.bidding.account_currency}`,
    ...limitSums(config).map((sum, i) => `  ${i === 0 ? 'limits      ' : '            '}${sum}`),
    '',
    'Ask for a bid:',
    '',
    `  curl -s ${url}/openrtb2/bid -H 'content-type: application/json' -d '${body}'`,
    '',
    '',
  ];
  return lines.join('\n');
}

/** Only what the bid path uses, and what has a model_warmup, has run before the first request. */
function costOf({ a, b }: { readonly a: number; readonly b: number }): string {
  if (a === 0 && b === 0) return 'loaded, its cost is not known before its first batch';
  return `a batch costs ${a.toFixed(0)} µs + ${b.toFixed(2)} µs per row`;
}

function servingLines(
  { serving }: Config,
  { http, grpc, metrics }: NonNullable<Server['serving']>,
  { models }: Server,
) {
  const url = `http://${serving.host}:${http.port}`;
  return [
    `  v2 HTTP     ${url}/v2 (KServe v2, Triton's clients; ${models.served().length} model version(s), control mode ${serving.control_mode})`,
    `  v2 gRPC     ${serving.host}:${grpc.port} inference.GRPCInferenceService`,
    `  v2 metrics  http://${serving.host}:${metrics.port}/metrics`,
  ];
}

main().catch((error) => {
  if (error instanceof OperatingError) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    for (const detail of error.details) process.stderr.write(`  ${detail}\n`);
    process.stderr.write(`To be fixed by the ${error.fixedBy}.\n`);
  } else {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  }
  process.exit(1);
});
