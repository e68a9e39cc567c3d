import { createRequire } from 'node:module';
import { credentials, loadPackageDefinition, type ServiceError, status as STATUS } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually, type Message, type Reply, rawRequest, startV2, stopAll } from './grpc-support.js';

afterEach(stopAll);

const duration = { count: 3, ns: 2 ** 40 };
const compute = { compute_input: duration, compute_infer: duration, compute_output: duration };
const tensor = { name: 'in', datatype: 'FP32', shape: [-1, 4] };

describe('what the server says of itself and its models', () => {
  const ANSWERS: [string, Message, Message][] = [
    ['ServerLive', {}, { live: true }],
    ['ServerReady', {}, { ready: true }],
    ['ServerMetadata', {}, { name: 'triton', version: '1.2.3', extensions: ['statistics'] }],
    ['ModelReady', { name: 'echo' }, { ready: true }],
    ['ModelReady', { name: 'nobody' }, { ready: false }],
    [
      'ModelMetadata',
      { name: 'echo' },
      { name: 'echo', versions: ['2', '7'], platform: 'identity', inputs: [tensor], outputs: [tensor] },
    ],
    [
      'ModelStatistics',
      {},
      {
        model_stats: [
          {
            name: 'echo',
            version: '7',
            last_inference: 1_700_000_000_000,
            inference_count: 5,
            execution_count: 2,
            inference_stats: {
              ...compute,
              success: duration,
              fail: duration,
              queue: duration,
              cache_hit: duration,
              cache_miss: duration,
            },
            response_stats: {},
            batch_stats: [{ batch_size: 2, ...compute }],
            memory_usage: [],
          },
        ],
      },
    ],
    ['RepositoryIndex', { ready: true }, { models: [{ name: 'echo', version: '7', state: 'READY', reason: '' }] }],
    [
      'RepositoryIndex',
      {},
      {
        models: [
          { name: 'echo', version: '7', state: 'READY', reason: '' },
          { name: 'idle', version: '', state: 'UNAVAILABLE', reason: 'unloaded' },
        ],
      },
    ],
    ['SystemSharedMemoryStatus', {}, { regions: {} }],
    ['CudaSharedMemoryStatus', {}, { regions: {} }],
    ['SystemSharedMemoryUnregister', {}, {}],
    ['CudaSharedMemoryUnregister', { name: 'r' }, {}],
  ];
  it.each(ANSWERS)('%s %j', async (method, message, answer) => {
    const { client } = await startV2();
    expect(await client.call(method, message)).toEqual(answer);
  });

  it('gives the configuration as the message of the protocol', async () => {
    const { client } = await startV2();
    const { config } = await client.call('ModelConfig', { name: 'echo' });
    expect(config).toMatchObject({
      name: 'echo',
      max_batch_size: 8,
      input: [{ name: 'in', data_type: 'TYPE_FP32', dims: [-1, 2 ** 40] }],
      scheduling_choice: 'dynamic_batching',
      dynamic_batching: { preferred_batch_size: [4], max_queue_delay_microseconds: 100 },
      parameters: { a: { string_value: 'b' } },
    });
    expect(config).not.toHaveProperty('not_in_the_protocol');
  });

  it('shows trace and log settings', async () => {
    const { client } = await startV2();
    const trace = await client.call('TraceSetting', { model_name: 'echo' });
    expect(trace.settings.trace_level).toEqual({ value: ['OFF'] });
    const log = await client.call('LogSettings');
    expect(log.settings.log_error).toEqual({ bool_param: true, parameter_choice: 'bool_param' });
  });

  const UNIMPLEMENTED = STATUS.UNIMPLEMENTED;
  const unknown = "Request for unknown model: 'nobody' is not found";
  const REFUSALS: [string, Message, number, string][] = [
    ['ModelReady', { name: 'echo', version: 'x' }, STATUS.INVALID_ARGUMENT, 'not a version'],
    ['ModelMetadata', { name: 'nobody' }, STATUS.NOT_FOUND, unknown],
    ['ModelConfig', { name: 'nobody' }, STATUS.NOT_FOUND, unknown],
    ['ModelStatistics', { name: 'nobody' }, STATUS.NOT_FOUND, unknown],
    ['RepositoryModelLoad', { model_name: 'nobody' }, STATUS.NOT_FOUND, unknown],
    ['RepositoryIndex', { repository_name: 'r' }, UNIMPLEMENTED, "'repository_name' specification is not supported"],
    [
      'RepositoryModelLoad',
      { model_name: 'echo', parameters: { config: { bytes_param: Buffer.from('{}') } } },
      STATUS.INVALID_ARGUMENT,
      "invalid value type for load parameter 'config', expected string_param.",
    ],
    [
      'RepositoryModelLoad',
      { model_name: 'echo', parameters: { 'file:1/m': { string_param: 'x' } } },
      STATUS.INVALID_ARGUMENT,
      "invalid value type for load parameter 'file:1/m', expected bytes_param.",
    ],
    [
      'RepositoryModelLoad',
      { model_name: 'echo', parameters: { other: { bool_param: true } } },
      STATUS.INVALID_ARGUMENT,
      "unrecognized load parameter 'other'.",
    ],
    [
      'RepositoryModelUnload',
      { model_name: 'echo', parameters: { unload_dependents: { string_param: 'true' } } },
      STATUS.INVALID_ARGUMENT,
      "invalid value type for 'unload_dependents' parameter, expected bool_param.",
    ],
    [
      'SystemSharedMemoryRegister',
      { name: 'r', key: '/r', byte_size: 8 },
      UNIMPLEMENTED,
      'system shared memory is not supported: send tensors in the request',
    ],
    [
      'CudaSharedMemoryRegister',
      { name: 'r' },
      UNIMPLEMENTED,
      'cuda shared memory is not supported: send tensors in the request',
    ],
    ['SystemSharedMemoryStatus', { name: 'r' }, STATUS.NOT_FOUND, "Unable to find system shared memory region: 'r'"],
    [
      'TraceSetting',
      { settings: { trace_level: { value: ['TIMESTAMPS'] } } },
      UNIMPLEMENTED,
      'trace settings cannot be changed over the protocol',
    ],
  ];
  it.each(REFUSALS)('%s refuses %j', async (method, message, code, details) => {
    const { client } = await startV2();
    expect(await client.refusal(method, message)).toEqual({ code, details });
  });
});

describe('the repository', () => {
  it('loads with and without what the call brings along, and unloads', async () => {
    const { client, models } = await startV2();
    await client.call('RepositoryModelLoad', { model_name: 'echo' });
    const parameters = {
      config: { string_param: '{"backend":"identity"}' },
      'file:1/model.onnx': { bytes_param: Buffer.from([1, 2]) },
    };
    await client.call('RepositoryModelLoad', { model_name: 'echo', parameters });
    const files = new Map([['1/model.onnx', Buffer.from([1, 2])]]);
    expect(models.loads).toEqual([
      { model: 'echo', override: null },
      { model: 'echo', override: { config: '{"backend":"identity"}', files } },
    ]);
    await client.call('RepositoryModelUnload', { model_name: 'echo' });
    const withDependents = { unload_dependents: { bool_param: true } };
    await client.call('RepositoryModelUnload', { model_name: 'echo', parameters: withDependents });
    expect(models.unloads.map((unload) => unload.withDependents)).toEqual([false, true]);
  });
});

const healthPackage = loadSync(healthProtoPath, { enums: String, defaults: true });
// biome-ignore lint/suspicious/noExplicitAny: the client is made from the .proto at run time
const { Health } = (loadPackageDefinition(healthPackage) as any).grpc.health.v1;

const reflectionProto = createRequire(import.meta.url)
  .resolve('@grpc/reflection')
  .replace(/src\/index\.js$/, 'proto/grpc/reflection/v1/reflection.proto');

describe('the gRPC server around it', () => {
  const check = (health: Reply, service: string): Promise<string | number> =>
    new Promise((resolve) => {
      health.check({ service }, (error: ServiceError | null, reply: { status: string }) =>
        resolve(error === null ? reply.status : error.code),
      );
    });

  it('answers grpc.health.v1 for the server, the service and each model, and tells watchers', async () => {
    const { server, models } = await startV2();
    const health = new Health(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const ask = async (): Promise<unknown[]> =>
      Promise.all(['', 'inference.GRPCInferenceService', 'echo', 'nobody'].map((name) => check(health, name)));
    expect(await ask()).toEqual(['SERVING', 'SERVING', 'SERVING', STATUS.NOT_FOUND]);
    const watched: string[] = [];
    const watch = health.watch({ service: 'echo' });
    watch.on('data', (reply: { status: string }) => watched.push(reply.status));
    watch.on('error', () => {});
    await eventually(() => watched.length === 1);
    models.isReady = false;
    expect(await ask()).toEqual(['NOT_SERVING', 'NOT_SERVING', 'NOT_SERVING', STATUS.NOT_FOUND]);
    await eventually(() => watched.length === 2);
    models.isReady = true;
    server.stopAccepting();
    expect(await check(health, '')).toBe('NOT_SERVING');
    expect(watched).toEqual(['SERVING', 'NOT_SERVING']);
    health.close();
  });

  it('lists its services to reflection', async () => {
    const { server } = await startV2();
    const reflection = loadSync(reflectionProto);
    // biome-ignore lint/suspicious/noExplicitAny: the client is made from the .proto at run time
    const { ServerReflection } = (loadPackageDefinition(reflection) as any).grpc.reflection.v1;
    const client = new ServerReflection(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const stream = client.ServerReflectionInfo();
    const reply: Reply = await new Promise((resolve, reject) => {
      stream.on('data', resolve);
      stream.on('error', reject);
      stream.write({ listServices: '' });
    });
    stream.end();
    client.close();
    const names = reply.listServicesResponse.service.map((service: { name: string }) => service.name);
    expect(names).toEqual(expect.arrayContaining(['inference.GRPCInferenceService', 'grpc.health.v1.Health']));
  });

  it('finishes what it has when it drains, and takes nothing new', async () => {
    const { client, models, server } = await startV2();
    const held = client.call('ModelInfer', rawRequest('hold'));
    await eventually(() => models.held.length === 1);
    const closed = server.close(3_000);
    expect(await client.refusal('ModelInfer', rawRequest('a'))).toEqual({
      code: STATUS.UNAVAILABLE,
      details: 'GRPC server is shutting down and has stopped accepting new requests.',
    });
    expect(await client.call('ServerLive')).toEqual({ live: true });
    models.release();
    expect((await held).id).toBe('hold');
    await closed;
    expect(server.stats().callsOpen).toBe(0);
  });

  it('refuses more open calls and larger messages than it may take', async () => {
    const { client, models, server } = await startV2({}, { callsOpenMax: 1, messageBytesMax: 100_000 });
    const large = rawRequest('a', { raw_input_contents: [Buffer.alloc(100_000)] });
    expect((await client.refusal('ModelInfer', large)).code).toBe(STATUS.RESOURCE_EXHAUSTED);
    const held = client.call('ModelInfer', rawRequest('hold'));
    await eventually(() => models.held.length === 1);
    expect(await client.refusal('ServerLive')).toEqual({
      code: STATUS.RESOURCE_EXHAUSTED,
      details: 'too many calls are open',
    });
    models.release();
    await held;
    expect(server.stats()).toMatchObject({ callsOpen: 0, refusedOpen: 1, handlerErrors: 0 });
  });

  it('takes a message of many megabytes', async () => {
    const { client } = await startV2();
    const bytes = Buffer.alloc(16 * 1024 * 1024, 7);
    const request = rawRequest('a', { raw_input_contents: [bytes] });
    expect(bytes.equals((await client.call('ModelInfer', request)).raw_output_contents[0])).toBe(true);
  });
});
