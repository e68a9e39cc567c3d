import type { handleBidiStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import { type InferCalls, shuttingDown } from './grpc-calls.js';
import type { InferRequestMessage, InferResponseMessage, StreamResponseMessage } from './grpc-messages.js';
import { grpcError } from './grpc-status.js';
import { InferStream } from './grpc-stream.js';

export function modelInfer(calls: InferCalls): handleUnaryCall<InferRequestMessage, InferResponseMessage> {
  return (call, callback) => {
    let isOpen = true;
    const handle = calls.ask(call.request, (error, message) => {
      if (!isOpen) return;
      isOpen = false;
      if (message === null) callback(grpcError(error!));
      else callback(null, message);
    });
    // Also when the deadline of the call has passed.
    call.on('cancelled', () => {
      if (!isOpen) return;
      isOpen = false;
      handle?.cancel();
    });
  };
}

export function modelStreamInfer(
  calls: InferCalls,
): handleBidiStreamingCall<InferRequestMessage, StreamResponseMessage> {
  return (call) => {
    if (calls.draining) call.emit('error', grpcError(shuttingDown()));
    else new InferStream(calls, call);
  };
}
