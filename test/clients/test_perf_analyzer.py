"""perf_analyzer, unmodified: a concurrency sweep over HTTP and over gRPC on the demo ranker.

The rows are valid ones of the model's score vectors: random ids are outside its tables. VICKREY_PERF_WINDOW_MS makes
the measurement longer than a test needs; the table is left in var/clients-tools/perf-analyzer.md.
"""

import csv
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import GRPC, HTTP, REPOSITORY

ROOT = Path(__file__).parent.parent.parent
TOOLS = ROOT / "var/clients-tools"
MODEL = "pctr_dlrm"
CONCURRENCY_MAX = 4
# Candidates of one request, as in an auction.
CANDIDATES = 32
WINDOW_MS = int(os.environ.get("VICKREY_PERF_WINDOW_MS", "1000"))
COLUMNS = {"Concurrency": "concurrency", "Inferences/Second": "requests/s", "p50 latency": "p50 µs", "p99 latency": "p99 µs"}


class PerfAnalyzer(unittest.TestCase):
    def test_sweep(self):
        table = ["| protocol | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---|" * len(COLUMNS)]
        for protocol, address in [("http", HTTP), ("grpc", GRPC)]:
            with self.subTest(protocol=protocol), tempfile.TemporaryDirectory() as scratch:
                rows = sweep(protocol, address, Path(scratch))
                self.assertEqual(sorted(int(row["Concurrency"]) for row in rows), list(range(1, CONCURRENCY_MAX + 1)))
                for row in sorted(rows, key=lambda row: int(row["Concurrency"])):
                    self.assertGreater(float(row["Inferences/Second"]), 0)
                    table.append(f"| {protocol} | " + " | ".join(row[column].split(".")[0] for column in COLUMNS) + " |")
        (TOOLS / "perf-analyzer.md").write_text("\n".join(table) + "\n")


def sweep(protocol, address, scratch):
    data = scratch / "input.json"
    data.write_text(json.dumps({"data": [request_row(i) for i in range(5)]}))
    report = scratch / "report.csv"
    done = subprocess.run(
        [TOOLS / "perf_analyzer", "-m", MODEL, "-i", protocol, "-u", address, "--input-data", data, "-f", report]
        + ["--concurrency-range", f"1:{CONCURRENCY_MAX}", "--measurement-interval", str(WINDOW_MS)]
        # Three windows that agree within 90 %: what is tested is that it runs, on a machine that others use too.
        + ["--stability-percentage", "90", "--max-trials", "5"],
        env={**os.environ, "LD_LIBRARY_PATH": str(TOOLS / "lib")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode != 0:
        raise AssertionError(f"perf_analyzer ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    with report.open() as file:
        return list(csv.DictReader(file))


def request_row(index):
    """One auction: a request row and its candidates, as --input-data wants them."""
    given = json.loads((Path(REPOSITORY) / MODEL / "1/score-vectors.json").read_text())["inputs"]
    entry = {"request_index": {"content": [0] * CANDIDATES, "shape": [CANDIDATES]}}
    for name, tensor in given.items():
        if name == "request_index":
            continue
        rows, width = tensor["shape"]
        count = 1 if name.startswith("request_") else CANDIDATES
        content = []
        for i in range(count):
            row = (index + i) % rows
            content += tensor["values"][row * width : (row + 1) * width]
        entry[name] = {"content": content, "shape": [count, width]}
    return entry
