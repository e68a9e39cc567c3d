import type { InferError, InferRequest, InferResponse, OnInfer } from '../contract/index.js';

/** One v2 request from the engine's door to its answer. */
export class InferEntry {
  /** When its time in the queue is over; set by the queue. Infinity = never. */
  deadlineUs = Number.POSITIVE_INFINITY;
  /** When its batch was formed. */
  startedUs = 0;
  private isAnswered = false;

  constructor(
    readonly request: InferRequest,
    /** Rows it adds to a batch, as the model counts them. */
    readonly rows: number,
    /** Of a two-scope model: rows of its request inputs; else 0. */
    readonly requestRows: number,
    /** Requests with different keys cannot share a batch. */
    readonly shapeKey: string,
    readonly arrivalUs: number,
    private readonly done: OnInfer,
  ) {}

  get priority(): number {
    return this.request.priority;
  }

  get timeoutUs(): number {
    return this.request.timeoutUs;
  }

  /** A second answer is a bug of ours, never the client's: it must not see two. */
  answer(error: InferError | null, response: InferResponse | null): void {
    if (this.isAnswered) throw new Error('a request was answered twice');
    this.isAnswered = true;
    this.done(error, response);
  }
}
