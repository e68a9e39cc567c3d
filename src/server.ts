/**
 * The one place that builds the rooms and hands them to each other. Everything here is cold: it runs at start, at
 * reload and at the end.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, systemClock } from './base/index.js';
import { BidPath, type BidPathSettings, type RoleModel } from './bid-path.js';
import { CANDIDATES_MAX } from './bid-slot.js';
import { CurrencyRates } from './bidding/index.js';
import { type Calibrator, compileCalibration } from './calibration/index.js';
import { Catalog, type LoadReport } from './catalog/index.js';
import { catalogView } from './catalog-view.js';
import type { Config } from './config/index.js';
import { IMPS_MAX, OperatingError } from './contract/index.js';
import { compileProgram, type FeatureProgram } from './features/index.js';
import { Engine, type EngineModel, loadRepository, type RepositoryModel } from './inference/index.js';
import {
  type GrpcServer,
  type HttpServer,
  type OnBid,
  type OperationsServer,
  startGrpc,
  startHttp,
  startOperations,
} from './ingress/index.js';
import { BidIdSource, BidResponseEncoder } from './openrtb/index.js';
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
  readonly catalog: Catalog;
  /** The feature programs and calibrators in use, by role. */
  readonly roles: { readonly pctr: RoleModel; readonly pcvr: RoleModel };
  /** A bad catalog is refused with every finding and the old one stays. */
  reloadCatalog(): Promise<LoadReport>;
  /** Stops accepting, finishes what is in flight, closes everything. A second call waits for the first. */
  drain(): Promise<void>;
}

interface LoadedModel {
  readonly repository: RepositoryModel;
  readonly program: FeatureProgram;
  readonly calibrator: Calibrator;
}

/**
 * Builds and starts everything; resolves when the first request may come: catalog loaded, every model warm.
 * @throws OperatingError what is wrong, and who can fix it
 */
export async function startServer(config: Config, log: Logger, clock: Clock = systemClock): Promise<Server> {
  const repository = loadRepository(config.models.repository);
  const pctr = loadModel(repository, config.models.pctr, 'pctr');
  const pcvr = loadModel(repository, config.models.pcvr, 'pcvr');
  const models = [pctr, pcvr].map(engineModel);

  const catalog = await Catalog.load(config.catalog.directory, { clock });
  let view = catalogView(catalog.snapshot, pctr.program, pcvr.program);
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
    models,
    workers: config.inference.workers,
    slabsPerModel: config.inference.slabs_per_model,
    batchTimeoutUs: config.inference.batch_timeout_ms * 1000,
    listener: bidPath,
    clock,
    onBatchRefused: (model, message) => log.error({ model, message }, 'the runtime refused a batch'),
    onWorkerExit: (exit) => log.error(exit, 'an inference worker was lost; its batch got no-bids'),
  });
  const role = ({ repository: { name }, program, calibrator }: LoadedModel): RoleModel => ({
    model: engine.modelIndex(name),
    program,
    calibrator,
  });
  const roles = { pctr: role(pctr), pcvr: role(pcvr) };
  bidPath.connect(engine, roles.pctr, roles.pcvr);
  const ticker = setInterval(() => {
    const nowUs = clock.nowUs();
    bidPath.tick(nowUs);
    engine.tick(nowUs);
  }, TICK_MS);

  const reloads = { accepted: 0, refused: 0 };
  const reloadCatalog = async () => {
    try {
      const report = await catalog.reload();
      view = catalogView(catalog.snapshot, pctr.program, pcvr.program);
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
  registry.register(() => ingressFamilies(http.stats(), grpc?.stats()));
  registry.register(() => serverFamilies(bidPath.requestsInFlight, catalog.report, reloads));
  const operations = await startOperations({
    host: config.operations.host,
    port: config.operations.port,
    token: adminToken,
    log,
    live: () => true,
    ready: () => draining === undefined && engine.stats().instancesUp > 0,
    metrics: () => registry.exposition(),
    admin: { 'catalog/reload': () => reloadForAdmin(reloadCatalog) },
  });

  const drain = async () => {
    log.info({ requestsInFlight: bidPath.requestsInFlight }, 'draining');
    grpc?.stopAccepting();
    http.stopAccepting();
    await Promise.all([http.close(DRAIN_MS_MAX), grpc?.close(DRAIN_MS_MAX)]);
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
    catalog,
    roles,
    reloadCatalog,
    drain: () => (draining ??= drain()),
  };
}

function loadModel(repository: readonly RepositoryModel[], name: string, role: string): LoadedModel {
  const model = repository.find((candidate) => candidate.name === name);
  if (model === undefined) {
    const known = repository.map((candidate) => candidate.name).join(', ') || 'none';
    const message = `models.${role}: the repository has no model '${name}' (it has: ${known})`;
    throw new OperatingError('VK_MODEL_UNKNOWN', 'operator', message);
  }
  // A request is never split over batches, so the largest one must fit into an empty batch.
  if (model.requestRowsMax < IMPS_MAX || model.candidateRowsMax < CANDIDATES_MAX) {
    const message = `${name}: a batch must hold ${IMPS_MAX} request rows and ${CANDIDATES_MAX} candidate rows at least`;
    throw new OperatingError('VK_MODEL_CONFIG', 'model owner', message);
  }
  const features = join(model.directory, 'features.json');
  const calibration = join(model.versionDirectory, 'calibration.json');
  return {
    repository: model,
    program: compileProgram(readJson(features), features),
    calibrator: compileCalibration(readJson(calibration), calibration),
  };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OperatingError('VK_MODEL_FILE', 'model owner', `${file}: ${reason}`, [], { cause });
  }
}

function engineModel({ repository, program }: LoadedModel): EngineModel {
  const { name, version, modelFile, requestRowsMax, candidateRowsMax, instanceCount } = repository;
  return {
    name,
    version,
    file: modelFile,
    signature: program.signature,
    requestRowsMax,
    candidateRowsMax,
    instanceCount,
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
