#!/usr/bin/env bash
# Tests the training code, the feature encoder against native-models/feature-vectors.json above all. Makes an environment
# of its own with the few packages that the tests need, at the versions of the training.
set -euo pipefail
cd "$(dirname "$0")/../.."

VENV=var/train-test-venv
export PYTHONDONTWRITEBYTECODE=1
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c native-models/train/requirements.txt numpy scipy onnx
cd native-models/train
"../../$VENV/bin/python" -m unittest
