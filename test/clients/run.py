"""Starts the built server on a repository made for the purpose, runs the tests against it, stops it, counts.

The tests find the server in the environment: VICKREY_HTTP, VICKREY_GRPC and VICKREY_METRICS are host:port.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import models

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
START_S_MAX = 60
STOP_S_MAX = 20


def main():
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("test_*.py"))
    with tempfile.TemporaryDirectory(prefix="vickrey-clients-") as scratch:
        repository = Path(scratch) / "models"
        models.write_repository(repository, ROOT / "native-models")
        os.environ["VICKREY_REPOSITORY"] = str(repository)
        server = start_server(Path(scratch), repository)
        try:
            sys.path.insert(0, str(HERE))
            suite = unittest.defaultTestLoader.loadTestsFromNames(names)
            result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
            alive = server.poll() is None
        finally:
            stopped = stop(server)
    # A test with several bad subtests is one bad test.
    bad = len({getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors})
    passed = result.testsRun - bad
    if not alive or stopped != 0:
        print(f"the server ended with code {stopped}", file=sys.stderr)
        bad += 1
    print(f"clients: {passed} passed, {bad} failed")
    sys.exit(1 if bad else 0)


def start_server(scratch, repository):
    http_port, grpc_port, metrics_port = free_ports(3)
    loopback = {"host": "127.0.0.1", "port": 0}
    config = {
        "http": loopback,
        "grpc": loopback,
        "operations": loopback,
        "catalog": {"directory": str(ROOT / "var/demo/catalog")},
        "models": {"repository": str(repository)},
        "serving": {
            "enabled": True,
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "server_name": "triton",
            "control_mode": "explicit",
            "load_models": ["*"],
        },
        "log_level": "warn",
    }
    # JSON is YAML.
    file = scratch / "server.yaml"
    file.write_text(json.dumps(config))
    server = subprocess.Popen(["node", str(ROOT / "dist/src/main.js"), "--config", str(file)], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline_s = time.monotonic() + START_S_MAX
    while not is_ready(http_port):
        if server.poll() is not None:
            sys.exit("the server did not start")
        if time.monotonic() > deadline_s:
            stop(server)
            sys.exit(f"the server was not ready after {START_S_MAX} s")
        time.sleep(0.1)
    os.environ["VICKREY_HTTP"] = f"127.0.0.1:{http_port}"
    os.environ["VICKREY_GRPC"] = f"127.0.0.1:{grpc_port}"
    os.environ["VICKREY_METRICS"] = f"127.0.0.1:{metrics_port}"
    return server


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def stop(server):
    server.send_signal(signal.SIGTERM)
    try:
        return server.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


if __name__ == "__main__":
    main()
