import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status as STATUS,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath as healthProtoPath } from 'grpc-health-check';
import { OperatingError } from '../contract/index.js';
import { StreamCalls, UnaryReply } from './grpc-calls.js';
import { GrpcFront, type GrpcServerOptions, type GrpcStats } from './grpc-front.js';
import {
  BID_SERVICE,
  type BidCallMessage,
  type BidReplyMessage,
  bidServiceOf,
  loadBidPackage,
} from './grpc-messages.js';

export interface GrpcServer {
  readonly port: number;
  /**
   * Health says NOT_SERVING, new calls get UNAVAILABLE, streams end once their calls are answered. The port stays open
   * until `close`, since health probes have to see this.
   */
  stopAccepting(): void;
  /** Ends when everything is answered, or after `drainMsMax`; then all connections are closed. */
  close(drainMsMax?: number): Promise<void>;
  /** A copy. */
  stats(): GrpcStats;
}

/** Field tags and names around the bytes of the bid request. */
const MESSAGE_OVERHEAD_BYTES = 1024;
const STREAMS_PER_CONNECTION_MAX = 1024;
const DRAIN_MS_MAX = 5_000;

/**
 * Serves `vickrey.v1.BidService`, `grpc.health.v1.Health` and server reflection.
 *
 * @throws OperatingError VK_PORT_UNAVAILABLE
 */
export async function startGrpc(options: GrpcServerOptions): Promise<GrpcServer> {
  const front = new GrpcFront(options);
  const server = new Server({
    'grpc.max_receive_message_length': options.bodyBytesMax + MESSAGE_OVERHEAD_BYTES,
    'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
  });
  const bidPackage = loadBidPackage();
  const bid: handleUnaryCall<BidCallMessage, BidReplyMessage> = (call, callback) => {
    if (front.draining) {
      callback(drainingError());
      return;
    }
    const reply = new UnaryReply(front, callback);
    call.on('cancelled', () => reply.cancelled());
    front.ask(call.request, reply);
  };
  const bidStream: handleBidiStreamingCall<BidCallMessage, BidReplyMessage> = (call) => {
    if (front.draining) call.emit('error', drainingError());
    else new StreamCalls(front, call);
  };
  server.addService(bidServiceOf(bidPackage), { Bid: bid, BidStream: bidStream });

  const health = new HealthImplementation({ '': 'SERVING', [BID_SERVICE]: 'SERVING' });
  health.addToServer(server);
  // The health package keeps its own proto; reflection lists what is added here.
  const healthPackage = loadSync(healthProtoPath, {
    includeDirs: [healthProtoPath.replace(/health\/v1\/health\.proto$/, '')],
  });
  new ReflectionService({ ...bidPackage, ...healthPackage }).addToServer(server);

  const port = await bind(server, options);
  const stopAccepting = (): void => {
    if (front.draining) return;
    health.setStatus('', 'NOT_SERVING');
    health.setStatus(BID_SERVICE, 'NOT_SERVING');
    front.startDraining();
  };
  return {
    port,
    stopAccepting,
    async close(drainMsMax = DRAIN_MS_MAX) {
      stopAccepting();
      await shutdown(server, front, drainMsMax);
    },
    stats: () => ({ ...front.stats }),
  };
}

/** What a call meets while the server drains; the client library tries another server. */
function drainingError(): ServiceError {
  const details = 'the server is shutting down';
  return Object.assign(new Error(details), { code: STATUS.UNAVAILABLE, details, metadata: new Metadata() });
}

function bind(server: Server, options: GrpcServerOptions): Promise<number> {
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
async function shutdown(server: Server, front: GrpcFront, drainMsMax: number): Promise<void> {
  const untilMs = performance.now() + drainMsMax;
  while ((front.stats.requestsOpen > 0 || front.stats.streamsOpen > 0) && performance.now() < untilMs) {
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
