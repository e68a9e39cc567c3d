/** Which request of the protocol a path is. Versions and names are not looked up here. */

const GET = ['GET'] as const;
const POST = ['POST'] as const;
const GET_POST = ['GET', 'POST'] as const;

/** By action: the methods it takes; another one is answered 405. */
const ACTIONS = {
  'server-metadata': GET,
  live: GET,
  ready: GET,
  infer: POST,
  'model-metadata': GET,
  'model-ready': GET,
  'model-config': GET,
  statistics: GET,
  'repository-index': POST,
  load: POST,
  unload: POST,
  'memory-status': GET,
  'memory-register': POST,
  'memory-unregister': POST,
  'trace-settings': GET_POST,
  'log-settings': GET_POST,
} as const;

export type Action = keyof typeof ACTIONS;

export interface Route {
  readonly action: Action;
  /** '' = none. */
  readonly model: string;
  /** Digits; '' = none. */
  readonly version: string;
}

const plain = (action: Action): Route => ({ action, model: '', version: '' });

const FIXED: ReadonlyMap<string, Route> = new Map([
  ['/v2', plain('server-metadata')],
  ['/v2/health/live', plain('live')],
  ['/v2/health/ready', plain('ready')],
  ['/v2/models/stats', plain('statistics')],
  ['/v2/repository/index', plain('repository-index')],
  ['/v2/trace/setting', plain('trace-settings')],
  ['/v2/logging', plain('log-settings')],
]);

const MODEL_ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['', 'model-metadata'],
  ['infer', 'infer'],
  ['ready', 'model-ready'],
  ['config', 'model-config'],
  ['stats', 'statistics'],
  ['trace/setting', 'trace-settings'],
]);

const MEMORY_PATH = /^\/v2\/(?:system|cuda)sharedmemory(?:\/region\/[^/]+)?\/(status|register|unregister)$/;
const VERSION = /^[0-9]{1,18}$/;

/** @returns null where no route has this path */
export function routeOf(path: string): Route | null {
  const fixed = FIXED.get(path);
  if (fixed !== undefined) return fixed;
  if (path.startsWith('/v2/models/')) return modelRoute(path.split('/'));
  if (path.startsWith('/v2/repository/models/')) {
    const [, , , , name, action, ...rest] = path.split('/');
    const model = nameOf(name);
    if (model === '' || rest.length > 0 || (action !== 'load' && action !== 'unload')) return null;
    return { action, model, version: '' };
  }
  const memory = MEMORY_PATH.exec(path);
  if (memory !== null) return plain(`memory-${memory[1]}` as Action);
  return path.length > 1 && path.endsWith('/') ? routeOf(path.slice(0, -1)) : null;
}

/** '' = this action takes the method; else the methods it takes, for the `Allow` header. */
export function allowedInstead(action: Action, method: string): string {
  const methods: readonly string[] = ACTIONS[action];
  return methods.includes(method) ? '' : methods.join(', ');
}

/** `/v2/models/{model}[/versions/{version}][/{action}]` */
function modelRoute(parts: readonly string[]): Route | null {
  const model = nameOf(parts[3]);
  if (model === '') return null;
  const versioned = parts[4] === 'versions';
  const version = versioned ? (parts[5] ?? '') : '';
  if (versioned && !VERSION.test(version)) return null;
  const rest = versioned ? 6 : 4;
  const action = MODEL_ACTIONS.get(parts.length === rest + 1 ? parts[rest] : parts.slice(rest).join('/'));
  return action === undefined ? null : { action, model, version };
}

/** '' where it is not percent-encoded UTF-8. */
function nameOf(part: string | undefined): string {
  if (part === undefined || !part.includes('%')) return part ?? '';
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
