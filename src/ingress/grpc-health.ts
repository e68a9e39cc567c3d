import { Metadata, type Server, type ServerWritableStream, status as STATUS } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
interface HealthRequest {
  readonly service: string;
}
interface HealthResponse {
  readonly status: ServingStatus;
}
type Watch = ServerWritableStream<HealthRequest, HealthResponse>;

/** Models come, go and reload without anybody telling this room; a watcher learns of it within this time. */
const WATCH_PERIOD_MS = 500;
const WATCHERS_MAX = 256;

/**
 * `grpc.health.v1.Health` that asks at every check. The implementation of grpc-health-check keeps a table that others
 * have to keep up to date; of models only their room knows.
 */
export class GrpcHealth {
  private readonly watchers = new Map<Watch, ServingStatus>();
  private timer: NodeJS.Timeout | undefined;

  /** @param isServing null = a name that nobody knows */
  constructor(private readonly isServing: (service: string) => boolean | null) {}

  addToServer(server: Server): void {
    server.addService(healthService, {
      check: (
        call: { request: HealthRequest },
        callback: (error: object | null, response?: HealthResponse) => void,
      ): void => {
        const status = this.statusOf(call.request.service);
        if (status === 'SERVICE_UNKNOWN') callback({ code: STATUS.NOT_FOUND, details: 'unknown service' });
        else callback(null, { status });
      },
      // Names of models are listed by the repository index; here there is the server only.
      list: (_call: unknown, callback: (error: null, response: object) => void): void =>
        callback(null, { statuses: { '': { status: this.statusOf('') } } }),
      watch: (call: Watch): void => this.watch(call),
    });
  }

  /** Tells the watchers now what has changed. */
  update(): void {
    for (const [call, last] of this.watchers) {
      const status = this.statusOf(call.request.service);
      if (status === last) continue;
      this.watchers.set(call, status);
      call.write({ status });
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.watchers.clear();
  }

  private watch(call: Watch): void {
    if (this.watchers.size >= WATCHERS_MAX) {
      const details = 'too many watchers';
      const error = { code: STATUS.RESOURCE_EXHAUSTED, details, metadata: new Metadata() };
      call.emit('error', Object.assign(new Error(details), error));
      return;
    }
    const status = this.statusOf(call.request.service);
    this.watchers.set(call, status);
    call.write({ status });
    this.timer ??= setInterval(() => this.update(), WATCH_PERIOD_MS).unref();
    call.on('cancelled', () => {
      this.watchers.delete(call);
      if (this.watchers.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    });
  }

  private statusOf(service: string): ServingStatus {
    const serving = this.isServing(service);
    if (serving === null) return 'SERVICE_UNKNOWN';
    return serving ? 'SERVING' : 'NOT_SERVING';
  }
}
