import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import protobuf from 'protobufjs';
import { afterAll, describe, expect, it } from 'vitest';
import { DATA_TYPES } from '../../src/contract/index.js';
import { readOnnxGraph } from '../../src/inference/onnx-graph.js';
import { protoType } from '../../src/inference/proto-type.js';

const directory = mkdtempSync(join(tmpdir(), 'onnx-graph-'));
afterAll(() => rmSync(directory, { recursive: true }));

function written(model: object): string {
  const type = protoType('onnx/onnx.proto', 'onnx.ModelProto');
  const file = join(directory, 'model.onnx');
  writeFileSync(file, type.encode(type.fromObject(model)).finish());
  return file;
}

const value = (name: string, elem_type: number, dim: object[]) => ({
  name,
  type: { tensor_type: { elem_type, shape: { dim } } },
});

describe('the graph of an .onnx file', () => {
  it.each([
    'native-models/pctr_dlrm/1/model.onnx',
    'native-models/win_price/1/model.onnx',
    'test/inference/fixtures/fixed_rows.onnx',
    'test/inference/fixtures/slow.onnx',
  ])('is what ONNX Runtime says of %s', async (file) => {
    const session = await InferenceSession.create(file);
    const graph = readOnnxGraph(file);
    for (const [tensors, metadata] of [
      [graph.inputs, session.inputMetadata],
      [graph.outputs, session.outputMetadata],
    ] as const) {
      const said = metadata.map((each) => {
        if (!each.isTensor) throw new Error(`${each.name} is no tensor`);
        return {
          name: each.name,
          type: each.type,
          dims: each.shape.map((dim) => (typeof dim === 'string' ? -1 : dim)),
        };
      });
      const read = tensors.map(({ name, dataType, dims }) => ({ name, type: DATA_TYPES[dataType!].onnx, dims }));
      expect(read).toEqual(said);
    }
    await session.release();
  });

  it('leaves weights out, keeps the name of the rows, and says what is no tensor', () => {
    const graph = {
      initializer: [{ name: 'w' }],
      input: [value('w', 1, [{ dim_value: 2 }]), value('x', 7, [{ dim_param: 'batch' }, {}, { dim_value: 3 }])],
      output: [
        { name: 'map', type: {} },
        { name: 'open', type: { tensor_type: { elem_type: 16 } } },
        value('tf', 999, [{ dim_param: 'unk__12' }]),
      ],
    };
    expect(readOnnxGraph(written({ graph }))).toEqual({
      inputs: [{ name: 'x', dataType: 'INT64', dims: [-1, -1, 3], rowsName: 'batch' }],
      outputs: [
        { name: 'map', dataType: undefined, dims: undefined, rowsName: '' },
        { name: 'open', dataType: 'BF16', dims: undefined, rowsName: '' },
        { name: 'tf', dataType: undefined, dims: [-1], rowsName: '' },
      ],
    });
  });

  it('is refused where the file is none', () => {
    const file = join(directory, 'text.onnx');
    for (const content of ['', 'this is no model', protobuf.Writer.create().uint32(8).uint32(1).finish()]) {
      writeFileSync(file, content);
      const read = () => readOnnxGraph(file);
      expect(read).toThrowError(expect.objectContaining({ code: 'VK_MODEL_LOAD', fixedBy: 'model owner' }));
      expect(read).toThrowError(`${file} is not an ONNX model`);
    }
  });
});
