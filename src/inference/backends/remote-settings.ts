import type { ModelConfig } from '../../contract/index.js';
import { Parameters } from './parameters.js';

export interface RemoteSettings {
  /** host:port. */
  readonly endpoint: string;
  readonly model: string;
  /** '' = the remote's choice. */
  readonly version: string;
  readonly connections: number;
  /** Calls. */
  readonly inFlightMax: number;
  readonly timeoutMs: number;
  /** Failures in a row that open the breaker. */
  readonly breakerFailures: number;
  readonly breakerOpenMs: number;
  readonly route: 'remote_first' | 'cost';
}

/** @throws OperatingError VK_MODEL_CONFIG (model owner) naming the parameter */
export function remoteSettings(config: ModelConfig): RemoteSettings {
  const parameters = new Parameters(config);
  parameters.allowOnly(REMOTE_PARAMETERS, 'remote_');
  const version = parameters.text('remote_model_version');
  if (!/^([1-9]\d*)?$/.test(version)) throw parameters.error('remote_model_version', `'${version}' is no version`);
  const route = parameters.oneOf('route', 'remote_first', ['remote_first', 'cost'] as const);
  const localModel = parameters.text('local_model');
  if (route === 'cost' && localModel === '') throw parameters.error('route', `'cost' needs a local_model`);
  if (localModel === config.name) throw parameters.error('local_model', 'a model cannot fall back to itself');
  return {
    endpoint: endpoint(parameters),
    model: parameters.text('remote_model') || config.name,
    version,
    connections: parameters.integer('remote_connections', 2, 1, CONNECTIONS_MAX),
    inFlightMax: parameters.integer('remote_in_flight_max', 16, 1, IN_FLIGHT_MAX),
    timeoutMs: parameters.integer('remote_timeout_ms', 100, 1, TIMEOUT_MS_MAX),
    breakerFailures: parameters.integer('remote_breaker_failures', 5, 1, BREAKER_FAILURES_MAX),
    breakerOpenMs: parameters.integer('remote_breaker_open_ms', 1_000, 1, BREAKER_OPEN_MS_MAX),
    route,
  };
}

const REMOTE_PARAMETERS = [
  'remote_endpoint',
  'remote_model',
  'remote_model_version',
  'remote_connections',
  'remote_in_flight_max',
  'remote_timeout_ms',
  'remote_breaker_failures',
  'remote_breaker_open_ms',
];

/** One connection carries hundreds of megabytes a second; more than this is many servers behind one name. */
const CONNECTIONS_MAX = 64;
/** Batches whose tensors are held in memory at once: at 1 MiB each, a gigabyte. */
const IN_FLIGHT_MAX = 1_024;
/** Ten minutes: longer than any model that answers a batch while somebody waits. */
const TIMEOUT_MS_MAX = 600_000;
const BREAKER_FAILURES_MAX = 1_000_000;
/** An hour: a breaker that is open for longer is a model that should be unloaded. */
const BREAKER_OPEN_MS_MAX = 3_600_000;

function endpoint(parameters: Parameters): string {
  const text = parameters.text('remote_endpoint');
  if (text === '') throw parameters.error('remote_endpoint', 'missing; it must be host:port of a gRPC endpoint');
  const port = Number(/^(?:\[[\da-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (port >= 1 && port <= 65_535) return text;
  throw parameters.error('remote_endpoint', `'${text}' is not host:port`);
}
