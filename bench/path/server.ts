/**
 * The real server in a process of its own. Only the wall clock is ours: it stands still at a day of the world, so that
 * dayparts, hours and with them every answer are the same in every run.
 */
import { pino } from 'pino';
import { systemClock } from '../../src/base/index.js';
import { loadConfig } from '../../src/config/index.js';
import { startServer } from '../../src/server.js';
import { childArguments, serveParent, usage } from './child.js';

export interface ServerArguments {
  readonly configFile: string;
  readonly epochMs: number;
}

const { configFile, epochMs } = childArguments<ServerArguments>();
const clock = { nowUs: systemClock.nowUs, epochMs: () => epochMs };
const server = await startServer(loadConfig(configFile), pino({ level: 'silent' }), clock);
process.on('SIGTERM', () => server.drain().then(() => process.exit(0)));

serveParent({ port: server.http.port }, ({ collect }: { collect?: boolean }) => {
  const rows: Record<string, number> = {};
  for (const { name, candidateRows, batches } of server.engine.stats().models) {
    rows[name] = candidateRows;
    rows[`${name}_batches`] = batches;
  }
  return { ...usage(collect), rows };
});
