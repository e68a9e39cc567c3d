/**
 * The one place that builds the rooms and hands them to each other. Everything here is cold: it runs at start, at
 * reload and at the end.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type Clock, systemClock } from './base/index.js';
import { BidPath, type BidPathSettings } from './bid-path.js';
import { CurrencyRates } from './bidding/index.js';
import { Catalog, type LoadReport } from './catalog/index.js';
import { type CatalogView, catalogView, type RoleModel } from './catalog-view.js';
import type { Config } from './config/index.js';
import { OperatingError } from './contract/index.js';
import { directorySource, Engine, ModelRegistry, servingFamilies } from './inference/index.js';
import {
  type GrpcServer,
  type HttpServer,
  type OnBid,
  type OperationsServer,
  startGrpc,
  startHttp,
  startOperations,
} from './ingress/index.js';
import { type ModelServing, startModelServing } from './model-serving.js';
import { BidIdSource, BidResponseEncoder } from './openrtb/index.js';
import { RoleModels } from './role-models.js';
import { engineFamilies, ingressFamilies, serverFamilies } from './server-metrics.js';
import { BidPathMetrics, MetricsRegistry } from './telemetry/index.js';

/** How often deadlines and workers are looked after; `time.reply_reserve_us` covers it. */
const TICK_MS = 5;
/** A drain gives up on requests and connections that are still open after this. */
const DRAIN_MS_MAX = 10_000;

export interface Server {
  readonly http: HttpServer;
  readonly grpc: GrpcServer | undefined;
  readonly operations: OperationsServer;
  readonly adminToken: string;
  readonly engine: Engine;
  readonly models: ModelRegistry;
  /** The v2 protocol's ports; undefined where `serving.enabled` is false. */
  readonly serving: ModelServing | undefined;
  readonly catalog: Catalog;
  /** The feature programs and calibrators in use, by role. */
  readonly roles: () => { readonly pctr: RoleModel; readonly pcvr: RoleModel };
  /** A bad catalog is refused with every finding and the old one stays. */
  reloadCatalog(): Promise<LoadReport>;
  /** Stops accepting, finishes what is in flight, closes everything. A second call waits for the first. */
  drain(): Promise<void>;
}

/**
 * Builds and starts everything; resolves when the first request may come: catalog loaded, every model warm.
 * @throws OperatingError what is wrong, and who can fix it
 */
export async function startServer(config: Config, log: Logger, clock: Clock = systemClock): Promise<Server> {
  const roleModels = new RoleModels(config.models);
  const source = directorySource(config.models.repository);
  roleModels.checkKnown(source.list());
  const catalog = await Catalog.load(config.catalog.directory, { clock });
  let view: CatalogView | null = null;
  const renewView = () => {
    const { pctr, pcvr } = roleModels;
    view = pctr && pcvr ? catalogView(catalog.snapshot, pctr, pcvr) : null;
  };
  const metrics = new BidPathMetrics();
  const bidPath = new BidPath(bidPathSettings(config), {
    clock,
    metrics,
    encoder: new BidResponseEncoder({
      seat: config.bidding.seat,
      ids: new BidIdSource(randomBytes(6).toString('hex')),
    }),
    currentView: () => view,
    atEndOfTick: (callback) => setImmediate(callback),
    onBug: (err) => log.error({ err }, 'a bug in the bid path; the request was answered as a no-bid'),
  });
  const engine = await Engine.start({
    models: [],
    workers: config.inference.workers,
    slabsPerModel: config.inference.slabs_per_model,
    queueLengthMax: config.serving.queue_length_max,
    batchTimeoutUs: config.inference.batch_timeout_ms * 1000,
    listener: bidPath,
    clock,
    onBatchRefused: (model, message) => log.error({ model, message }, 'the runtime refused a batch'),
    onWorkerExit: (exit) => log.error(exit, 'an inference worker was lost; its batch got no-bids'),
  });
  bidPath.connect(engine);
  const ticker = setInterval(() => {
    const nowUs = clock.nowUs();
    bidPath.tick(nowUs);
    engine.tick(nowUs);
  }, TICK_MS);

  const models = new ModelRegistry({
    ...registryOptions(config),
    source,
    engine,
    clock,
    random: Math.random,
    log,
    hooks: {
      companion: (model) => roleModels.prepare(model),
      onServed: (name, versions) => {
        log.info({ model: name, versions: versions.map(({ model }) => model.version) }, 'model served');
        if (roleModels.serve(name, versions)) renewView();
      },
      instanceCountOf: (model) => model.instanceCount ?? (roleModels.isRole(model.name) ? config.inference.workers : 1),
      onProblem: (model, err) =>
        log.error({ err, model }, 'a model could not be loaded or freed; what was served still is'),
    },
  });
  try {
    await startModels(models, roleModels, log);
  } catch (error) {
    clearInterval(ticker);
    await engine.close();
    throw error;
  }

  const reloads = { accepted: 0, refused: 0 };
  const reloadCatalog = async () => {
    try {
      const report = await catalog.reload();
      renewView();
      reloads.accepted++;
      log.info(report, 'catalog reloaded');
      if (report.ads === 0) log.warn('the catalog has no ad that can run');
      return report;
    } catch (error) {
      reloads.refused++;
      const findings = error instanceof OperatingError ? error.details : [];
      log.error({ err: error, findings }, 'the catalog was refused; the old one stays');
      throw error;
    }
  };

  let draining: Promise<void> | undefined;
  const onBid: OnBid = (_exchange, body, reply) => bidPath.receive(body, reply);
  const http = await startHttp({ ...httpOptions(config), onBid, log });
  const grpc = config.grpc.enabled ? await startGrpc({ ...grpcOptions(config), onBid, log }) : undefined;
  const adminToken = config.operations.admin_token ?? randomBytes(16).toString('hex');
  const registry = new MetricsRegistry();
  registry.register(() => metrics.families());
  registry.register(() => engineFamilies(engine.stats()));
  registry.register(() => servingFamilies(models));
  registry.register(() => ingressFamilies(http.stats(), grpc?.stats()));
  registry.register(() => serverFamilies(bidPath.requestsInFlight, catalog.report, reloads));
  const serving = config.serving.enabled
    ? await startModelServing({ ...config.serving, backend: config.http.backend }, models, registry, log)
    : undefined;
  const operations = await startOperations({
    host: config.operations.host,
    port: config.operations.port,
    token: adminToken,
    log,
    live: () => true,
    ready: () => draining === undefined && models.ready() && view !== null,
    metrics: () => registry.exposition(),
    admin: { 'catalog/reload': () => reloadForAdmin(reloadCatalog) },
  });

  const drain = async () => {
    log.info({ requestsInFlight: bidPath.requestsInFlight }, 'draining');
    models.drain();
    serving?.stopAccepting();
    grpc?.stopAccepting();
    http.stopAccepting();
    await Promise.all([http.close(DRAIN_MS_MAX), grpc?.close(DRAIN_MS_MAX), serving?.close(DRAIN_MS_MAX)]);
    bidPath.startDraining();
    await engine.close();
    clearInterval(ticker);
    await operations.close();
  };
  return {
    http,
    grpc,
    operations,
    adminToken,
    engine,
    models,
    serving,
    catalog,
    roles: () => roleModels.both(),
    reloadCatalog,
    drain: () => (draining ??= drain()),
  };
}

/** A model that no role needs may fail: it is logged and shown in the repository index. */
async function startModels(models: ModelRegistry, roles: RoleModels, log: Logger): Promise<void> {
  try {
    await models.start();
  } catch (error) {
    if (!roles.areServed || !(error instanceof OperatingError)) throw error;
    log.error({ err: error, findings: error.details }, 'models could not be loaded; the others are served');
  }
  roles.both();
}

function registryOptions({ models, serving }: Config) {
  const roles = [models.pctr, models.pcvr];
  return {
    // Without the protocol there is nobody to ask for a model beyond the roles.
    controlMode: serving.enabled ? serving.control_mode : ('explicit' as const),
    loadModels: serving.enabled ? [...roles, ...serving.load_models] : roles,
    pollSeconds: serving.poll_seconds,
    responseCacheBytes: serving.response_cache_bytes,
    strictReadiness: serving.strict_readiness,
  };
}

function bidPathSettings(config: Config): BidPathSettings {
  const { bidding, limits, time } = config;
  return {
    mode: bidding.mode,
    reserveMicros: bidding.reserve_cpm_micros,
    cpmMicrosMax: bidding.cpm_micros_max,
    rates: new CurrencyRates(bidding.account_currency, bidding.rates),
    candidatesPerImpMax: limits.candidates_per_imp_max,
    requestsInFlightMax: limits.requests_in_flight_max,
    time: {
      tmaxMsDefault: time.tmax_ms_default,
      tmaxMsMax: time.tmax_ms_max,
      networkAllowanceMs: time.network_allowance_ms,
      replyReserveUs: time.reply_reserve_us,
    },
  };
}

function httpOptions({ http, exchanges, limits }: Config) {
  return {
    host: http.host,
    port: http.port,
    backend: http.backend,
    exchanges,
    bodyBytesMax: http.body_bytes_max,
    bodyDecompressedBytesMax: http.body_decompressed_bytes_max,
    requestsInFlightMax: limits.requests_in_flight_max,
  };
}

function grpcOptions({ http, grpc, exchanges, limits }: Config) {
  return {
    host: grpc.host,
    port: grpc.port,
    exchanges,
    bodyBytesMax: http.body_bytes_max,
    requestsInFlightMax: limits.requests_in_flight_max,
  };
}

async function reloadForAdmin(reload: () => Promise<LoadReport>) {
  try {
    return { status: 200, json: await reload() };
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return {
      status: 422,
      json: { code: error.code, fixed_by: error.fixedBy, message: error.message, details: error.details },
    };
  }
}
