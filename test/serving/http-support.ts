import { gzipSync } from 'node:zlib';
import {
  InferError,
  type InferHandle,
  type InferRequest,
  type LoadOverride,
  type ModelServer,
  type ModelStatistics,
  type OnInfer,
  type Tensor,
  type TensorMetadata,
} from '../../src/contract/index.js';
import { type PlainHttpServer, startPlainHttp } from '../../src/ingress/index.js';
import { makeV2Http, V2_HTTP_HEADERS } from '../../src/serving/index.js';

/**
 * Models in memory: `echo` gives its inputs back under their own names, `slow` when `release` is called, `bad` fails with
 * the code in the request's id, `bug` throws, `raw` takes one FP32 [-1, 4], and `text` one BYTES [1].
 */
export class EchoModels implements ModelServer {
  isReady = true;
  readonly seen: InferRequest[] = [];
  readonly loads: { model: string; override: LoadOverride | null }[] = [];
  readonly unloads: { model: string; withDependents: boolean }[] = [];
  cancelled = 0;
  private readonly waiting: (() => void)[] = [];

  infer(request: InferRequest, done: OnInfer): InferHandle {
    this.seen.push(request);
    if (request.model === 'bug') throw new TypeError('a bug for the test');
    this.known(request.model);
    const wanted = (tensor: Tensor): boolean => request.outputs.length === 0 || request.outputs.includes(tensor.name);
    const answer = (): void =>
      done(null, { model: request.model, version: '3', outputs: request.inputs.filter(wanted) });
    if (request.model === 'slow') this.waiting.push(answer);
    else if (request.model === 'bad') {
      setImmediate(done, new InferError(request.id as InferError['code'], `failed with ${request.id}`), null);
    } else setImmediate(answer);
    return {
      cancel: () => {
        this.cancelled += 1;
      },
    };
  }

  release(): void {
    for (const answer of this.waiting.splice(0)) answer();
  }

  ready = (): boolean => this.isReady;

  modelReady(model: string): boolean {
    this.known(model);
    return this.isReady;
  }

  metadata(model: string): ReturnType<ModelServer['metadata']> {
    this.known(model);
    const inputs: TensorMetadata[] =
      model === 'text'
        ? [{ name: 'in', datatype: 'BYTES', shape: [1] }]
        : [{ name: 'in', datatype: 'FP32', shape: [-1, 4] }];
    if (model === 'echo') inputs.push({ name: 'two', datatype: 'FP32', shape: [-1, 4] });
    return { name: model, versions: ['3'], platform: 'identity', inputs, outputs: inputs };
  }

  config(model: string): Readonly<Record<string, unknown>> {
    this.known(model);
    return { name: model, platform: 'identity', max_batch_size: model === 'text' ? 0 : 8 };
  }

  statistics(model: string, version: string): readonly ModelStatistics[] {
    if (model !== '') this.known(model);
    const names = model === '' ? ['echo', 'slow'] : [model];
    return names.map((name) => ({ name, version: version || '3' }) as ModelStatistics);
  }

  index(onlyReady: boolean): ReturnType<ModelServer['index']> {
    const echo = { name: 'echo', version: '3', state: 'READY', reason: '' } as const;
    return onlyReady ? [echo] : [echo, { name: 'gone', state: 'UNAVAILABLE', reason: 'unloaded' }];
  }

  async load(model: string, override: LoadOverride | null): Promise<void> {
    this.loads.push({ model, override });
    this.known(model);
  }

  async unload(model: string, withDependents: boolean): Promise<void> {
    this.unloads.push({ model, withDependents });
  }

  private known(model: string): void {
    if (!['echo', 'slow', 'bad', 'raw', 'text', 'a b/c'].includes(model)) {
      throw new InferError('NOT_FOUND', `Request for unknown model: '${model}' is not found`);
    }
  }
}

export class TestLog {
  readonly errors: unknown[] = [];
  info = (): void => {};
  warn = (): void => {};
  error = (fields: object, message: string): void => void this.errors.push({ ...fields, message });
}

export interface Served {
  readonly models: EchoModels;
  readonly server: PlainHttpServer;
  readonly log: TestLog;
  readonly url: string;
}

export async function serve(backend: 'uws' | 'node'): Promise<Served> {
  const models = new EchoModels();
  const log = new TestLog();
  const handler = makeV2Http({
    models,
    serverName: 'triton',
    serverVersion: '9.9.9',
    extensions: ['binary_tensor_data'],
    bodyDecompressedBytesMax: 4 * 1024 * 1024,
    log,
  });
  const server = await startPlainHttp({
    host: '127.0.0.1',
    port: 0,
    backend,
    headers: V2_HTTP_HEADERS,
    bodyBytesMax: 8 * 1024 * 1024,
    requestsInFlightMax: 64,
    connectionsMax: 64,
    uploadMsMax: 5_000,
    handler,
    log,
  });
  return { models, server, log, url: `http://127.0.0.1:${server.port}` };
}

/** JSON with tensors behind it, as a client sends them. */
export function binaryBody(json: object, ...tensors: Uint8Array[]): { body: Buffer; headers: Record<string, string> } {
  const head = Buffer.from(JSON.stringify(json));
  return {
    body: Buffer.concat([head, ...tensors]),
    headers: { 'inference-header-content-length': String(head.byteLength) },
  };
}

export const gzipped = (body: Uint8Array | string): Buffer => gzipSync(body);

/** The bytes of a typed array. */
export const bytesOf = (values: ArrayBufferView): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** BYTES elements, each behind its length. */
export function strings(...values: string[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const text = Buffer.from(value);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.byteLength);
      return [length, text];
    }),
  );
}
