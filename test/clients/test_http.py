"""tritonclient.http, synchronous."""

import json
import unittest
import urllib.request

import numpy as np
import tritonclient.http as http
from common import COUNTING, HTTP, METRICS, ONES, SAMPLES, pair, refusal, refusals, tensor


class Http(unittest.TestCase):
    def setUp(self):
        self.client = http.InferenceServerClient(HTTP, concurrency=4)

    def tearDown(self):
        self.client.close()

    def check_simple(self, result, first=COUNTING, second=ONES):
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), first + second)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), first - second)

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("simple"))
        self.assertTrue(self.client.is_model_ready("simple", "1"))
        self.assertFalse(self.client.is_model_ready("nowhere"))

    def test_server_metadata(self):
        metadata = self.client.get_server_metadata()
        self.assertEqual(metadata["name"], "triton")
        self.assertIsInstance(metadata["version"], str)
        self.assertIn("binary_tensor_data", metadata["extensions"])

    def test_model_metadata_has_the_batch_dimension(self):
        metadata = self.client.get_model_metadata("simple")
        self.assertEqual(metadata["versions"], ["1"])
        self.assertEqual(metadata["platform"], "onnxruntime_onnx")
        self.assertEqual(metadata["inputs"][0], {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]})

    def test_model_config_has_not(self):
        config = self.client.get_model_config("simple")
        self.assertEqual((config["name"], config["max_batch_size"]), ("simple", 8))
        self.assertEqual(config["input"][0]["data_type"], "TYPE_INT32")
        self.assertEqual(list(map(int, config["input"][0]["dims"])), [16])
        self.assertIn("dynamic_batching", config)

    def test_config_derived_from_the_graph(self):
        config = self.client.get_model_config("onnx_fp32")
        self.assertEqual(config["max_batch_size"], 4)
        self.assertEqual(list(map(int, config["input"][0]["dims"])), [3])

    def test_statistics_count_rows_and_batches(self):
        def counts():
            stats = self.client.get_inference_statistics("simple")["model_stats"][0]
            return stats["inference_count"], stats["inference_stats"]["success"]["count"], stats["execution_count"]

        before = counts()
        self.client.infer("simple", pair(http, np.repeat(COUNTING, 3, 0), np.repeat(ONES, 3, 0)))
        after = counts()
        self.assertEqual([a - b for a, b in zip(after, before)], [3, 1, 1])
        self.assertGreater(len(self.client.get_inference_statistics()["model_stats"]), 10)

    def test_infer_binary_json_and_mixed(self):
        for binary in [(True, True), (False, False), (True, False), (False, True)]:
            for binary_out in [True, False]:
                with self.subTest(inputs=binary, outputs=binary_out):
                    inputs = [
                        tensor(http, "INPUT0", COUNTING, binary_data=binary[0]),
                        tensor(http, "INPUT1", ONES, binary_data=binary[1]),
                    ]
                    outputs = [
                        http.InferRequestedOutput("OUTPUT0", binary_data=binary_out),
                        http.InferRequestedOutput("OUTPUT1", binary_data=not binary_out),
                    ]
                    self.check_simple(self.client.infer("simple", inputs, outputs=outputs))

    def test_only_the_outputs_asked_for(self):
        result = self.client.infer("simple", pair(http), outputs=[http.InferRequestedOutput("OUTPUT1")])
        self.assertEqual([output["name"] for output in result.get_response()["outputs"]], ["OUTPUT1"])

    def test_classification(self):
        result = self.client.infer("simple", pair(http), outputs=[http.InferRequestedOutput("OUTPUT0", class_count=2)])
        self.assertEqual([top.decode().split(":")[1] for top in result.as_numpy("OUTPUT0").flatten()], ["15", "14"])

    def test_every_data_type(self):
        for datatype, values in SAMPLES.items():
            for backend in ["identity", "onnx"]:
                if (backend, datatype) == ("onnx", "BF16"):
                    continue
                array = values if backend == "identity" else values.reshape(1, 3)
                for binary in [True, False]:
                    # FP16 and BF16 have no JSON form; 64-bit integers in JSON are exact in both directions.
                    if not binary and datatype in ("FP16", "BF16"):
                        continue
                    with self.subTest(datatype=datatype, backend=backend, binary=binary):
                        given = tensor(http, "INPUT0", array, datatype, binary_data=binary)
                        output = http.InferRequestedOutput("OUTPUT0", binary_data=binary)
                        result = self.client.infer(f"{backend}_{datatype.lower()}", [given], outputs=[output])
                        got = result.as_numpy("OUTPUT0")
                        if datatype == "BYTES" and not binary:
                            got = np.array([text.encode() for text in got.flatten()], np.object_).reshape(got.shape)
                        np.testing.assert_array_equal(got, array)

    def test_empty_tensor(self):
        empty = np.zeros((0,), np.float32)
        for binary in [True, False]:
            result = self.client.infer("identity_fp32", [tensor(http, "INPUT0", empty, binary_data=binary)])
            self.assertEqual(result.as_numpy("OUTPUT0").shape, (0,))

    def test_a_tensor_of_eight_megabytes(self):
        large = np.random.default_rng(1).random(2_000_000, np.float32)
        result = self.client.infer("identity_fp32", [tensor(http, "INPUT0", large)])
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), large)

    def test_compression_both_ways(self):
        for request in [None, "gzip", "deflate"]:
            for response in [None, "gzip", "deflate"]:
                with self.subTest(request=request, response=response):
                    how = {"request_compression_algorithm": request, "response_compression_algorithm": response}
                    self.check_simple(self.client.infer("simple", pair(http), **how))

    def test_request_id_version_priority_timeout_parameters(self):
        result = self.client.infer(
            "simple",
            pair(http),
            request_id="r-1",
            model_version="1",
            priority=1,
            timeout=5_000_000,
            sequence_id=3,
            sequence_start=True,
            query_params={"a": "b"},
            parameters={"note": "x", "count": 3, "share": 0.5, "flag": True},
        )
        response = result.get_response()
        self.assertEqual((response["id"], response["model_name"], response["model_version"]), ("r-1", "simple", "1"))
        self.check_simple(result)

    def test_async_infer(self):
        pending = [self.client.async_infer("simple", pair(http, COUNTING + i, ONES)) for i in range(32)]
        for i, request in enumerate(pending):
            self.check_simple(request.get_result(), COUNTING + i)

    def test_ensemble_of_two_steps(self):
        inputs = [tensor(http, "A", COUNTING), tensor(http, "B", ONES)]
        result = self.client.infer("ensemble", inputs)
        np.testing.assert_array_equal(result.as_numpy("TWICE_A"), 2 * COUNTING)
        np.testing.assert_array_equal(result.as_numpy("TWICE_B"), 2 * ONES)

    def test_refusals(self):
        for (model, inputs, how), message, status, _ in refusals(http):
            with self.subTest(message=message):
                said, given = refusal(lambda: self.client.infer(model, inputs, **how))
                self.assertRegex(said, message)
                self.assertEqual(given, status)
        self.check_simple(self.client.infer("simple", pair(http)))

    def test_unknown_models_elsewhere(self):
        for call in [self.client.get_model_metadata, self.client.get_model_config, self.client.get_inference_statistics]:
            said, status = refusal(lambda: call("nowhere"))
            self.assertRegex(said, "Request for unknown model: 'nowhere' is not found")
            self.assertEqual(status, "400")

    def test_shared_memory_is_empty_and_refused(self):
        self.assertEqual(self.client.get_system_shared_memory_status(), [])
        self.assertEqual(self.client.get_cuda_shared_memory_status(), [])
        refusal(lambda: self.client.register_system_shared_memory("region", "/region", 64))

    def test_statistics_have_every_key_that_perf_analyzer_reads(self):
        stats = self.client.get_inference_statistics("simple", "1")["model_stats"][0]
        for key in ["name", "version", "last_inference", "inference_count", "execution_count", "batch_stats"]:
            self.assertIn(key, stats)
        for key in ["success", "fail", "queue", "compute_input", "compute_infer", "compute_output"]:
            self.assertEqual(sorted(stats["inference_stats"][key]), ["count", "ns"])

    def test_metrics_have_the_names_of_dashboards(self):
        self.client.infer("simple", pair(http))
        text = urllib.request.urlopen(f"http://{METRICS}/metrics").read().decode()
        for name in ["request_success", "count", "exec_count", "request_duration_us", "queue_duration_us"]:
            self.assertRegex(text, rf'(?m)^nv_inference_{name}(_total)?{{[^}}]*model="simple"[^}}]*}} [1-9]')
        self.assertRegex(text, r'(?m)^nv_inference_pending_request_count{[^}]*model="simple"')

    def test_plain_http_of_health_probes(self):
        for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/simple/ready", "/v2/health/live?x=1"]:
            self.assertEqual(urllib.request.urlopen(f"http://{HTTP}{path}").status, 200)
        self.assertEqual(json.load(urllib.request.urlopen(f"http://{HTTP}/v2"))["name"], "triton")
