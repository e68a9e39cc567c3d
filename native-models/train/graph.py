"""ONNX graphs, written node by node from trained weights: few nodes, no transposes, float32, int32 ids.

Row counts stay symbolic: R request rows, N candidate rows.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9


class Graph:
    def __init__(self, name):
        self.name = name
        self.nodes, self.constants, self.inputs = [], [], []
        self.count = 0

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, output=None, domain="", **attributes):
        self.count += 1
        output = output or f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def shape(self, *dims):
        name = "shape_" + "_".join(str(d).replace("-", "m") for d in dims)
        if name not in [c.name for c in self.constants]:
            self.constant(name, np.array(dims, dtype=np.int64))
        return name

    def reshape(self, value, *dims, output=None):
        return self.node("Reshape", [value, self.shape(*dims)], output)

    def relu(self, value):
        return self.node("Relu", [value])

    def dense(self, value, name, weight, bias, output=None):
        return self.node("Gemm", [value, self.constant(f"{name}_w", weight), self.constant(f"{name}_b", bias)], output)

    def save(self, path, output, producer_note, opsets=()):
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N"])
        graph = helper.make_graph(self.nodes, self.name, self.inputs, [info], self.constants)
        imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(*o) for o in opsets)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="native-models/train")
        model.doc_string = producer_note
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def ids(graph, name, rows, width):
    return graph.input(name, TensorProto.INT32, [rows, width])


def dense(graph, name, rows, width):
    return graph.input(name, TensorProto.FLOAT, [rows, width])


def two_scope(name, p, widths, note, path):
    """The ranker of `nets.two_scope_logits`.

    :param widths: columns of request_ids, request_dense, candidate_ids, candidate_dense
    """
    request_ids, request_dense, candidate_ids, candidate_dense = widths
    dim = p["table"].shape[1]
    queries = p["query_b"].size // dim
    g = Graph(name)
    inputs = [
        ids(g, "request_ids", "R", request_ids),
        dense(g, "request_dense", "R", request_dense),
        ids(g, "candidate_ids", "N", candidate_ids),
        dense(g, "candidate_dense", "N", candidate_dense),
        g.input("request_index", TensorProto.INT32, ["N"]),
    ]
    table = g.constant("table", p["table"])
    # R rows: everything that does not depend on the candidate.
    embedded = g.reshape(g.node("Gather", [table, inputs[0]]), -1, request_ids * dim)
    x = g.node("Concat", [embedded, inputs[1]], axis=1)
    hidden = g.relu(g.dense(x, "bottom", p["bottom_w"], p["bottom_b"]))
    x = g.node("Concat", [x, hidden], axis=1)
    query = g.node("Gather", [g.dense(x, "query", p["query_w"], p["query_b"]), inputs[4]])
    context = g.node("Gather", [g.dense(x, "context", p["context_w"], p["context_b"]), inputs[4]])
    wide_context = g.dense(x, "wide_context", p["wide_context_w"], p["wide_context_b"])
    wide_context = g.node("Gather", [wide_context, inputs[4]])
    # N rows.
    candidate = g.node("Gather", [table, inputs[2]])
    dots = g.node("MatMul", [candidate, g.reshape(query, -1, dim, queries)])
    pair = g.node(
        "Concat",
        [g.reshape(candidate, -1, candidate_ids * dim), g.reshape(dots, -1, candidate_ids * queries), inputs[3]],
        axis=1,
    )
    # What the request says is a bias, one per row: Gemm adds it on the way.
    top = g.relu(g.node("Gemm", [pair, g.constant("top_w", p["top_w"]), context]))
    last = g.relu(g.dense(top, "last", p["last_w"], p["last_b"]))
    wide = g.node("Gemm", [pair, g.constant("wide_w", p["wide_w"]), wide_context])
    g.reshape(g.node("Gemm", [last, g.constant("out_w", p["out_w"]), wide]), -1, output="logit")
    g.save(path, "logit", note)


def plain(name, p, widths, output, note, path):
    """The embedding MLP of `nets.plain_outputs`."""
    dim = p["table"].shape[1]
    g = Graph(name)
    id_input, dense_input = ids(g, "ids", "N", widths[0]), dense(g, "dense", "N", widths[1])
    embedded = g.reshape(g.node("Gather", [g.constant("table", p["table"]), id_input]), -1, widths[0] * dim)
    x = g.node("Concat", [embedded, dense_input], axis=1)
    x = g.relu(g.dense(x, "top", p["top_w"], p["top_b"]))
    x = g.relu(g.dense(x, "last", p["last_w"], p["last_b"]))
    g.reshape(g.dense(x, "out", p["out_w"], p["out_b"]), -1, output=output)
    g.save(path, output, note)


TIER_OF_CATEGORY = np.array([0] + [1 + tier for tier in range(24)] + [1 + tier for tier in range(24) for _ in range(4)])
TIER_OF_SEGMENT = np.array([0] + [1 + tier for tier in range(24) for _ in range(4)])
"""Tier-one category (1 … 24, 0 = none) of each id of CATEGORY_VALUES and SEGMENT_VALUES."""


def match_columns(request, candidate, categories, segments):
    """[request, candidate, how many categories match the ad's, how many segments do]: what the trees see.

    The last `categories` + `segments` request columns and the last candidate column are vocabulary ids.
    """
    tier = TIER_OF_CATEGORY[candidate[:, -1].astype(np.int64)][:, None]
    category = TIER_OF_CATEGORY[request[:, -categories - segments : -segments].astype(np.int64)]
    segment = TIER_OF_SEGMENT[request[:, -segments:].astype(np.int64)]
    counts = [(c == tier).sum(axis=1, keepdims=True).astype(np.float32) for c in (category, segment)]
    return np.concatenate([request[:, : -categories - segments], candidate, *counts], axis=1)


def boosted_trees(name, booster, widths, categories, segments, note, path):
    """LightGBM's trees over `match_columns`, which the graph computes too.

    Thresholds are float64 in LightGBM and float32 here; rounding them down keeps every decision x ≤ t on float32 inputs.
    """
    g = Graph(name)
    request = dense(g, "request_dense", "R", widths[0])
    candidate = dense(g, "candidate_dense", "N", widths[1])
    index = g.input("request_index", TensorProto.INT32, ["N"])
    split = g.constant("split", np.array([widths[0] - categories - segments, categories, segments], dtype=np.int64))
    g.nodes.append(helper.make_node("Split", [request, split], ["numbers", "category", "segment"], "split", axis=1))
    tiers = []
    for ids_of, table in (("category", TIER_OF_CATEGORY), ("segment", TIER_OF_SEGMENT)):
        tier = g.node("Gather", [g.constant(f"tier_of_{ids_of}", table.astype(np.int32)), _integers(g, ids_of)])
        tiers.append(g.node("Gather", [tier, index]))
    last = g.node("Gather", [candidate, g.constant("last", np.array([widths[1] - 1]))], axis=1)
    ad_tier = g.node("Gather", ["tier_of_category", _integers(g, last)])
    one = g.constant("columns_axis", np.array([1], dtype=np.int64))
    counts = [
        g.node("ReduceSum", [g.node("Cast", [g.node("Equal", [tier, ad_tier])], to=TensorProto.FLOAT), one], keepdims=1)
        for tier in tiers
    ]
    x = g.node("Concat", [g.node("Gather", ["numbers", index]), candidate, *counts], axis=1)
    y = g.node("TreeEnsembleRegressor", [x], domain="ai.onnx.ml", **tree_attributes(booster.dump_model()))
    g.reshape(y, -1, output="logit")
    g.save(path, "logit", note, [("ai.onnx.ml", 3)])


def _integers(graph, value):
    return graph.node("Cast", [value], to=TensorProto.INT32)


def tree_attributes(dump):
    a = {
        f"nodes_{k}": []
        for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    }
    a.update({f"target_{k}": [] for k in ("treeids", "nodeids", "ids", "weights")})
    for number, tree in enumerate(dump["tree_info"]):
        counter = iter(range(1 << 30))
        _add_node(a, number, tree["tree_structure"], counter)
    return {**a, "n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}


def _add_node(a, tree, node, counter):
    number = next(counter)
    at = len(a["nodes_nodeids"])
    leaf = "leaf_value" in node
    threshold = 0.0 if leaf else float(round_down(node["threshold"]))
    row = (tree, number, 0 if leaf else node["split_feature"], threshold, "LEAF" if leaf else "BRANCH_LEQ", 0, 0)
    for key, value in zip(("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"), row):
        a[f"nodes_{key}"].append(value)
    if leaf:
        for key, value in zip(("treeids", "nodeids", "ids", "weights"), (tree, number, 0, node["leaf_value"])):
            a[f"target_{key}"].append(value)
    else:
        a["nodes_truenodeids"][at] = _add_node(a, tree, node["left_child"], counter)
        a["nodes_falsenodeids"][at] = _add_node(a, tree, node["right_child"], counter)
    return number


def round_down(threshold):
    """The largest float32 that is ≤ threshold."""
    rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded
