/** Everything of the service but inference: health, metadata, configuration, statistics, repository, refusals. */
import type { handleUnaryCall } from '@grpc/grpc-js';
import { InferError, type LoadOverride, type ModelServer } from '../contract/index.js';
import { UNREADABLE } from './grpc-messages.js';
import { grpcError, type ServingLog, toInferError, unreadable } from './grpc-status.js';

export interface ServerIdentity {
  /** Some client examples assert `triton`. */
  readonly serverName: string;
  readonly serverVersion: string;
  readonly extensions: readonly string[];
}

// Requests as the plain codec gives them: every field present.
interface ModelRequest {
  readonly name: string;
  readonly version: string;
}
interface RepositoryParameter {
  readonly parameter_choice?: 'bool_param' | 'int64_param' | 'string_param' | 'bytes_param';
  readonly bool_param?: boolean;
  readonly string_param?: string;
  readonly bytes_param?: Uint8Array;
}
interface RepositoryRequest {
  readonly repository_name: string;
  readonly model_name: string;
  readonly parameters: Readonly<Record<string, RepositoryParameter>>;
}
interface SettingsRequest {
  readonly settings: Readonly<Record<string, unknown>>;
}

type Answer = (request: never) => object | Promise<object>;

/** The handlers by method name. */
export function coldHandlers(
  models: ModelServer,
  identity: ServerIdentity,
  log: ServingLog,
): Record<string, handleUnaryCall<object, object>> {
  const answers: Record<string, Answer> = {
    ...queries(models, identity),
    ...repository(models),
    ...sharedMemory('system'),
    ...sharedMemory('cuda'),
    ...settings(),
  };
  return Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, unary(answer, log)]));
}

function unary(answer: Answer, log: ServingLog): handleUnaryCall<object, object> {
  return async (call, callback) => {
    let response: object;
    try {
      if (call.request === UNREADABLE) throw unreadable();
      response = await answer(call.request as never);
    } catch (error) {
      callback(grpcError(toInferError(error, log)));
      return;
    }
    callback(null, response);
  };
}

function queries(models: ModelServer, identity: ServerIdentity): Record<string, Answer> {
  return {
    ServerLive: () => ({ live: true }),
    ServerReady: () => ({ ready: models.ready() }),
    ModelReady: ({ name, version }: ModelRequest) => ({ ready: isModelReady(models, name, version) }),
    ServerMetadata: () => ({
      name: identity.serverName,
      version: identity.serverVersion,
      extensions: identity.extensions,
    }),
    ModelMetadata: ({ name, version }: ModelRequest) => models.metadata(name, version),
    ModelConfig: ({ name, version }: ModelRequest) => ({ config: models.config(name, version) }),
    ModelStatistics: ({ name, version }: ModelRequest) => ({ model_stats: models.statistics(name, version) }),
  };
}

/** Over gRPC a model that is not there is not ready; only over HTTP is the question an error. */
function isModelReady(models: ModelServer, name: string, version: string): boolean {
  try {
    return models.modelReady(name, version);
  } catch (error) {
    if (error instanceof InferError && (error.code === 'NOT_FOUND' || error.code === 'UNAVAILABLE')) return false;
    throw error;
  }
}

function repository(models: ModelServer): Record<string, Answer> {
  return {
    RepositoryIndex({ repository_name, ready }: { repository_name: string; ready: boolean }) {
      refuseRepositoryName(repository_name);
      return { models: models.index(ready) };
    },
    async RepositoryModelLoad(request: RepositoryRequest) {
      refuseRepositoryName(request.repository_name);
      await models.load(request.model_name, readOverride(request.parameters));
      return {};
    },
    async RepositoryModelUnload(request: RepositoryRequest) {
      refuseRepositoryName(request.repository_name);
      const dependents = request.parameters.unload_dependents;
      if (dependents !== undefined && dependents.parameter_choice !== 'bool_param') {
        throw invalid("invalid value type for 'unload_dependents' parameter, expected bool_param.");
      }
      await models.unload(request.model_name, dependents?.bool_param === true);
      return {};
    },
  };
}

function refuseRepositoryName(name: string): void {
  if (name !== '') throw new InferError('UNSUPPORTED', "'repository_name' specification is not supported");
}

const FILE_PREFIX = 'file:';

function readOverride(parameters: RepositoryRequest['parameters']): LoadOverride | null {
  let config = '';
  const files = new Map<string, Uint8Array>();
  for (const [key, parameter] of Object.entries(parameters)) {
    if (key === 'config') {
      config = expect(key, 'string_param', parameter.string_param);
    } else if (key.startsWith(FILE_PREFIX)) {
      files.set(key.slice(FILE_PREFIX.length), expect(key, 'bytes_param', parameter.bytes_param));
    } else {
      throw invalid(`unrecognized load parameter '${key}'.`);
    }
  }
  return config === '' && files.size === 0 ? null : { config, files };
}

/** @param value undefined when the client has set another field */
function expect<Value>(key: string, choice: string, value: Value | undefined): Value {
  if (value === undefined) throw invalid(`invalid value type for load parameter '${key}', expected ${choice}.`);
  return value;
}

/** Nothing can be registered, so the status is empty, and what is unregistered is gone already. */
function sharedMemory(kind: 'system' | 'cuda'): Record<string, Answer> {
  const prefix = kind === 'system' ? 'SystemSharedMemory' : 'CudaSharedMemory';
  return {
    [`${prefix}Status`]({ name }: { name: string }) {
      if (name === '') return { regions: {} };
      throw new InferError('NOT_FOUND', `Unable to find ${kind} shared memory region: '${name}'`);
    },
    [`${prefix}Register`]() {
      throw new InferError('UNSUPPORTED', `${kind} shared memory is not supported: send tensors in the request`);
    },
    [`${prefix}Unregister`]: () => ({}),
  };
}

const TRACE_SETTINGS = {
  trace_level: { value: ['OFF'] },
  trace_rate: { value: ['0'] },
  trace_count: { value: ['0'] },
  log_frequency: { value: ['0'] },
  trace_file: { value: [''] },
  trace_mode: { value: ['triton'] },
};

/** The log is the process's and is set where it is started; errors and warnings are always in it. */
const LOG_SETTINGS = {
  log_file: { string_param: '' },
  log_info: { bool_param: true },
  log_warning: { bool_param: true },
  log_error: { bool_param: true },
  log_verbose_level: { uint32_param: 0 },
  log_format: { string_param: 'default' },
};

function settings(): Record<string, Answer> {
  const show = (now: object, what: string): Answer => {
    return (request: SettingsRequest) => {
      if (Object.keys(request.settings).length === 0) return { settings: now };
      throw new InferError('UNSUPPORTED', `${what} cannot be changed over the protocol`);
    };
  };
  return {
    TraceSetting: show(TRACE_SETTINGS, 'trace settings'),
    LogSettings: show(LOG_SETTINGS, 'log settings'),
  };
}

const invalid = (message: string): InferError => new InferError('INVALID_ARG', message);
