/** The messages of `inference.GRPCInferenceService` as this room reads and writes them, with the names of the wire. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

/** What protobufjs makes of a 64-bit integer. */
export type Int64 = number | { readonly low: number; readonly high: number; toNumber(): number };

export interface InferParameterMessage {
  /** The field that is set; undefined = none. */
  readonly parameter_choice?: 'bool_param' | 'int64_param' | 'string_param' | 'double_param' | 'uint64_param';
  readonly bool_param: boolean;
  readonly int64_param: Int64;
  readonly string_param: string;
  readonly double_param: number;
  readonly uint64_param: Int64;
}

export type InferParameters = Readonly<Record<string, InferParameterMessage>>;

export interface ContentsMessage {
  readonly bool_contents: readonly boolean[];
  readonly int_contents: readonly number[];
  readonly int64_contents: readonly Int64[];
  readonly uint_contents: readonly number[];
  readonly uint64_contents: readonly Int64[];
  readonly fp32_contents: readonly number[];
  readonly fp64_contents: readonly number[];
  readonly bytes_contents: readonly Uint8Array[];
}

export interface InferInputMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly Int64[];
  readonly parameters: InferParameters;
  readonly contents: ContentsMessage | null;
}

export interface InferRequestMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: InferParameters;
  readonly inputs: readonly InferInputMessage[];
  readonly outputs: readonly { readonly name: string; readonly parameters: InferParameters }[];
  /** Views into the received message. */
  readonly raw_input_contents: readonly Uint8Array[];
}

export interface InferResponseMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters?: Readonly<Record<string, { readonly bool_param: boolean }>>;
  readonly outputs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[];
  readonly raw_output_contents: readonly Uint8Array[];
}

export interface StreamResponseMessage {
  readonly error_message?: string;
  readonly infer_response: InferResponseMessage | { readonly id: string };
}

/** Stands for bytes that are no message of the type; compared by identity. By itself grpc-js would answer INTERNAL. */
export const UNREADABLE = Object.freeze({ unreadable: true });

export const V2_SERVICE = 'inference.GRPCInferenceService';
const PROTO_FILE = 'triton/grpc_service.proto';

/** `proto/` lies beside `src/` in the sources, and one level further up from `dist/src/`. */
function protoFolder(): string {
  const fromSources = new URL('../../proto/', import.meta.url);
  return fileURLToPath(existsSync(fromSources) ? fromSources : new URL('../../../proto/', import.meta.url));
}

/** The package as reflection shows it. */
export function loadV2Package(): PackageDefinition {
  return loadSync('grpc_service.proto', { keepCase: true, includeDirs: [`${protoFolder()}triton/`] });
}

/** Messages of these methods are used as protobufjs decodes them: no copy of a tensor, nothing done per element. */
const INFER_METHODS: ReadonlySet<string> = new Set(['ModelInfer', 'ModelStreamInfer']);

/**
 * The service for grpc-js, server and client alike. Names are those of the .proto.
 *
 * `ModelInfer` and `ModelStreamInfer` take and give the message types above, bytes as views into what was received,
 * 64-bit integers as `Int64`. All others take and give plain objects: every field present, 64-bit integers as numbers,
 * enums as strings. A request that cannot be read arrives as `UNREADABLE`.
 */
export function loadV2Definition(): ServiceDefinition {
  const root = new protobuf.Root().loadSync(protoFolder() + PROTO_FILE, { keepCase: true });
  root.resolveAll();
  return Object.fromEntries(
    root.lookupService(V2_SERVICE).methodsArray.map((method) => [method.name, methodDefinition(method)]),
  );
}

function methodDefinition(method: protobuf.Method): MethodDefinition<object, object> {
  const request = method.resolvedRequestType;
  const response = method.resolvedResponseType;
  if (request === null || response === null) throw new Error(`${method.name} has no types`);
  const codecOf = INFER_METHODS.has(method.name) ? inferCodec : plainCodec;
  const [requests, responses] = [codecOf(request), codecOf(response)];
  return {
    path: `/${V2_SERVICE}/${method.name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: requests.write,
    requestDeserialize(bytes) {
      try {
        return requests.read(bytes);
      } catch {
        return UNREADABLE;
      }
    },
    responseSerialize: responses.write,
    responseDeserialize: responses.read,
  };
}

interface Codec {
  write(message: object): Buffer;
  read(bytes: Buffer): object;
}

/** protobufjs writes into a Buffer wherever there is one, though its types promise a Uint8Array only. */
const inferCodec = (type: protobuf.Type): Codec => ({
  write: (message) => type.encode(message).finish() as Buffer,
  read: (bytes) => type.decode(bytes),
});

const plainCodec = (type: protobuf.Type): Codec => ({
  write: (message) => type.encode(type.fromObject(message)).finish() as Buffer,
  read: (bytes) =>
    type.toObject(type.decode(bytes), {
      longs: Number,
      enums: String,
      defaults: true,
      arrays: true,
      objects: true,
      oneofs: true,
    }),
});
