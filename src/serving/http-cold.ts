import { type HttpReply, InferError, type LoadOverride, type ModelServer } from '../contract/index.js';
import { invalid, sendError, sendJson } from './http-errors.js';
import type { Route } from './http-routes.js';
import type { V2HttpSettings } from './http-settings.js';
import { parseDocument } from './json-document.js';

const NO_HEADERS = [] as const;

/** Every request but infer: health, metadata, configuration, statistics, repository, and what we do not have. */
export function answerCold(
  settings: V2HttpSettings,
  route: Route,
  method: string,
  body: Uint8Array,
  reply: HttpReply,
): void {
  const fail = (error: unknown): void => sendError(reply, error, settings.log);
  try {
    const done = cold(settings, route, method, body, reply);
    if (done !== undefined) done.then(() => reply.send(200, NO_HEADERS, ''), fail);
  } catch (error) {
    fail(error);
  }
}

/** Replies, or gives a promise whose end is an empty 200. */
function cold(
  settings: V2HttpSettings,
  route: Route,
  method: string,
  body: Uint8Array,
  reply: HttpReply,
): Promise<void> | undefined {
  const { models } = settings;
  const { model, version } = route;
  switch (route.action) {
    case 'live':
      reply.send(200, NO_HEADERS, '');
      return;
    case 'ready':
      reply.send(models.ready() ? 200 : 400, NO_HEADERS, '');
      return;
    case 'model-ready':
      sendModelReady(models, model, version, reply);
      return;
    case 'server-metadata': {
      const { serverName: name, serverVersion, extensions } = settings;
      sendJson(reply, 200, { name, version: serverVersion, extensions });
      return;
    }
    case 'model-metadata':
      sendJson(reply, 200, models.metadata(model, version));
      return;
    case 'model-config':
      sendJson(reply, 200, models.config(model, version));
      return;
    case 'statistics':
      sendJson(reply, 200, { model_stats: models.statistics(model, version) });
      return;
    case 'repository-index':
      sendIndex(models, body, reply);
      return;
    case 'load':
      return models.load(model, loadOverrideOf(parametersOf(body)));
    case 'unload':
      return models.unload(model, parametersOf(body).unload_dependents === true);
    case 'memory-status':
      sendJson(reply, 200, []);
      return;
    case 'memory-unregister':
      // Clients begin with it to clean up, and there is never anything registered.
      reply.send(200, NO_HEADERS, '');
      return;
    case 'memory-register':
      throw new InferError('UNSUPPORTED', 'shared memory is not supported: send tensors in the request');
    case 'trace-settings':
    case 'log-settings':
      if (method !== 'GET') throw new InferError('UNSUPPORTED', 'these settings are fixed by the server configuration');
      if (model !== '') models.metadata(model, '');
      sendJson(reply, 200, route.action === 'trace-settings' ? TRACE_SETTINGS : LOG_SETTINGS);
      return;
    case 'infer':
      throw new Error('infer is not a cold route');
  }
}

/** Tracing is off. */
const TRACE_SETTINGS = {
  trace_level: ['OFF'],
  trace_rate: '1000',
  trace_count: '-1',
  log_frequency: '0',
  trace_file: '',
  trace_mode: 'triton',
} as const;

/** The log goes to the standard output as JSON lines, with errors, warnings and what happens to models. */
const LOG_SETTINGS = {
  log_file: '',
  log_info: true,
  log_warning: true,
  log_error: true,
  log_verbose_level: 0,
  log_format: 'default',
} as const;

/** Whatever is wrong with the model, also that it is unknown, the answer is 400: probes look at nothing else. */
function sendModelReady(models: ModelServer, model: string, version: string, reply: HttpReply): void {
  try {
    reply.send(models.modelReady(model, version) ? 200 : 400, NO_HEADERS, '');
  } catch (error) {
    if (!(error instanceof InferError)) throw error;
    sendJson(reply, 400, { error: error.message });
  }
}

function sendIndex(models: ModelServer, body: Uint8Array, reply: HttpReply): void {
  const { ready = false } = documentOf(body);
  if (typeof ready !== 'boolean') throw invalid("Unable to parse 'ready'");
  const entries = models.index(ready);
  sendJson(
    reply,
    200,
    entries.map(({ name, version, state, reason }) => ({ name, version, state, ...(reason === '' ? {} : { reason }) })),
  );
}

const FILE_PREFIX = 'file:';

/** @returns null where the call brings nothing along. @throws InferError INVALID_ARG */
function loadOverrideOf(parameters: Json): LoadOverride | null {
  let config = '';
  const files = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(parameters)) {
    if (key !== 'config' && !key.startsWith(FILE_PREFIX)) continue;
    if (typeof value !== 'string') throw invalid(`load parameter '${key}' must be a string`);
    if (key === 'config') {
      config = value;
      continue;
    }
    const path = key.slice(FILE_PREFIX.length);
    if (!isInside(path)) throw invalid(`load parameter '${key}' must name a file below the model's folder`);
    const file = Buffer.from(value, 'base64');
    // The decoder skips what is no base64, so a wrong character shows in the length.
    const padding = value.endsWith('==') ? 2 : Number(value.endsWith('='));
    if (file.byteLength !== (value.length / 4) * 3 - padding) {
      throw invalid(`load parameter '${key}' must be base64`);
    }
    files.set(path, file);
  }
  return config === '' && files.size === 0 ? null : { config, files };
}

/** Relative, with no step that is empty or leads up or elsewhere. */
function isInside(path: string): boolean {
  if (path.includes('\\') || path.includes('\0')) return false;
  return path.split('/').every((step) => step !== '' && step !== '.' && step !== '..');
}

type Json = Readonly<Record<string, unknown>>;

function parametersOf(body: Uint8Array): Json {
  const { parameters = {} } = documentOf(body);
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw invalid("Unable to parse 'parameters': it must be an object");
  }
  return parameters as Json;
}

/** An empty body is an empty object. */
function documentOf(body: Uint8Array): Json {
  if (body.byteLength === 0) return {};
  const document = parseDocument(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalid('failed to parse the request JSON buffer: it must be an object');
  }
  return document as Json;
}
