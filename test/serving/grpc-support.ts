import {
  type Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  InferError,
  type InferHandle,
  type InferRequest,
  type LoadOverride,
  type ModelServer,
  type OnInfer,
} from '../../src/contract/index.js';
import { type HostedGrpcOptions, type HostedGrpcServer, hostGrpc } from '../../src/ingress/index.js';
import { loadV2Definition } from '../../src/serving/grpc-messages.js';
import { makeV2Grpc, type V2GrpcOptions } from '../../src/serving/index.js';

const duration = { count: 3, ns: 2 ** 40 };

/**
 * Models in memory. `echo` gives its inputs back as outputs (`in` → `in`), at once or, with an id such as `30ms`, later;
 * the id `hold` waits for `release` or a cancel, `throw` is a bug, and an id that is an error code is that error.
 */
export class EchoModels implements ModelServer {
  readonly seen: InferRequest[] = [];
  readonly loads: { model: string; override: LoadOverride | null }[] = [];
  readonly unloads: { model: string; withDependents: boolean }[] = [];
  readonly held: (() => void)[] = [];
  cancelled = 0;
  isReady = true;

  infer(request: InferRequest, done: OnInfer): InferHandle {
    this.seen.push(request);
    if (request.id === 'throw') throw new Error('a bug for the test');
    let isOpen = true;
    const once: OnInfer = (error, response) => {
      if (isOpen) done(error, response);
      isOpen = false;
    };
    const answer = (): void => once(null, { model: request.model, version: '7', outputs: request.inputs });
    if (request.id === 'hold') this.held.push(answer);
    else if (request.id.endsWith('ms')) setTimeout(answer, Number.parseInt(request.id, 10));
    else if (request.id in CODES)
      setImmediate(once, new InferError(request.id as keyof typeof CODES, 'as asked'), null);
    else setImmediate(answer);
    return {
      cancel: () => {
        this.cancelled += 1;
        setImmediate(once, new InferError('CANCELLED', 'cancelled'), null);
      },
    };
  }

  release(): void {
    for (const answer of this.held.splice(0)) answer();
  }

  ready(): boolean {
    return this.isReady;
  }

  modelReady(model: string, version: string): boolean {
    this.known(model);
    if (version === 'x') throw new InferError('INVALID_ARG', 'not a version');
    return this.isReady;
  }

  metadata(model: string): ReturnType<ModelServer['metadata']> {
    this.known(model);
    const tensor = { name: 'in', datatype: 'FP32', shape: [-1, 4] } as const;
    return { name: model, versions: ['2', '7'], platform: 'identity', inputs: [tensor], outputs: [tensor] };
  }

  config(model: string): ReturnType<ModelServer['config']> {
    this.known(model);
    return {
      name: model,
      max_batch_size: 8,
      input: [{ name: 'in', data_type: 'TYPE_FP32', dims: [-1, 2 ** 40] }],
      dynamic_batching: { preferred_batch_size: [4], max_queue_delay_microseconds: 100 },
      parameters: { a: { string_value: 'b' } },
      not_in_the_protocol: 1,
    };
  }

  statistics(model: string): ReturnType<ModelServer['statistics']> {
    if (model !== '') this.known(model);
    const stats = { success: duration, fail: duration, queue: duration, compute_input: duration };
    const compute = { compute_input: duration, compute_infer: duration, compute_output: duration };
    return [
      {
        name: 'echo',
        version: '7',
        last_inference: 1_700_000_000_000,
        inference_count: 5,
        execution_count: 2,
        inference_stats: { ...stats, ...compute, cache_hit: duration, cache_miss: duration },
        response_stats: {},
        batch_stats: [{ batch_size: 2, ...compute }],
        memory_usage: [],
      },
    ];
  }

  index(onlyReady: boolean): ReturnType<ModelServer['index']> {
    const ready = { name: 'echo', version: '7', state: 'READY', reason: '' } as const;
    return onlyReady ? [ready] : [ready, { name: 'idle', state: 'UNAVAILABLE', reason: 'unloaded' }];
  }

  async load(model: string, override: LoadOverride | null): Promise<void> {
    this.known(model);
    this.loads.push({ model, override });
  }

  async unload(model: string, withDependents: boolean): Promise<void> {
    this.unloads.push({ model, withDependents });
  }

  private known(model: string): void {
    if (model !== 'echo') throw new InferError('NOT_FOUND', `Request for unknown model: '${model}' is not found`);
  }
}

const CODES = { INVALID_ARG: 3, NOT_FOUND: 5, ALREADY_EXISTS: 6, UNAVAILABLE: 14, UNSUPPORTED: 12, INTERNAL: 13 };
export const STATUS_BY_CODE: Readonly<Record<string, number>> = CODES;

export type Message = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: what comes back is compared as a whole
export type Reply = any;
export type Stream = ClientDuplexStream<Message, Reply>;

/** A grpc-js client with a promise per unary call. */
export class V2Client {
  readonly raw: Client & Record<string, (...args: unknown[]) => unknown>;

  constructor(address: string, options: object = {}) {
    const Constructor = makeGenericClientConstructor(loadV2Definition(), 'GRPCInferenceService');
    this.raw = new Constructor(address, credentials.createInsecure(), options) as never;
  }

  call(method: string, message: Message = {}, options: object = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.raw[method](message, new Metadata(), options, (error: ServiceError | null, reply: Reply) => {
        if (error === null) resolve(reply);
        else reject(error);
      });
    });
  }

  /** What the call fails with: `code` and `details`. */
  async refusal(method: string, message: Message = {}, options: object = {}): Promise<Partial<ServiceError>> {
    const error = await this.call(method, message, options).then(
      (reply) => Promise.reject(new Error(`answered with ${JSON.stringify(reply)}`)),
      (reason: ServiceError) => reason,
    );
    return { code: error.code, details: error.details };
  }

  stream(): Stream {
    return this.raw.ModelStreamInfer() as Stream;
  }
}

export interface Running {
  readonly models: EchoModels;
  readonly client: V2Client;
  readonly server: HostedGrpcServer;
  readonly logged: object[];
}

const running: Running[] = [];

export async function startV2(
  serving: Partial<V2GrpcOptions> = {},
  hosting: Partial<HostedGrpcOptions> = {},
): Promise<Running> {
  const models = new EchoModels();
  const logged: object[] = [];
  const note = (fields: object): void => void logged.push(fields);
  const log = { info: note, warn: note, error: note };
  const service = makeV2Grpc({
    models,
    serverName: 'triton',
    serverVersion: '1.2.3',
    extensions: ['statistics'],
    log,
    ...serving,
  });
  const server = await hostGrpc({ host: '127.0.0.1', port: 0, service, log, ...hosting });
  const client = new V2Client(`127.0.0.1:${server.port}`, { 'grpc.max_receive_message_length': -1 });
  const started = { models, client, server, logged };
  running.push(started);
  return started;
}

export async function stopAll(): Promise<void> {
  for (const { client, server } of running.splice(0)) {
    client.raw.close();
    await server.close(0);
  }
}

export async function eventually(holds: () => boolean): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += 5) {
    if (waitedMs > 3_000) throw new Error('it never came true');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A request for `echo` with one FP32 input of raw bytes. */
export function rawRequest(id: string, change: Message = {}): Message {
  return {
    model_name: 'echo',
    id,
    inputs: [{ name: 'in', datatype: 'FP32', shape: [1, 2] }],
    raw_input_contents: [Buffer.from(new Float32Array([1, 2]).buffer)],
    ...change,
  };
}
