import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../../src/base/index.js';
import { loadConfig } from '../../src/config/index.js';
import { type Server, startServer } from '../../src/server.js';
import { DAY_ZERO_MS, DEMO_DAY, DEMO_SEED, ensureDemo, generateRequests } from '../../world/index.js';

/** Noon of a day that no model was trained on. */
export const EPOCH_MS = DAY_ZERO_MS + DEMO_DAY * 86_400_000 + 12 * 3_600_000;
export const JSON_TYPE = { 'content-type': 'application/json' };
const TOKEN = 'a-token-for-the-tests';

export interface TestServer {
  readonly server: Server;
  readonly directory: string;
  readonly catalogDirectory: string;
  readonly url: string;
  post(body: string, headers?: Record<string, string>): Promise<{ status: number; text: string }>;
  admin(name: string): Promise<{ status: number; json: Record<string, unknown> }>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** The whole server with the shipped models and a demo catalog of its own, on free ports of loopback. */
export async function startTestServer(changes: object = {}, lineItems = 10_000): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-server-'));
  const { catalogDir } = ensureDemo(join(directory, 'demo'), { lineItems, requests: 1 });
  const file = writeConfig(directory, catalogDir, changes);
  const clock = { nowUs: systemClock.nowUs, epochMs: () => EPOCH_MS };
  const server = await startServer(loadConfig(file), pino({ level: 'silent' }), clock);
  const url = `http://127.0.0.1:${server.http.port}/openrtb2/bid`;
  const operations = `http://127.0.0.1:${server.operations.port}`;
  return {
    server,
    directory,
    catalogDirectory: catalogDir,
    url,
    async post(body, headers: Record<string, string> = JSON_TYPE) {
      const response = await fetch(url, { method: 'POST', headers, body });
      return { status: response.status, text: await response.text() };
    },
    async admin(name) {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const response = await fetch(`${operations}/admin/${name}`, { method: 'POST', headers });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    },
    metrics: async () => (await fetch(`${operations}/metrics`)).text(),
    async stop() {
      await server.drain();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A configuration on free loopback ports; JSON is YAML. */
export function writeConfig(directory: string, catalogDirectory: string, changes: object): string {
  const loopback = { host: '127.0.0.1', port: 0 };
  const config = {
    http: loopback,
    grpc: loopback,
    operations: { port: 0, admin_token: TOKEN },
    // Test files run side by side, so none may take the ports of the v2 protocol's defaults.
    serving: { http_port: 0, grpc_port: 0, metrics_port: 0 },
    catalog: { directory: catalogDirectory },
    ...changes,
  };
  const file = join(directory, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  return file;
}

export function worldBodies(count: number, day = DEMO_DAY): string[] {
  return [...generateRequests({ seed: DEMO_SEED, day, count })].map((request) => request.body);
}

/** A bid request with one banner imp that the demo catalog answers, changed at will. */
export function bannerRequest(changes: object = {}, imp: object = {}): string {
  return JSON.stringify({
    id: 'request-1',
    imp: [{ id: 'imp-1', banner: { w: 300, h: 250 }, ...imp }],
    site: { domain: 'news-1.example', cat: ['IAB12'] },
    device: { devicetype: 2, os: 'Windows', language: 'en', geo: { country: 'USA' } },
    user: { id: 'user-1' },
    ...changes,
  });
}

export interface ResponseBid {
  id: string;
  impid: string;
  price: number;
  adid: string;
  crid: string;
  cid: string;
  adomain: string[];
  adm: string;
  mtype: number;
  w?: number;
  h?: number;
  dur?: number;
}

export function bidsOf(text: string): ResponseBid[] {
  return text === '' ? [] : JSON.parse(text).seatbid.flatMap((seat: { bid: ResponseBid[] }) => seat.bid);
}
