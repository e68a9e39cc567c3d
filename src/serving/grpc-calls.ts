import { InferError, type InferHandle, type InferResponse, type ModelServer } from '../contract/index.js';
import { type GrpcInferCall, readInferCall } from './grpc-infer-request.js';
import { inferResponseMessage } from './grpc-infer-response.js';
import { type InferRequestMessage, type InferResponseMessage, UNREADABLE } from './grpc-messages.js';
import { type ServingLog, toInferError, unreadable } from './grpc-status.js';

export interface InferLimits {
  /** Requests handed to the models and not answered, over all calls and streams; more are refused at once. */
  readonly requestsInFlightMax: number;
  /** Of one stream; at this many it is not read any further, and HTTP/2 flow control slows the client down. */
  readonly streamInFlightMax: number;
}

/** One of the two is null. */
type OnAnswer = (error: InferError | null, message: InferResponseMessage | null) => void;

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
  ask(message: InferRequestMessage, done: OnAnswer): InferHandle | null {
    try {
      this.checkOpen(message);
      const inferCall = readInferCall(message);
      const handle = this.models.infer(inferCall.request, (error, response) => {
        this.requestsInFlight -= 1;
        if (response === null) done(error, null);
        else this.answer(inferCall, response, done);
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

  private answer(inferCall: GrpcInferCall, response: InferResponse, done: OnAnswer): void {
    let message: InferResponseMessage;
    try {
      message = inferResponseMessage(this.models, inferCall, response);
    } catch (error) {
      done(toInferError(error, this.log), null);
      return;
    }
    done(null, message);
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
