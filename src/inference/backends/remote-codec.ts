/**
 * The two messages that a remote model is called with, `inference.ModelInferRequest` and `ModelInferResponse`, tensors as
 * raw contents only. Written field by field rather than through message objects: the tensor bytes are copied once on the
 * way out, and on the way in they stay views of the message.
 */
import protobuf from 'protobufjs';
import type { Tensor } from '../../contract/index.js';

interface RemoteCall {
  readonly model: string;
  /** '' = the remote's choice. */
  readonly version: string;
  /** How long it may wait in the remote's queue. */
  readonly timeoutUs: number;
  readonly inputs: readonly Tensor[];
  /** Names. */
  readonly outputs: readonly string[];
}

/** Tensors as they stand in the answer, believed by nobody yet. */
export interface RemoteAnswer {
  readonly outputs: readonly { readonly name: string; readonly dataType: string; readonly shape: readonly number[] }[];
  /** By output, when the remote speaks raw contents. */
  readonly raw: readonly Uint8Array[];
}

export function encodeCall(call: RemoteCall): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(bytesTag(REQUEST.modelName)).string(call.model);
  if (call.version !== '') writer.uint32(bytesTag(REQUEST.modelVersion)).string(call.version);
  writer.uint32(bytesTag(REQUEST.parameters)).fork();
  writer.uint32(bytesTag(MAP_ENTRY.key)).string('timeout');
  writer.uint32(bytesTag(MAP_ENTRY.value)).fork();
  writer.uint32(varintTag(PARAMETER_INT64)).int64(call.timeoutUs).ldelim().ldelim();
  for (const { name, dataType, shape } of call.inputs) {
    writer.uint32(bytesTag(REQUEST.inputs)).fork();
    writer.uint32(bytesTag(TENSOR.name)).string(name);
    writer.uint32(bytesTag(TENSOR.dataType)).string(dataType);
    writer.uint32(bytesTag(TENSOR.shape)).fork();
    for (const dimension of shape) writer.int64(dimension);
    writer.ldelim().ldelim();
  }
  for (const name of call.outputs) {
    writer.uint32(bytesTag(REQUEST.outputs)).fork();
    writer.uint32(bytesTag(TENSOR.name)).string(name).ldelim();
  }
  for (const { bytes } of call.inputs) writer.uint32(bytesTag(REQUEST.rawInputs)).bytes(bytes);
  return writer.finish();
}

/** @throws Error on bytes that are no such message */
export function decodeAnswer(message: Uint8Array): RemoteAnswer {
  const reader = protobuf.Reader.create(message);
  const outputs: RemoteAnswer['outputs'][number][] = [];
  const raw: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === bytesTag(ANSWER.outputs)) outputs.push(decodeTensor(reader, reader.uint32() + reader.pos));
    else if (tag === bytesTag(ANSWER.rawOutputs)) raw.push(reader.bytes());
    else skip(reader, tag);
  }
  return { outputs, raw };
}

function decodeTensor(reader: protobuf.Reader, end: number): RemoteAnswer['outputs'][number] {
  if (end > reader.len) throw new RangeError('a tensor is longer than its message');
  let name = '';
  let dataType = '';
  const shape: number[] = [];
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === bytesTag(TENSOR.name)) name = reader.string();
    else if (tag === bytesTag(TENSOR.dataType)) dataType = reader.string();
    else if (tag === varintTag(TENSOR.shape)) shape.push(Number(reader.int64()));
    else if (tag === bytesTag(TENSOR.shape)) {
      const shapeEnd = reader.uint32() + reader.pos;
      while (reader.pos < shapeEnd) shape.push(Number(reader.int64()));
    } else skip(reader, tag);
  }
  if (reader.pos !== end) throw new RangeError('a field is longer than its tensor');
  return { name, dataType, shape };
}

function skip(reader: protobuf.Reader, tag: number): void {
  reader.skipType(tag & 7);
}

/** Field numbers of the public protocol; `proto/triton/grpc_service.proto` has them in full. */
const REQUEST = { modelName: 1, modelVersion: 2, parameters: 4, inputs: 5, outputs: 6, rawInputs: 7 } as const;
const ANSWER = { outputs: 5, rawOutputs: 6 } as const;
const TENSOR = { name: 1, dataType: 2, shape: 3 } as const;
const MAP_ENTRY = { key: 1, value: 2 } as const;
const PARAMETER_INT64 = 2;

function bytesTag(field: number): number {
  return (field << 3) | 2;
}

function varintTag(field: number): number {
  return field << 3;
}
