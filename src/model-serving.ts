/** Opens the v2 protocol: its HTTP and gRPC ports and the metrics port, over the models that the bid path uses too. */
import type { Logger } from 'pino';
import type { Config } from './config/index.js';
import type { HttpHandler, ModelServer } from './contract/index.js';
import { type HostedGrpcServer, hostGrpc, type PlainHttpServer, startPlainHttp } from './ingress/index.js';
import { makeV2Grpc, makeV2Http, V2_HTTP_HEADERS } from './serving/index.js';
import type { MetricsRegistry } from './telemetry/index.js';

export interface ModelServing {
  readonly http: PlainHttpServer;
  readonly grpc: HostedGrpcServer;
  readonly metrics: PlainHttpServer;
  stopAccepting(): void;
  close(drainMsMax: number): Promise<void>;
}

type Settings = Config['serving'] & { readonly backend: Config['http']['backend'] };

const SERVER_VERSION = '0.1.0';
/** What is there of Triton's extensions. */
const EXTENSIONS = [
  'classification',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'binary_tensor_data',
  'parameters',
  'statistics',
];
const CONNECTIONS_MAX = 8192;
/** 64 MiB over a slow link; a bid's 5 s would cut off a model upload. */
const UPLOAD_MS_MAX = 60_000;

/** @throws OperatingError VK_PORT_UNAVAILABLE, with nothing left open */
export async function startModelServing(
  settings: Settings,
  models: ModelServer,
  registry: MetricsRegistry,
  log: Logger,
): Promise<ModelServing> {
  const { host, backend, body_bytes_max: bodyBytesMax, requests_in_flight_max: requestsInFlightMax } = settings;
  const identity = { serverName: settings.server_name, serverVersion: SERVER_VERSION, extensions: EXTENSIONS };
  const common = {
    host,
    backend,
    connectionsMax: CONNECTIONS_MAX,
    uploadMsMax: UPLOAD_MS_MAX,
    requestsInFlightMax,
    log,
  };
  const http = await startPlainHttp({
    ...common,
    port: settings.http_port,
    headers: V2_HTTP_HEADERS,
    bodyBytesMax,
    handler: makeV2Http({ ...identity, models, bodyDecompressedBytesMax: bodyBytesMax, log }),
  });
  const opened: { close(drainMsMax: number): Promise<void> }[] = [http];
  try {
    const service = makeV2Grpc({ ...identity, models, log, requestsInFlightMax });
    const grpc = await hostGrpc({ host, port: settings.grpc_port, service, messageBytesMax: bodyBytesMax, log });
    opened.push(grpc);
    const metrics = await startPlainHttp({
      ...common,
      port: settings.metrics_port,
      headers: [],
      bodyBytesMax: 1024,
      handler: metricsHandler(registry),
    });
    opened.push(metrics);
    return {
      http,
      grpc,
      metrics,
      stopAccepting() {
        for (const server of [http, grpc, metrics]) server.stopAccepting();
      },
      async close(drainMsMax) {
        await Promise.all(opened.map((server) => server.close(drainMsMax)));
      },
    };
  } catch (error) {
    await Promise.all(opened.map((server) => server.close(0)));
    throw error;
  }
}

function metricsHandler(registry: MetricsRegistry): HttpHandler {
  return ({ method, path }, reply) => {
    if (path !== '/metrics' || method !== 'GET') {
      reply.send(path === '/metrics' ? 405 : 404, [], '');
      return;
    }
    registry.exposition().then(
      ({ contentType, body }) => reply.send(200, [['content-type', contentType]], body),
      (error: Error) => reply.send(500, [['content-type', 'text/plain']], error.message),
    );
  };
}
