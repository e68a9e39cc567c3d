/** The real server in a process of its own, so that its CPU is nobody else's. */
import { pino } from 'pino';
import { loadConfig } from '../../src/config/index.js';
import { startServer } from '../../src/server.js';
import { childArguments, serveParent, usage } from '../path/child.js';

const { configFile } = childArguments<{ configFile: string }>();
const server = await startServer(loadConfig(configFile), pino({ level: 'silent' }));
process.on('SIGTERM', () => server.drain().then(() => process.exit(0)));

serveParent({}, ({ collect }: { collect?: boolean }) => usage(collect));
