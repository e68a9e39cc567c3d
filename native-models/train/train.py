"""Trains, calibrates, exports and judges the shipped models. `run.sh` calls this; see README.md.

    python train.py --dataset DIR --out native-models [--only pctr_dlrm,…] [--quick]
"""

import argparse
import json
import time
from pathlib import Path

import card
import gbm
import rankers
from dataset import read_ads, read_days, read_description

SEED = 20260105
CALIBRATION_DAYS = 8
TEST_DAYS = 2
MODELS = {"pctr_dlrm": rankers.pctr_dlrm, "pctr_gbm": gbm.pctr_gbm, "pcvr": rankers.pcvr, "win_price": rankers.win_price}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="var/dataset")
    parser.add_argument("--out", default="native-models")
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps: does it run?")
    options = parser.parse_args()

    description = read_description(options.dataset)
    days = [d["day"] for d in description["days"]]
    test, calibration = days[-TEST_DAYS:], days[-TEST_DAYS - CALIBRATION_DAYS : -TEST_DAYS]
    split = {"train": days[: -TEST_DAYS - CALIBRATION_DAYS], "calibration": calibration, "test": test}
    say(f"days: {split}")
    ads = read_ads(options.dataset, description)
    data = {part: read_days(options.dataset, description, ads, of) for part, of in split.items()}
    for part, d in data.items():
        say(f"{part}: {d.requests.rows} imps, {len(d.rows)} impressions, {int(d.rows['clicked'].sum())} clicks")

    for name in options.only.split(","):
        started = time.monotonic()
        folder = Path(options.out) / name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        facts = MODELS[name](data, folder, SEED, options.quick, say)
        facts["seconds"] = time.monotonic() - started
        facts["market"] = {"seed": description["seed"], "line_items": description["lineItems"], "days": split}
        card.write(folder, name, facts)
        say(f"{name}: {facts['seconds']:.0f} s, {json.dumps(card.summary(facts))}")


_started = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - _started:5.0f} s] {text}", flush=True)


if __name__ == "__main__":
    main()
