import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { OperatingError } from '../contract/index.js';
import { bounded, type OpenCalls } from './grpc-bounds.js';
import { GrpcHealth } from './grpc-health.js';
import type { IngressLog } from './on-bid.js';

/** A service as another room makes it: it has no sockets, this room has no messages. */
export interface HostedGrpcService {
  readonly definition: ServiceDefinition;
  /** Handlers of unary and of bidirectional calls. */
  readonly implementation: UntypedServiceImplementation;
  /** As reflection shows it. */
  readonly reflection: PackageDefinition;
  /** From here on it refuses new work and ends its streams when what they asked for is answered. */
  startDraining(): void;
  /** Of `grpc.health.v1`, by service name ('' = the server); null = a name that it does not know. */
  health(service: string): boolean | null;
}

export interface HostedGrpcOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly service: HostedGrpcService;
  /** Of one message in either direction, decompressed; at most 2³¹ − 1, the limit of clients. Default 64 MiB. */
  readonly messageBytesMax?: number;
  /** Calls of the service, streams included, that may be open at once; more get RESOURCE_EXHAUSTED. Default 4096. */
  readonly callsOpenMax?: number;
  readonly log: IngressLog;
}

export interface HostedGrpcServer {
  readonly port: number;
  /** Health says NOT_SERVING and the service drains. The port stays open until `close`: health probes have to see this. */
  stopAccepting(): void;
  /** Ends when every call is answered, or after `drainMsMax`; then all connections are closed. */
  close(drainMsMax?: number): Promise<void>;
  /** A copy. */
  stats(): HostedGrpcStats;
}

export interface HostedGrpcStats {
  readonly callsOpen: number;
  /** Since the start, those that were refused included. */
  readonly calls: number;
  readonly refusedOpen: number;
  /** Handlers that threw: bugs, each logged. */
  readonly handlerErrors: number;
}

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const INT32_MAX = 2 ** 31 - 1;
const CALLS_OPEN_MAX = 4096;
const STREAMS_PER_CONNECTION_MAX = 1024;
const DRAIN_MS_MAX = 5_000;

/**
 * Serves one service, `grpc.health.v1.Health` and server reflection.
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE
 */
export async function hostGrpc(options: HostedGrpcOptions): Promise<HostedGrpcServer> {
  const { service } = options;
  const messageBytesMax = Math.min(options.messageBytesMax ?? MESSAGE_BYTES_MAX, INT32_MAX);
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
  });
  const open: OpenCalls = { callsOpen: 0, calls: 0, refusedOpen: 0, handlerErrors: 0 };
  const callsOpenMax = options.callsOpenMax ?? CALLS_OPEN_MAX;
  server.addService(service.definition, bounded(service, open, callsOpenMax, options.log));

  let isDraining = false;
  const health = new GrpcHealth((name) => {
    const serving = service.health(name);
    return serving === null ? null : serving && !isDraining;
  });
  health.addToServer(server);
  // The health package keeps its own proto; reflection lists what is added here.
  const healthPackage = loadSync(healthProtoPath, {
    includeDirs: [healthProtoPath.replace(/health\/v1\/health\.proto$/, '')],
  });
  new ReflectionService({ ...service.reflection, ...healthPackage }).addToServer(server);

  const port = await bind(server, options);
  const stopAccepting = (): void => {
    if (isDraining) return;
    isDraining = true;
    health.update();
    service.startDraining();
  };
  return {
    port,
    stopAccepting,
    async close(drainMsMax = DRAIN_MS_MAX) {
      stopAccepting();
      await shutdown(server, open, drainMsMax);
      health.close();
    },
    stats: () => ({ ...open }),
  };
}

function bind(server: Server, options: HostedGrpcOptions): Promise<number> {
  const address = `${options.host}:${options.port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (cause, port) => {
      if (cause === null) resolve(port);
      else {
        const message = `cannot listen on ${address}; is another process there?`;
        reject(new OperatingError('VK_PORT_UNAVAILABLE', 'operator', message, [], { cause }));
      }
    });
  });
}

/** `tryShutdown` waits for every call, health watches included, which never end by themselves: hence the poll. */
async function shutdown(server: Server, open: OpenCalls, drainMsMax: number): Promise<void> {
  const untilMs = performance.now() + drainMsMax;
  while (open.callsOpen > 0 && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise<void>((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), 100);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
