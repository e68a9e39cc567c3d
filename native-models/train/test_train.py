"""`python -m unittest` in this folder: the encoder against the shared vectors, and the arithmetic against theory."""

import json
import unittest
from pathlib import Path

import numpy as np

import calibrate
import graph
import measure
from encoder import combine32, hash_integer, hash_string, mix32
from vectors import encode_case

VECTORS = Path(__file__).parent.parent / "feature-vectors.json"


class Encoder(unittest.TestCase):
    def test_shared_vectors(self):
        stored = json.loads(VECTORS.read_text())
        for case in stored["cases"]:
            tensors = encode_case(case["request"], case["ad"])
            for name, expected in case["expected"].items():
                with self.subTest(case["name"], tensor=name):
                    self.assertEqual(tensors[name][0].tolist(), expected)

    def test_murmur_known_answers(self):
        # MurmurHash3 x86-32, seed 0, as published with the reference implementation's verification.
        self.assertEqual(hash_string("test"), 0xBA6BD213)
        self.assertEqual(hash_string("Hello, world!"), 0xC0363E43)
        self.assertEqual(hash_string("The quick brown fox jumps over the lazy dog"), 0x2E4FF723)
        self.assertEqual(hash_string(""), 0)

    def test_missing_is_zero_and_nothing_else_is(self):
        self.assertEqual(int(combine32(0, 5)), 0)
        self.assertEqual(int(combine32(5, 0)), 0)
        codes = hash_integer(np.arange(-1000, 1000))
        self.assertTrue((codes != 0).all())
        self.assertEqual(int(mix32(0)), 0)


class Arithmetic(unittest.TestCase):
    def test_isotonic(self):
        pooled = calibrate.pool([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
        np.testing.assert_allclose(pooled, [0, 0.5, 0.5, 2 / 3, 2 / 3, 2 / 3, 1])

    def test_down_sampling_and_beta(self):
        logit = [np.log(0.2 / 0.8)]
        sampled = calibrate.apply({"method": "identity", "sampling_rate": 0.1}, logit)
        np.testing.assert_allclose(sampled, 0.0243902439, rtol=1e-8)
        beta = calibrate.apply({"method": "beta", "a": 2, "b": 2, "c": 0}, logit)
        np.testing.assert_allclose(beta, 0.0588235, rtol=1e-5)

    def test_auc_counts_ties_half(self):
        self.assertAlmostEqual(measure.auc(np.array([1.0, 2, 2, 3]), np.array([0, 0, 1, 1])), 0.875)

    def test_thresholds_keep_their_decisions(self):
        for threshold in (0.1, 0.5, 1 / 3, -0.1, 16777217.0):
            down = graph.round_down(threshold)
            self.assertLessEqual(float(down), threshold)
            self.assertGreater(float(np.nextafter(down, np.float32(np.inf))), threshold)


if __name__ == "__main__":
    unittest.main()
