import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import type { ModelServer } from '../contract/index.js';
import { InferCalls } from './grpc-calls.js';
import { coldHandlers, type ServerIdentity } from './grpc-cold.js';
import { modelInfer, modelStreamInfer } from './grpc-infer.js';
import { loadV2Definition, loadV2Package, V2_SERVICE } from './grpc-messages.js';
import type { ServingLog } from './grpc-status.js';

export interface V2GrpcOptions extends ServerIdentity {
  readonly models: ModelServer;
  readonly log: ServingLog;
  /** Requests with the models over all calls and streams; more get UNAVAILABLE. Default 4096. */
  readonly requestsInFlightMax?: number;
  /** Requests of one stream with the models; at this many it is not read any further. Default 256. */
  readonly streamInFlightMax?: number;
}

/** `inference.GRPCInferenceService` for a gRPC server. */
export interface V2Grpc {
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** The package as reflection shows it. */
  readonly reflection: PackageDefinition;
  /** New inferences get UNAVAILABLE, streams end once they are answered; all else is answered as before. */
  startDraining(): void;
  /** For `grpc.health.v1`: '' and the service's name mean the server, any other name a model; null = unknown. */
  health(service: string): boolean | null;
}

const REQUESTS_IN_FLIGHT_MAX = 4096;
/** At 50 µs of CPU per message and more, a longer queue of one client only waits in another place. */
const STREAM_IN_FLIGHT_MAX = 256;

/** The KServe v2 protocol with Triton's extensions over gRPC, without a socket. */
export function makeV2Grpc(options: V2GrpcOptions): V2Grpc {
  const { models, log } = options;
  const calls = new InferCalls(
    models,
    {
      requestsInFlightMax: options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX,
      streamInFlightMax: options.streamInFlightMax ?? STREAM_IN_FLIGHT_MAX,
    },
    log,
  );
  return {
    name: V2_SERVICE,
    definition: loadV2Definition(),
    implementation: {
      ...coldHandlers(models, options, log),
      ModelInfer: modelInfer(calls),
      ModelStreamInfer: modelStreamInfer(calls),
    },
    reflection: loadV2Package(),
    startDraining: () => calls.startDraining(),
    health(service) {
      if (service === '' || service === V2_SERVICE) return models.ready();
      try {
        return models.modelReady(service, '');
      } catch {
        return null;
      }
    },
  };
}
