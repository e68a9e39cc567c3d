/** A real gRPC server that speaks just enough of the v2 protocol, on the project's proto files and not on our codec. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const PROTO = new URL('../../../proto/triton/grpc_service.proto', import.meta.url);
const { root } = protobuf.parse(readFileSync(PROTO, 'utf8'), { keepCase: true });
const requestType = root.lookupType('inference.ModelInferRequest');
const responseType = root.lookupType('inference.ModelInferResponse');

export interface WireRequest {
  model_name: string;
  model_version: string;
  parameters: Record<string, { int64_param: number }>;
  inputs: { name: string; datatype: string; shape: number[] }[];
  outputs: { name: string }[];
  raw_input_contents: Buffer[];
}

export interface WireResponse {
  model_name?: string;
  outputs: { name: string; datatype: string; shape: number[]; parameters?: object }[];
  raw_output_contents: Uint8Array[];
}

function readRequest(message: Uint8Array): WireRequest {
  return requestType.toObject(requestType.decode(message), { longs: Number, defaults: true }) as WireRequest;
}

export function writeResponse(response: WireResponse): Buffer {
  return Buffer.from(responseType.encode(responseType.fromObject(response)).finish());
}

/** What model `m` of the tests answers: Y = X. */
export function rightAnswer(request: WireRequest): WireResponse {
  const [{ datatype, shape }] = request.inputs;
  return {
    model_name: request.model_name,
    outputs: [{ name: 'Y', datatype, shape, parameters: { ignored: { string_param: 'by everyone' } } }],
    raw_output_contents: request.raw_input_contents,
  };
}

export type Handler = (
  request: WireRequest,
  answer: sendUnaryData<Buffer>,
  call: ServerUnaryCall<Buffer, Buffer>,
  remote: RemoteServer,
) => void;

export interface RemoteServer {
  readonly port: number;
  handler: Handler;
  /** Connections that were made to it. */
  readonly peers: ReadonlySet<string>;
  /** As a killed process: every connection is reset. */
  cut(): void;
  /** Drops its calls and closes the port. */
  close(): void;
}

export async function startRemote(handler: Handler, port = 0): Promise<RemoteServer> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const peers = new Set<string>();
  const asIs = (bytes: Buffer) => bytes;
  server.addService(
    {
      ModelInfer: {
        path: '/inference.GRPCInferenceService/ModelInfer',
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      ModelInfer(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
        peers.add(call.getPeer());
        remote.handler(readRequest(call.request), answer, call, remote);
      },
    },
  );
  const inner = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, actual) =>
      error === null ? resolve(actual) : reject(error),
    );
  });
  // Connections pass through here so that they can be reset, which the library's server cannot do.
  const sockets = new Set<Socket>();
  const front = createServer((socket) => {
    const behind = connect(inner, '127.0.0.1');
    sockets.add(socket);
    socket.on('error', () => behind.destroy());
    behind.on('error', () => socket.destroy());
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>((resolve) => front.listen(port, '127.0.0.1', resolve));
  const remote: RemoteServer = {
    port: (front.address() as AddressInfo).port,
    handler,
    peers,
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close() {
      front.close();
      server.forceShutdown();
    },
  };
  return remote;
}
