import type { InferError, InferRequest, InferResponse, OnInfer } from '../contract/index.js';

/** One v2 request from the engine's door to its answer. */
export class InferEntry {
  /** When its time in the queue is over; set by the queue. Infinity = never. */
  deadlineUs = Number.POSITIVE_INFINITY;
  /** When its batch was formed. */
  startedUs = 0;
  /** Of its tensors. */
  readonly bytes: number;
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
  ) {
    let bytes = 0;
    for (const input of request.inputs) bytes += input.bytes.byteLength;
    this.bytes = bytes;
  }

  get priority(): number {
    return this.request.priority;
  }

  get timeoutUs(): number {
    return this.request.timeoutUs;
  }

  /**
   * A second answer is a bug of ours, never the client's: it must not see two. What `done` throws surfaces by itself,
   * past the engine, whose other requests have to be answered.
   */
  answer(error: InferError | null, response: InferResponse | null): void {
    if (this.isAnswered) throw new Error('a request was answered twice');
    this.isAnswered = true;
    try {
      this.done(error, response);
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }
}
