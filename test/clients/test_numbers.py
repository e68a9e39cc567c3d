"""The server's outputs against ONNX Runtime in Python: same version, same model file, same inputs, equal bit by bit."""

import json
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import tritonclient.grpc as grpc
import tritonclient.http as http
from common import GRPC, HTTP, REPOSITORY, tensor
from models import SHIPPED

ROOT = Path(__file__).parent.parent.parent
REQUEST_ROWS = [1, 2, 5, 16]
CANDIDATE_ROWS = [1, 3, 32, 64, 200]
DTYPES = {"tensor(int32)": np.int32, "tensor(float)": np.float32}


class Numbers(unittest.TestCase):
    def test_same_version_of_the_runtime(self):
        package = json.loads((ROOT / "package.json").read_text())
        self.assertEqual(package["dependencies"]["onnxruntime-node"], onnxruntime.__version__)

    def test_bit_equal_outputs(self):
        clients = [("http", http, http.InferenceServerClient(HTTP)), ("grpc", grpc, grpc.InferenceServerClient(GRPC))]
        compared = 0
        for model in SHIPPED:
            session = session_of(model)
            for feeds in feeds_of(model, session):
                expected = session.run(None, feeds)
                names = [output.name for output in session.get_outputs()]
                for family, module, client in clients:
                    ways = [{"binary_data": True}, {"binary_data": False}] if family == "http" else [{}]
                    for how in ways:
                        shapes = {name: array.shape for name, array in feeds.items()}
                        with self.subTest(model=model, family=family, shapes=shapes, **how):
                            inputs = [tensor(module, name, array, **how) for name, array in feeds.items()]
                            outputs = [module.InferRequestedOutput(name, **how) for name in names]
                            result = client.infer(model, inputs, outputs=outputs)
                            for name, array in zip(names, expected):
                                got = result.as_numpy(name).astype(np.float32).flatten()
                                np.testing.assert_array_equal(got.view(np.uint32), array.flatten().view(np.uint32))
                                compared += 1
        for _, _, client in clients:
            client.close()
        self.assertGreaterEqual(compared, 3 * (3 * len(REQUEST_ROWS) * len(CANDIDATE_ROWS) + len(CANDIDATE_ROWS)))


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    file = Path(REPOSITORY) / model / "1/model.onnx"
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def feeds_of(model, session):
    """Seeded mixtures of the rows that the model ships as its score vectors: valid ids, real values."""
    random = np.random.default_rng(3)
    given = json.loads((Path(REPOSITORY) / model / "1/score-vectors.json").read_text())["inputs"]
    rows = {}
    for declared in session.get_inputs():
        if declared.name in given:
            values = np.array(given[declared.name]["values"], DTYPES[declared.type])
            rows[declared.name] = values.reshape(given[declared.name]["shape"])
    two_scope = "request_index" in [declared.name for declared in session.get_inputs()]
    for requests in REQUEST_ROWS if two_scope else [0]:
        for candidates in CANDIDATE_ROWS:
            feeds = {}
            for name, array in rows.items():
                if name == "request_index":
                    continue
                count = requests if name.startswith("request_") else candidates
                feeds[name] = array[random.integers(len(array), size=count)]
            if two_scope:
                feeds["request_index"] = np.sort(random.integers(requests, size=candidates)).astype(np.int32)
            yield feeds
