import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OperatingError } from '../contract/index.js';
import type { IngressLog } from './on-bid.js';

/** @param body the parsed JSON body, undefined where none was sent. What it returns goes back as JSON. */
export type AdminHandler = (body: unknown) => Promise<{ status: number; json: unknown }>;

export interface OperationsRoutes {
  /** The process works. False only when it should be restarted. */
  live(): boolean;
  /** Traffic is welcome: models are warm and nothing is draining. */
  ready(): boolean;
  metrics(): Promise<{ contentType: string; body: string }>;
  /** By name behind `/admin/`; POST with `Authorization: Bearer <token>`. */
  readonly admin: Readonly<Record<string, AdminHandler>>;
}

export interface OperationsServerOptions extends OperationsRoutes {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** '' = the admin routes are closed. */
  readonly token: string;
  readonly log: IngressLog;
}

export interface OperationsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Admin bodies are a few options, never data. */
const ADMIN_BODY_BYTES_MAX = 64 * 1024;
const CONNECTIONS_MAX = 64;
const REQUEST_MS_MAX = 10_000;

interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * Serves operators and their machines on node:http; nothing here is hot.
 *
 *     GET  /healthz/live, /healthz/ready   200 or 503
 *     GET  /metrics                        Prometheus text
 *     POST /admin/{name}                   401 without the token, 404 for an unknown name
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE
 */
export async function startOperations(options: OperationsServerOptions): Promise<OperationsServer> {
  const server = createServer(
    { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX },
    (request, response) => {
      answer(options, request).then(
        (reply) => write(response, reply),
        (error) => {
          options.log.error({ err: error, path: request.url }, 'an operations route failed');
          write(response, json(500, { error: 'internal error; see the log' }));
        },
      );
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${options.host}:${options.port}; is another process there?`;
      reject(new OperatingError('VK_PORT_UNAVAILABLE', 'operator', message, [], { cause }));
    });
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(options: OperationsServerOptions, request: IncomingMessage): Promise<Reply> {
  const path = (request.url ?? '').split('?', 1)[0];
  const isGet = request.method === 'GET' || request.method === 'HEAD';
  if (path.startsWith('/admin/')) return admin(options, request, path.slice('/admin/'.length));
  request.resume();
  if (path !== '/healthz/live' && path !== '/healthz/ready' && path !== '/metrics')
    return json(404, { error: 'no such path' });
  if (!isGet) return json(405, { error: 'GET only' });
  if (path === '/metrics') return { status: 200, ...(await options.metrics()) };
  const ok = path === '/healthz/live' ? options.live() : options.ready();
  return { status: ok ? 200 : 503, contentType: 'text/plain', body: ok ? 'ok\n' : 'not ok\n' };
}

async function admin(options: OperationsServerOptions, request: IncomingMessage, name: string): Promise<Reply> {
  if (!isAuthorized(options.token, request.headers.authorization)) {
    request.resume();
    return json(401, { error: 'the admin token is missing or wrong' });
  }
  if (!Object.hasOwn(options.admin, name)) {
    request.resume();
    return json(404, { error: 'no such path' });
  }
  if (request.method !== 'POST') {
    request.resume();
    return json(405, { error: 'POST only' });
  }
  const text = await readBody(request);
  if (text === null) return json(413, { error: `the body is larger than ${ADMIN_BODY_BYTES_MAX} bytes` });
  let body: unknown;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    return json(400, { error: 'the body is not JSON' });
  }
  const result = await options.admin[name](body);
  return json(result.status, result.json);
}

/** Compares digests, which have one length, in constant time. */
function isAuthorized(token: string, header: string | undefined): boolean {
  if (token === '' || header === undefined || !header.startsWith('Bearer ')) return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header.slice('Bearer '.length)), digest(token));
}

/** @returns null where it is too large */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes <= ADMIN_BODY_BYTES_MAX) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes > ADMIN_BODY_BYTES_MAX ? null : Buffer.concat(chunks).toString('utf8');
}

function json(status: number, value: unknown): Reply {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}

function write(response: ServerResponse, reply: Reply): void {
  if (response.destroyed) return;
  response.writeHead(reply.status, {
    'content-type': reply.contentType,
    'content-length': Buffer.byteLength(reply.body),
  });
  response.end(reply.body);
}
