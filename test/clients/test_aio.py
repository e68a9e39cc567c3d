"""tritonclient.http.aio and tritonclient.grpc.aio."""

import asyncio
import unittest

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from common import COUNTING, GRPC, HTTP, ONES, pair, refusals
from tritonclient.utils import InferenceServerException

FAMILIES = [("http", http, http_aio, HTTP), ("grpc", grpc, grpc_aio, GRPC)]


class Aio(unittest.IsolatedAsyncioTestCase):
    async def test_health_metadata_statistics(self):
        for family, _, aio, address in FAMILIES:
            with self.subTest(family=family):
                async with aio.InferenceServerClient(address) as client:
                    self.assertTrue(await client.is_server_live())
                    self.assertTrue(await client.is_server_ready())
                    self.assertTrue(await client.is_model_ready("simple"))
                    as_json = {} if family == "http" else {"as_json": True}
                    self.assertEqual((await client.get_server_metadata(**as_json))["name"], "triton")
                    self.assertEqual((await client.get_model_metadata("simple", **as_json))["name"], "simple")
                    config = await client.get_model_config("simple", **as_json)
                    self.assertEqual(config.get("config", config)["max_batch_size"], 8)
                    stats = await client.get_inference_statistics("simple", **as_json)
                    self.assertEqual(stats["model_stats"][0]["name"], "simple")

    async def test_many_requests_at_once(self):
        for family, module, aio, address in FAMILIES:
            with self.subTest(family=family):
                async with aio.InferenceServerClient(address) as client:
                    calls = [client.infer("simple", pair(module, COUNTING + i, ONES)) for i in range(64)]
                    for i, result in enumerate(await asyncio.gather(*calls)):
                        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), COUNTING + i + ONES)

    async def test_compression(self):
        async with http_aio.InferenceServerClient(HTTP) as client:
            for algorithm in ["gzip", "deflate"]:
                how = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
                result = await client.infer("simple", pair(http), **how)
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), COUNTING + ONES)

    async def test_refusals(self):
        for family, module, aio, address in FAMILIES:
            async with aio.InferenceServerClient(address) as client:
                for (model, inputs, how), message, http_status, grpc_status in refusals(module):
                    with self.subTest(family=family, message=message):
                        with self.assertRaises(InferenceServerException) as raised:
                            await client.infer(model, inputs, **how)
                        self.assertRegex(raised.exception.message(), message)
                        self.assertEqual(raised.exception.status(), http_status if family == "http" else grpc_status)

    async def test_stream(self):
        async def requests():
            for i in range(8):
                yield {"model_name": "simple", "inputs": pair(grpc, COUNTING + i, ONES), "request_id": str(i)}
            yield {"model_name": "nowhere", "inputs": pair(grpc)}

        good, bad = set(), []
        async with grpc_aio.InferenceServerClient(GRPC) as client:
            async for result, error in client.stream_infer(requests()):
                if error is not None:
                    bad.append(error.message())
                    continue
                i = int(result.get_response().id)
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), COUNTING + i + ONES)
                good.add(i)
        self.assertEqual((good, len(bad)), (set(range(8)), 1))
