import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parse } from 'yaml';
import { z } from 'zod';
import { IMPS_MAX, OperatingError, PRICING_MODES } from '../contract/index.js';

const port = z.int().min(0).max(65_535);
const host = z.string().min(1);
const mebibytes = (count: number) => count * 1024 * 1024;

/** Every option: its bound, its unit (in the name) and a default that is safe. */
const schema = z
  .strictObject({
    http: z
      .strictObject({
        host: host.default('0.0.0.0'),
        /** 0 = any free port. */
        port: port.default(8080),
        /** `auto` takes uWebSockets.js where its addon loads, else node:http with a warning. */
        backend: z.enum(['auto', 'uws', 'node']).default('auto'),
        body_bytes_max: z
          .int()
          .min(1024)
          .max(mebibytes(16))
          .default(256 * 1024),
        body_decompressed_bytes_max: z.int().min(1024).max(mebibytes(64)).default(mebibytes(1)),
      })
      .prefault({}),
    grpc: z
      .strictObject({ enabled: z.boolean().default(true), host: host.default('0.0.0.0'), port: port.default(8081) })
      .prefault({}),
    operations: z
      .strictObject({
        /** Loopback by default: metrics and admin are not for the exchange's network. */
        host: host.default('127.0.0.1'),
        port: port.default(9100),
        /** Bearer token of `/admin/…`; absent = a random one is made at start and printed. */
        admin_token: z.string().min(16).optional(),
      })
      .prefault({}),
    /** Exchanges that have their own path, `/openrtb2/bid/{exchange}`. */
    exchanges: z
      .array(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/))
      .max(256)
      .default(['demo']),
    catalog: z
      .strictObject({
        /** A directory of YAML, JSON and JSONL files. The default is what `npm start` generates when it is missing. */
        directory: z.string().min(1).default('var/demo/catalog'),
      })
      .prefault({}),
    models: z
      .strictObject({
        repository: z.string().min(1).default('native-models'),
        /** Which model of the repository plays which role in the bid path. */
        pctr: z.string().min(1).default('pctr_dlrm'),
        pcvr: z.string().min(1).default('pcvr'),
      })
      .prefault({}),
    inference: z
      .strictObject({
        /** Worker threads, each with one session per model. Default: cores − 1, at least 1. */
        workers: z
          .int()
          .min(1)
          .max(256)
          .default(Math.max(1, availableParallelism() - 1)),
        /** Batches of a model that can exist at once. Default: workers + 10, see inference/limits.ts. */
        slabs_per_model: z.int().min(2).max(64).optional(),
        /** A batch that takes longer counts as a crashed worker. */
        batch_timeout_ms: z.int().min(10).max(60_000).default(2_000),
      })
      .prefault({}),
    /** The KServe v2 protocol (Triton's) over the same models. */
    serving: z
      .strictObject({
        enabled: z.boolean().default(true),
        /** Loopback by default: the protocol has no access control of its own. */
        host: host.default('127.0.0.1'),
        http_port: port.default(8000),
        grpc_port: port.default(8001),
        metrics_port: port.default(8002),
        /** What the server calls itself; some client examples expect `triton`. */
        server_name: z.string().min(1).max(128).default('vickrey'),
        control_mode: z.enum(['none', 'explicit', 'poll']).default('none'),
        /** Models to load at start in control mode `explicit`; `*` = all of the repository. */
        load_models: z.array(z.string().min(1).max(256)).max(256).default([]),
        poll_seconds: z.int().min(1).max(86_400).default(15),
        body_bytes_max: z.int().min(1024).max(mebibytes(1024)).default(mebibytes(64)),
        /** Requests between their first byte of work and their answer, HTTP and gRPC each. More are UNAVAILABLE at once. */
        requests_in_flight_max: z.int().min(1).max(65_536).default(1_024),
        /** Requests of one model that may wait, whatever its own max_queue_size says. */
        queue_length_max: z.int().min(1).max(65_536).default(1_024),
        /** Memory of all cached responses together; 0 = no model has a cache. */
        response_cache_bytes: z.int().min(0).max(mebibytes(65_536)).default(0),
        /** Ready only when every start-up model is; otherwise as soon as all were tried. */
        strict_readiness: z.boolean().default(true),
      })
      .prefault({}),
    time: z
      .strictObject({
        tmax_ms_default: z.int().min(10).max(10_000).default(150),
        tmax_ms_max: z.int().min(10).max(60_000).default(2_000),
        network_allowance_ms: z.int().min(0).max(1_000).default(10),
        /** Kept back for the second half of the path and for the 5 ms grain of the deadline timer. */
        reply_reserve_us: z.int().min(0).max(100_000).default(6_000),
      })
      .prefault({}),
    limits: z
      .strictObject({
        /** Requests between their first byte of work and their answer. More are answered `overloaded` at once. */
        requests_in_flight_max: z.int().min(1).max(16_384).default(1_024),
        candidates_per_imp_max: z.int().min(1).max(64).default(64),
      })
      .prefault({}),
    bidding: z
      .strictObject({
        mode: z.enum(PRICING_MODES).default('pass_through'),
        seat: z.string().min(1).max(64).default('vickrey'),
        /** Least price of any bid, per mille; what a lone bidder pays in mode `second_price`. */
        reserve_cpm_micros: z.int().min(1).max(1e9).default(10_000),
        /** No single bid is ever higher, whatever a model says. */
        cpm_micros_max: z.int().min(1).max(1e10).default(100_000_000),
        account_currency: z
          .string()
          .regex(/^[A-Z]{3}$/)
          .default('USD'),
        /** Value of one unit of a currency in the account currency. No rate = no bid. */
        rates: z.record(z.string().regex(/^[A-Z]{3}$/), z.number().gt(0).max(1e6)).default({}),
      })
      .prefault({}),
    log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  })
  .superRefine((config, context) => {
    const say = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (config.bidding.mode === 'shaded') {
      say(['bidding', 'mode'], "'shaded' is not available yet: use 'pass_through' or 'second_price'");
    }
    if (config.bidding.reserve_cpm_micros > config.bidding.cpm_micros_max) {
      say(['bidding', 'reserve_cpm_micros'], 'is above cpm_micros_max');
    }
    if (config.bidding.account_currency in config.bidding.rates) {
      say(['bidding', 'rates', config.bidding.account_currency], 'is the account currency, which is worth 1');
    }
    if (new Set(config.exchanges).size < config.exchanges.length) say(['exchanges'], 'names one twice');
    if (config.models.pctr === config.models.pcvr) say(['models', 'pcvr'], 'is the same model as pctr');
    if (config.time.tmax_ms_default > config.time.tmax_ms_max) {
      say(['time', 'tmax_ms_default'], 'is above tmax_ms_max');
    }
    const { serving } = config;
    if (serving.control_mode !== 'explicit' && serving.load_models.length > 0) {
      say(['serving', 'load_models'], `is for control_mode 'explicit'; '${serving.control_mode}' loads every model`);
    }
    const ports = [serving.http_port, serving.grpc_port, serving.metrics_port].filter((number) => number !== 0);
    if (serving.enabled && new Set(ports).size < ports.length) say(['serving'], 'uses one port twice');
    if (config.http.body_bytes_max > config.http.body_decompressed_bytes_max) {
      say(['http', 'body_bytes_max'], 'is above body_decompressed_bytes_max');
    }
  });

export type Config = Readonly<z.output<typeof schema>>;

/**
 * Reads and checks the configuration.
 *
 * @param file a YAML file; '' = defaults only
 * @param environment `VICKREY_ADMIN_TOKEN` fills `operations.admin_token`, so that the secret stays out of the file
 * @throws OperatingError `VK_CONFIG_INVALID` with one line per finding
 */
export function loadConfig(file: string, environment: Readonly<Record<string, string | undefined>> = {}): Config {
  const contents = file === '' ? {} : (readYaml(file) ?? {});
  const parsed = schema.safeParse(contents);
  const where = file === '' ? 'defaults' : file;
  if (!parsed.success) {
    const findings = parsed.error.issues.map((i) => `${i.path.map(String).join('.') || '(file)'}: ${i.message}`);
    throw new OperatingError('VK_CONFIG_INVALID', 'operator', `${where}: ${findings.join('; ')}`, findings);
  }
  const token = environment.VICKREY_ADMIN_TOKEN;
  if (token !== undefined && token !== '') {
    if (token.length < 16) {
      throw new OperatingError('VK_CONFIG_INVALID', 'operator', 'VICKREY_ADMIN_TOKEN: needs 16 characters or more');
    }
    parsed.data.operations.admin_token = token;
  }
  return deepFreeze(parsed.data);
}

function readYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OperatingError('VK_CONFIG_INVALID', 'operator', `${file}: ${reason}`, [], { cause: error });
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}

/** What one slot of the bid path holds: 512 candidates with their ads, probabilities and values, and the request. */
const SLOT_BYTES = 24 * 1024;

/** The limits of this configuration with the sums that give them, one sentence each, for the start-up report. */
export function limitSums(config: Config): string[] {
  const { limits, time, http, serving } = config;
  const requests = limits.requests_in_flight_max;
  const slots = (requests * SLOT_BYTES) / mebibytes(1);
  const bodies = (requests * http.body_bytes_max) / mebibytes(1);
  return [
    `${requests} requests in flight × ${SLOT_BYTES / 1024} KiB a slot = ${slots} MiB, allocated at start`,
    `as many bodies still arriving × ${http.body_bytes_max / 1024} KiB = at most ${bodies} MiB`,
    `deadline = tmax (${time.tmax_ms_default} ms when absent, ${time.tmax_ms_max} ms at most) − ${time.network_allowance_ms} ms network − ${time.reply_reserve_us / 1000} ms reply`,
    `${IMPS_MAX} imps of a request (more are passed over), up to ${limits.candidates_per_imp_max} candidates each`,
    ...(serving.enabled ? [servingSum(serving)] : []),
  ];
}

function servingSum({
  requests_in_flight_max: requests,
  body_bytes_max,
  response_cache_bytes,
}: Config['serving']): string {
  const body = body_bytes_max / mebibytes(1);
  const cache = response_cache_bytes / mebibytes(1);
  const bodies = `${requests} v2 requests in flight each over HTTP and gRPC × ${body} MiB`;
  return `${bodies} = at most ${(2 * requests * body) / 1024} GiB of tensors, and ${cache} MiB of cached responses`;
}
