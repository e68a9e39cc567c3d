import {
  Client,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

const METHOD = '/inference.GRPCInferenceService/ModelInfer';

/** 65 536 rows (ROWS_MAX of a batch) of 1024 FP32: beyond that an answer is not a batch of scores any more. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/**
 * Pauses between attempts to connect. The library's own second to two minutes would keep a remote that has come back
 * unused long after the breaker asks for it.
 */
const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 2_000;

/** Called once, never before `call` has returned; one of the two is null. */
export type OnAnswer = (error: ServiceError | null, message: Uint8Array | null) => void;

/** Connections to one remote: calls take them in turn, passing over those that are known to be broken. */
export class RemoteClient {
  private readonly connections: Client[];
  private readonly open = new Set<ClientUnaryCall>();
  private turn = 0;

  /** @param endpoint host:port. Nothing connects before the first call. */
  constructor(endpoint: string, connectionCount: number) {
    this.connections = Array.from(
      { length: connectionCount },
      () =>
        new Client(endpoint, credentials.createInsecure(), {
          // Channels to one address share a connection unless each keeps its own pool.
          'grpc.use_local_subchannel_pool': 1,
          // A hidden second try would spend the batch's deadline and hide the failure from the breaker.
          'grpc.enable_retries': 0,
          // The endpoint is the operator's own: no proxy from the environment, no settings from DNS.
          'grpc.enable_http_proxy': 0,
          'grpc.service_config_disable_resolution': 1,
          'grpc.initial_reconnect_backoff_ms': RECONNECT_MS_MIN,
          'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
          'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
        }),
    );
  }

  get inFlight(): number {
    return this.open.size;
  }

  /** @param waitMs from now; the remote sees it rounded up to whole milliseconds */
  call(message: Uint8Array, waitMs: number, onAnswer: OnAnswer): void {
    // grpc-js measures deadlines against the wall clock of the process, hence not the clock that is handed in elsewhere.
    const deadline = Date.now() + waitMs;
    const call = this.next().makeUnaryRequest(
      METHOD,
      asIs,
      asIs,
      message as Buffer,
      new Metadata(),
      { deadline },
      (error, answer) => {
        this.open.delete(call);
        onAnswer(error, answer ?? null);
      },
    );
    this.open.add(call);
  }

  /** Every open call is answered with CANCELLED before the connections go. */
  async close(): Promise<void> {
    const ended = [...this.open].map((call) => new Promise((resolve) => call.once('status', resolve)));
    for (const call of this.open) call.cancel();
    await Promise.all(ended);
    for (const connection of this.connections) connection.close();
  }

  private next(): Client {
    const { connections } = this;
    for (let i = 0; i < connections.length; i++) {
      this.turn = (this.turn + 1) % connections.length;
      const connection = connections[this.turn];
      if (connection.getChannel().getConnectivityState(false) !== connectivityState.TRANSIENT_FAILURE)
        return connection;
    }
    return connections[this.turn];
  }
}

function asIs(message: Buffer): Buffer {
  return message;
}
