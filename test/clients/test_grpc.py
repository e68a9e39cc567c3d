"""tritonclient.grpc, synchronous; the Node gRPC client; the standard health service."""

import queue
import subprocess
import unittest
from pathlib import Path

import grpc as grpcio
import numpy as np
import tritonclient.grpc as grpc
from common import COUNTING, GRPC, ONES, SAMPLES, pair, refusal, refusals, tensor

NODE_CLIENT = Path(__file__).parent / "node-client.mjs"


class Grpc(unittest.TestCase):
    def setUp(self):
        self.client = grpc.InferenceServerClient(GRPC)

    def tearDown(self):
        self.client.close()

    def check_simple(self, result, first=COUNTING, second=ONES):
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), first + second)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), first - second)

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("simple", "1"))
        # As in Triton: over HTTP an unknown model is not ready, over gRPC the question is refused.
        said, status = refusal(lambda: self.client.is_model_ready("nowhere"))
        self.assertRegex(said, "Request for unknown model: 'nowhere' is not found")
        self.assertEqual(status, "StatusCode.INVALID_ARGUMENT")

    def test_standard_health_service(self):
        with grpcio.insecure_channel(GRPC) as channel:
            plain = lambda data: data
            check = channel.unary_unary("/grpc.health.v1.Health/Check", plain, plain)
            # The reply is field 1, status, with value 1, SERVING.
            self.assertEqual(check(b""), b"\x08\x01")

    def test_metadata(self):
        self.assertEqual(self.client.get_server_metadata(as_json=True)["name"], "triton")
        metadata = self.client.get_model_metadata("simple", as_json=True)
        self.assertEqual(metadata["inputs"][0], {"name": "INPUT0", "datatype": "INT32", "shape": ["-1", "16"]})
        self.assertEqual(metadata["versions"], ["1"])

    def test_config(self):
        config = self.client.get_model_config("simple").config
        self.assertEqual((config.name, config.max_batch_size, list(config.input[0].dims)), ("simple", 8, [16]))
        self.assertTrue(config.HasField("dynamic_batching"))
        scheduling = self.client.get_model_config("ensemble").config.ensemble_scheduling
        self.assertEqual([step.model_name for step in scheduling.step], ["simple", "simple"])

    def test_statistics_count_rows_and_batches(self):
        def counts():
            stats = self.client.get_inference_statistics("simple").model_stats[0]
            return stats.inference_count, stats.inference_stats.success.count, stats.execution_count

        before = counts()
        self.client.infer("simple", pair(grpc, np.repeat(COUNTING, 3, 0), np.repeat(ONES, 3, 0)))
        self.assertEqual([a - b for a, b in zip(counts(), before)], [3, 1, 1])
        self.assertGreater(len(self.client.get_inference_statistics().model_stats), 10)

    def test_every_data_type(self):
        for datatype, values in SAMPLES.items():
            for backend in ["identity", "onnx"]:
                if (backend, datatype) == ("onnx", "BF16"):
                    continue
                array = values if backend == "identity" else values.reshape(1, 3)
                with self.subTest(datatype=datatype, backend=backend):
                    result = self.client.infer(f"{backend}_{datatype.lower()}", [tensor(grpc, "INPUT0", array, datatype)])
                    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), array)

    def test_empty_and_large_tensors(self):
        for array in [np.zeros((0,), np.float32), np.random.default_rng(1).random(2_000_000, np.float32)]:
            result = self.client.infer("identity_fp32", [tensor(grpc, "INPUT0", array)])
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), array)

    def test_compression(self):
        for algorithm in ["gzip", "deflate"]:
            self.check_simple(self.client.infer("simple", pair(grpc), compression_algorithm=algorithm))

    def test_request_id_version_priority_timeout_parameters(self):
        result = self.client.infer(
            "simple",
            pair(grpc),
            request_id="r-1",
            model_version="1",
            priority=1,
            timeout=5_000_000,
            sequence_id=3,
            sequence_start=True,
            parameters={"note": "x", "count": 3, "flag": True},
        )
        response = result.get_response()
        self.assertEqual((response.id, response.model_name, response.model_version), ("r-1", "simple", "1"))
        self.check_simple(result)

    def test_only_the_outputs_asked_for(self):
        result = self.client.infer("simple", pair(grpc), outputs=[grpc.InferRequestedOutput("OUTPUT1")])
        self.assertEqual([output.name for output in result.get_response().outputs], ["OUTPUT1"])

    def test_async_infer(self):
        answers = queue.Queue()
        for i in range(32):
            answer = lambda result, error, i=i: answers.put((i, result, error))
            self.client.async_infer("simple", pair(grpc, COUNTING + i, ONES), callback=answer)
        for _ in range(32):
            i, result, error = answers.get(timeout=10)
            self.assertIsNone(error)
            self.check_simple(result, COUNTING + i)

    def test_cancelled_async_infer(self):
        answers = queue.Queue()
        slow = [tensor(grpc, "INPUT0", np.ones((1, 1), np.int32))]
        call = self.client.async_infer("slow", slow, callback=lambda result, error: answers.put(error))
        call.cancel()
        error = answers.get(timeout=10)
        self.assertEqual(error.status(), "StatusCode.CANCELLED")

    def test_stream_infer_gives_one_answer_per_request_and_errors_in_the_stream(self):
        answers = queue.Queue()
        self.client.start_stream(callback=lambda result, error: answers.put((result, error)))
        for i in range(8):
            self.client.async_stream_infer("simple", pair(grpc, COUNTING + i, ONES), request_id=str(i))
        self.client.async_stream_infer("nowhere", pair(grpc), request_id="bad")
        good = set()
        bad = []
        for _ in range(9):
            result, error = answers.get(timeout=10)
            if error is not None:
                bad.append(error.message())
                continue
            i = int(result.get_response().id)
            self.check_simple(result, COUNTING + i)
            good.add(i)
        self.client.stop_stream()
        self.assertEqual(good, set(range(8)))
        self.assertEqual(len(bad), 1)
        self.assertRegex(bad[0], "Request for unknown model: 'nowhere' is not found")

    def test_ensemble_of_two_steps(self):
        result = self.client.infer("ensemble", [tensor(grpc, "A", COUNTING), tensor(grpc, "B", ONES)])
        np.testing.assert_array_equal(result.as_numpy("TWICE_A"), 2 * COUNTING)

    def test_refusals(self):
        for (model, inputs, how), message, _, status in refusals(grpc):
            with self.subTest(message=message):
                said, given = refusal(lambda: self.client.infer(model, inputs, **how))
                self.assertRegex(said, message)
                self.assertEqual(given, status)
        self.check_simple(self.client.infer("simple", pair(grpc)))

    def test_shared_memory_is_empty_and_refused(self):
        self.assertEqual(len(self.client.get_system_shared_memory_status().regions), 0)
        self.assertEqual(len(self.client.get_cuda_shared_memory_status().regions), 0)
        refusal(lambda: self.client.register_system_shared_memory("region", "/region", 64))

    def test_the_calls_of_the_node_example(self):
        host, port = GRPC.split(":")
        done = subprocess.run(["node", str(NODE_CLIENT), host, port], capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
