"""Repository calls in control mode explicit, over both protocols; queue policies as clients meet them."""

import json
import threading
import time
import unittest

import models
import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from common import COUNTING, GRPC, HTTP, ONES, pair, refusal, tensor

FAMILIES = [("http", http, HTTP), ("grpc", grpc, GRPC)]


def index_of(family, client):
    index = client.get_model_repository_index()
    entries = index if family == "http" else [
        {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason} for entry in index.models
    ]
    return {entry["name"]: entry for entry in entries}


class Repository(unittest.TestCase):
    def each(self):
        for family, module, address in FAMILIES:
            client = module.InferenceServerClient(address)
            self.addCleanup(client.close)
            yield family, module, client

    def test_index(self):
        for family, _, client in self.each():
            entry = index_of(family, client)["simple"]
            self.assertEqual((entry["version"], entry["state"]), ("1", "READY"))

    def test_unload_and_load(self):
        for family, module, client in self.each():
            client.unload_model("changing")
            self.wait_until(lambda: not client.is_model_ready("changing"))
            self.assertEqual(index_of(family, client)["changing"]["state"], "UNAVAILABLE")
            said, _ = refusal(lambda: client.infer("changing", pair(module)))
            self.assertRegex(said, "Request for unknown model: 'changing' (is not found|has no available versions)")
            client.load_model("changing")
            self.assertTrue(client.is_model_ready("changing"))
            self.check(client.infer("changing", pair(module)))

    def test_load_with_another_config(self):
        tensors = lambda names: [{"name": name, "data_type": "TYPE_INT32", "dims": [16]} for name in names]
        smaller = {
            "platform": "onnxruntime_onnx",
            "max_batch_size": 2,
            "input": tensors(["INPUT0", "INPUT1"]),
            "output": tensors(["OUTPUT0", "OUTPUT1"]),
        }
        four = np.repeat(COUNTING, 4, 0), np.repeat(ONES, 4, 0)
        for _, module, client in self.each():
            client.load_model("changing", config=json.dumps(smaller))
            said, _ = refusal(lambda: client.infer("changing", pair(module, *four)))
            self.assertRegex(said, "inference request batch-size must be <= 2 for 'changing'")
            # A load without a config goes back to the repository's.
            client.load_model("changing")
            self.check(client.infer("changing", pair(module, *four)), *four)

    def test_load_with_files(self):
        graph = models.sum_and_difference(sign=-1)
        for _, module, client in self.each():
            config = json.dumps({"platform": "onnxruntime_onnx", "max_batch_size": 8})
            client.load_model("changing", config=config, files={"file:1/model.onnx": graph})
            result = client.infer("changing", pair(module))
            np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), COUNTING + ONES)
            client.load_model("changing")
            self.check(client.infer("changing", pair(module)))

    def test_a_bad_load_is_refused_and_the_old_version_stays(self):
        for _, module, client in self.each():
            said, _ = refusal(lambda: client.load_model("nowhere"))
            self.assertRegex(said, "failed to load 'nowhere'")
            refusal(lambda: client.load_model("changing", config='{"max_batch_size": "many"}'))
            config = json.dumps({"platform": "onnxruntime_onnx", "max_batch_size": 8})
            refusal(lambda: client.load_model("changing", config=config, files={"file:1/model.onnx": b"not a graph"}))
            self.check(client.infer("changing", pair(module)))

    def test_reloads_under_load_lose_no_request(self):
        stop = threading.Event()
        failures, answered = [], [0, 0]

        def ask(worker):
            client = http.InferenceServerClient(HTTP)
            while not stop.is_set():
                try:
                    self.check(client.infer("changing", pair(http)))
                    answered[worker] += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the request was lost
                    failures.append(error)
            client.close()

        threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(2)]
        for thread in threads:
            thread.start()
        client = grpc.InferenceServerClient(GRPC)
        for _ in range(10):
            client.load_model("changing")
        stop.set()
        for thread in threads:
            thread.join()
        client.close()
        self.assertEqual(failures, [])
        self.assertGreater(min(answered), 0)

    def check(self, result, first=COUNTING, second=ONES):
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), first + second)

    def wait_until(self, condition):
        deadline_s = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), deadline_s)
            time.sleep(0.02)


class Queue(unittest.TestCase):
    """Model `slow`: one instance, 300 ms a request, two may wait, a request's own timeout counts."""

    def ask(self, module, address, answers, **how):
        def run():
            client = module.InferenceServerClient(address)
            try:
                client.infer("slow", [tensor(module, "INPUT0", np.ones((1, 1), np.int32))], **how)
                answers.append(("ok", ""))
            except Exception as error:  # noqa: BLE001 - told apart by the test
                answers.append((error.status(), error.message()))
            client.close()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_timeout_in_the_queue(self):
        for (family, module, address), unavailable in zip(FAMILIES, ["503", "StatusCode.UNAVAILABLE"]):
            with self.subTest(family=family):
                running, waiting = [], []
                first = self.ask(module, address, running)
                time.sleep(0.1)
                self.ask(module, address, waiting, timeout=50_000).join()
                first.join()
                self.assertEqual(running, [("ok", "")])
                self.assertEqual(waiting, [(unavailable, waiting[0][1])])
                self.assertRegex(waiting[0][1], "Request timeout expired")

    def test_full_queue(self):
        for (family, module, address), unavailable in zip(FAMILIES, ["503", "StatusCode.UNAVAILABLE"]):
            with self.subTest(family=family):
                answers = []
                threads = []
                for _ in range(4):
                    threads.append(self.ask(module, address, answers))
                    time.sleep(0.05)
                for thread in threads:
                    thread.join()
                self.assertEqual([status for status, _ in answers].count("ok"), 3)
                refused = [message for status, message in answers if status == unavailable]
                self.assertEqual(len(refused), 1)
                self.assertRegex(refused[0], "Exceeds maximum queue size")

    def test_the_urgent_request_goes_first(self):
        order = []
        running = self.ask(grpc, GRPC, [])
        time.sleep(0.1)
        threads = []
        for priority in [2, 1]:
            done = _Order(order, priority)
            threads.append(self.ask(grpc, GRPC, done, priority=priority))
            time.sleep(0.05)
        for thread in [running, *threads]:
            thread.join()
        self.assertEqual(order, [1, 2])


class _Order:
    """Looks like a list of answers; notes whose answer came."""

    def __init__(self, order, priority):
        self.order, self.priority = order, priority

    def append(self, _answer):
        self.order.append(self.priority)
