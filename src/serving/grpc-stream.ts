import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { InferError, InferHandle } from '../contract/index.js';
import { type InferCalls, shuttingDown } from './grpc-calls.js';
import type { InferRequestMessage, InferResponseMessage, StreamResponseMessage } from './grpc-messages.js';
import { grpcError } from './grpc-status.js';

/** Every model of ours answers a request once; clients of models with several responses look for this. */
const FINAL = { triton_final_response: { bool_param: true } };

/**
 * One `ModelStreamInfer`: a response per request, in the order in which they are done. An error is a response too; it
 * carries the id of its request, and the stream lives on. When the client goes, all that still waits is cancelled.
 */
export class InferStream {
  /** Requests with the models, by the message that asked. */
  private readonly waiting = new Map<InferRequestMessage, InferHandle>();
  private clientEnded = false;
  private ended = false;
  private writable = true;

  constructor(
    private readonly calls: InferCalls,
    private readonly call: ServerDuplexStream<InferRequestMessage, StreamResponseMessage>,
  ) {
    calls.streams.add(this);
    call.on('data', (message: InferRequestMessage) => this.take(message));
    call.on('end', () => {
      this.clientEnded = true;
      this.endWhenDone();
    });
    call.on('drain', () => {
      this.writable = true;
      this.readOrPause();
    });
    call.on('cancelled', () => this.abandon());
    // A message over the size limit or a broken connection; grpc-js sends the status itself.
    call.on('error', () => this.abandon());
  }

  /** Nothing further is read; the stream ends with UNAVAILABLE once the present requests are answered. */
  startDraining(): void {
    this.readOrPause();
    this.endWhenDone();
  }

  private take(message: InferRequestMessage): void {
    if (this.ended) return;
    const handle = this.calls.ask(message, (error, response) => {
      this.waiting.delete(message);
      this.answer(message, error, response);
    });
    if (handle !== null) this.waiting.set(message, handle);
    this.readOrPause();
  }

  private answer(message: InferRequestMessage, error: InferError | null, response: InferResponseMessage | null): void {
    if (this.ended) return;
    const id = message.id ?? '';
    this.writable = this.call.write(
      response === null
        ? { error_message: error!.message, infer_response: { id } }
        : { infer_response: { ...response, parameters: FINAL } },
    );
    this.readOrPause();
    this.endWhenDone();
  }

  private readOrPause(): void {
    const { draining, limits } = this.calls;
    if (!draining && this.writable && this.waiting.size < limits.streamInFlightMax) this.call.resume();
    else this.call.pause();
  }

  private endWhenDone(): void {
    if (this.ended || this.waiting.size > 0) return;
    if (this.clientEnded) {
      this.abandon();
      this.call.end();
    } else if (this.calls.draining) {
      this.abandon();
      this.call.emit('error', grpcError(shuttingDown()));
    }
  }

  private abandon(): void {
    if (this.ended) return;
    this.ended = true;
    this.calls.streams.delete(this);
    for (const handle of this.waiting.values()) handle.cancel();
    this.waiting.clear();
  }
}
