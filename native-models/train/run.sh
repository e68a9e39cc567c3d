#!/usr/bin/env bash
# Makes everything under native-models/ anew: data set, models, calibration, cards, vectors. About six minutes on two
# cores. Needs Node 20 (npm ci done), Python 3.11 and a package index. Extra arguments go to train.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

VENV=var/train-venv
DATASET=var/dataset
DAYS=44
REQUESTS_A_DAY=50000
export PYTHONDONTWRITEBYTECODE=1

echo "== Python environment: $VENV"
[ -x "$VENV/bin/python" ] || python3.11 -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r native-models/train/requirements.txt

echo "== Data set: $DATASET, $DAYS days of $REQUESTS_A_DAY requests"
npm run --silent world -- dataset --out "$DATASET" --days "$DAYS" --requests "$REQUESTS_A_DAY"

echo "== Feature vectors and checks of the training code"
"$VENV/bin/python" native-models/train/vectors.py native-models/feature-vectors.json
(cd native-models/train && "../../$VENV/bin/python" -m unittest --quiet)

echo "== Training"
"$VENV/bin/python" native-models/train/train.py --dataset "$DATASET" --out native-models "$@"
