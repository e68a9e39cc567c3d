"""The models that the clients call: the four shipped ones, and small ones whose answers are known without computing."""

import shutil

import onnx
from onnx import TensorProto, helper

# KServe data type -> type in config.pbtxt; every one of them has an identity model.
CONFIG_TYPES = {
    "BOOL": "TYPE_BOOL",
    "UINT8": "TYPE_UINT8",
    "UINT16": "TYPE_UINT16",
    "UINT32": "TYPE_UINT32",
    "UINT64": "TYPE_UINT64",
    "INT8": "TYPE_INT8",
    "INT16": "TYPE_INT16",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "FP16": "TYPE_FP16",
    "FP32": "TYPE_FP32",
    "FP64": "TYPE_FP64",
    "BYTES": "TYPE_STRING",
    "BF16": "TYPE_BF16",
}
# Those that ONNX Runtime takes from JavaScript, with the graph's element type.
ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
SHIPPED = ["pctr_dlrm", "pctr_gbm", "pcvr", "win_price"]

SIMPLE_CONFIG = """
# Triton's example of this name: sum and difference.
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ {{ name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }}, {{ name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }} ]
output [ {{ name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] }}, {{ name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }} ]
dynamic_batching {{ }}
"""

SLOW_CONFIG = """
name: "slow"
backend: "identity"
max_batch_size: 1
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 1 ] }
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching {
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 10000000
    allow_timeout_override: true
    max_queue_size: 2
  }
}
parameters { key: "execute_delay_ms" value { string_value: "300" } }
"""

ENSEMBLE_CONFIG = """
name: "ensemble"
platform: "ensemble"
max_batch_size: 8
input [ { name: "A" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "B" data_type: TYPE_INT32 dims: [ 16 ] } ]
output [ { name: "TWICE_A" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "TWICE_B" data_type: TYPE_INT32 dims: [ 16 ] } ]
ensemble_scheduling {
  step [
    { model_name: "simple" model_version: -1
      input_map { key: "INPUT0" value: "A" } input_map { key: "INPUT1" value: "B" }
      output_map { key: "OUTPUT0" value: "sum" } output_map { key: "OUTPUT1" value: "difference" } },
    { model_name: "simple" model_version: -1
      input_map { key: "INPUT0" value: "sum" } input_map { key: "INPUT1" value: "difference" }
      output_map { key: "OUTPUT0" value: "TWICE_A" } output_map { key: "OUTPUT1" value: "TWICE_B" } }
  ]
}
"""


def write_repository(directory, native):
    for name in SHIPPED:
        shutil.copytree(native / name, directory / name)
    for name in ["simple", "changing"]:
        write_model(directory, name, SIMPLE_CONFIG.format(name=name), sum_and_difference())
    write_model(directory, "slow", SLOW_CONFIG)
    write_model(directory, "ensemble", ENSEMBLE_CONFIG)
    for datatype, config_type in CONFIG_TYPES.items():
        name = f"identity_{datatype.lower()}"
        tensor = f'name: "%s" data_type: {config_type} dims: [ -1 ]'
        config = f'name: "{name}"\nbackend: "identity"\ninput {{ {tensor % "INPUT0"} }}\noutput {{ {tensor % "OUTPUT0"} }}\n'
        write_model(directory, name, config)
    for datatype, element in ONNX_TYPES.items():
        # No config.pbtxt: it is derived from the graph.
        write_model(directory, f"onnx_{datatype.lower()}", None, identity(element))


def write_model(directory, name, config, graph=None):
    version = directory / name / "1"
    version.mkdir(parents=True)
    if config is not None:
        (directory / name / "config.pbtxt").write_text(config)
    if graph is not None:
        (version / "model.onnx").write_bytes(graph)


def sum_and_difference(sign=1):
    """OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1; with sign -1 the two change places."""
    names = ["OUTPUT0", "OUTPUT1"][::sign]
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], [names[0]]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], [names[1]]),
    ]
    return serialized(nodes, ["INPUT0", "INPUT1"], ["OUTPUT0", "OUTPUT1"], TensorProto.INT32, ["batch", 16])


def identity(element):
    nodes = [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])]
    return serialized(nodes, ["INPUT0"], ["OUTPUT0"], element, ["batch", 3])


def serialized(nodes, inputs, outputs, element, shape):
    info = lambda name: helper.make_tensor_value_info(name, element, shape)
    graph = helper.make_graph(nodes, "test", [info(name) for name in inputs], [info(name) for name in outputs])
    # IR 10 and opset 21 are read by every ONNX Runtime from 1.18 on.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()
