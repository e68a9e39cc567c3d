import { InferError, type InferHandle, type ModelServer, type OnInfer } from '../contract/index.js';
import { readInferRequest } from './grpc-infer-request.js';
import { type InferRequestMessage, UNREADABLE } from './grpc-messages.js';
import { type ServingLog, toInferError, unreadable } from './grpc-status.js';

export interface InferLimits {
  /** Requests handed to the models and not answered, over all calls and streams; more are refused at once. */
  readonly requestsInFlightMax: number;
  /** Of one stream; at this many it is not read any further, and HTTP/2 flow control slows the client down. */
  readonly streamInFlightMax: number;
}

/** What `ModelInfer` and `ModelStreamInfer` share: the way to the models, its bound, and the drain. */
export class InferCalls {
  readonly streams = new Set<{ startDraining(): void }>();
  draining = false;
  private requestsInFlight = 0;

  constructor(
    private readonly models: ModelServer,
    readonly limits: InferLimits,
    private readonly log: ServingLog,
  ) {}

  /** @param done called exactly once; before this returns when the request is refused, which then gives null */
  ask(message: InferRequestMessage, done: OnInfer): InferHandle | null {
    try {
      this.checkOpen(message);
      const request = readInferRequest(message);
      const handle = this.models.infer(request, (error, response) => {
        this.requestsInFlight -= 1;
        done(error, response);
      });
      this.requestsInFlight += 1;
      return handle;
    } catch (error) {
      done(toInferError(error, this.log), null);
      return null;
    }
  }

  startDraining(): void {
    this.draining = true;
    for (const stream of this.streams) stream.startDraining();
  }

  private checkOpen(message: InferRequestMessage): void {
    if (message === (UNREADABLE as unknown)) throw unreadable();
    if (this.draining) throw shuttingDown();
    if (this.requestsInFlight >= this.limits.requestsInFlightMax) {
      throw new InferError('UNAVAILABLE', 'too many requests in flight');
    }
  }
}

export const shuttingDown = (): InferError =>
  new InferError('UNAVAILABLE', 'GRPC server is shutting down and has stopped accepting new requests.');
