"""pctr_gbm: LightGBM over numbers and lookup tables, as an ONNX TreeEnsemble with two-scope inputs."""

import lightgbm
import numpy as np

import calibrate
import export
import graph
import measure
from encoder import FeatureProgram, known_texts
from programs import CATEGORY_VALUES, SEGMENT_VALUES, log, number, tensor

SMOOTHING_CLICKS = 12.0
"""A thing's click rate is that of its own impressions and of as many average ones as hold this many clicks."""
LOOKUPS = {"request": ["inventory", "publisher", "geo.country", "device.os"], "candidate": ["ad.advertiser", "ad.creative"]}
LOOKUP_CLICKS_MIN = 4
CATEGORIES_READ = 3
SEGMENTS_READ = 6
TREES = 160
LEAVES = 31
NEGATIVE_RATE = 0.5


def pctr_gbm(data, folder, seed, quick, say):
    name = "pctr_gbm"
    rng = np.random.default_rng(seed + 1)
    train = data["train"]
    program = make_program(train)
    encoder = FeatureProgram(program)
    rows = train.rows[(train.rows["clicked"] > 0) | (rng.random(len(train.rows)) < NEGATIVE_RATE)]
    request = encoder.encode("request", train.requests)["request_dense"]
    ad = encoder.encode("candidate", train.ads)["candidate_dense"]
    x = graph.match_columns(request[rows["request"]], ad[rows["ad"]], CATEGORIES_READ, SEGMENTS_READ)
    say(f"{name}: {len(rows)} training rows, {x.shape[1]} columns")
    parameters = {
        "objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.08, "min_data_in_leaf": 400, "lambda_l2": 20.0,
        "feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1, "num_threads": 2, "seed": seed,
        "deterministic": True, "verbose": -1,
    }  # fmt: skip
    trees = TREES // 10 if quick else TREES
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, rows["clicked"]), num_boost_round=trees)

    widths = [request.shape[1], ad.shape[1]]
    path = folder / "1" / "model.onnx"
    graph.boosted_trees(name, booster, widths, CATEGORIES_READ, SEGMENTS_READ, "Boosted trees, trained on world/.", path)
    logits = {}
    for part in ("calibration", "test"):
        d = data[part]
        r = encoder.encode("request", d.requests)["request_dense"]
        logits[part] = np.concatenate(
            [
                booster.predict(
                    graph.match_columns(r[some["request"]], ad[some["ad"]], CATEGORIES_READ, SEGMENTS_READ), raw_score=True
                )
                for some in np.array_split(d.rows, 8)
            ]
        )
    labels = {part: data[part].rows["clicked"].astype(np.float64) for part in logits}
    calibration, losses = calibrate.choose(logits["calibration"], labels["calibration"], NEGATIVE_RATE)
    export.write_program(folder, name, program, widths, calibration)
    model = export.session(path)

    def feed(requests, candidates):
        of = np.unique(rows["request"])[:requests]
        return {
            "request_dense": request[of],
            "candidate_dense": ad[rows["ad"][:candidates]],
            "request_index": (np.arange(candidates) * requests // candidates).astype(np.int32),
        }

    check_export(model, booster, feed(16, 1024))
    export.write_scores(folder, model, feed(5, export.SCORE_ROWS), "logit")
    truth = data["test"].rows["click_p"].astype(np.float64)
    probability = calibrate.apply(calibration, logits["test"])
    return {
        "kind": "boosted trees",
        "parameters": sum(t["num_leaves"] * 2 - 1 for t in booster.dump_model()["tree_info"]),
        "bytes": path.stat().st_size,
        "trained_rows": len(rows),
        "training": {"rate": parameters["learning_rate"], "negative_rate": NEGATIVE_RATE},
        "sizes": {"trees": trees, "leaves": LEAVES},
        "calibration": calibration["method"],
        "calibration_losses": losses,
        "test": measure.report(probability, truth, labels["test"]),
        "cost_us": export.cost_us(model, feed),
    }


def check_export(model, booster, inputs):
    """The exported trees must say what LightGBM says."""
    x = graph.match_columns(
        inputs["request_dense"][inputs["request_index"]], inputs["candidate_dense"], CATEGORIES_READ, SEGMENTS_READ
    )
    difference = np.abs(model.run(None, inputs)[0] - booster.predict(x, raw_score=True)).max()
    if difference > 1e-4:
        raise AssertionError(f"The exported trees differ from LightGBM's by {difference}")


def make_program(train):
    """Lookup tables of smoothed click log-odds from the training days, and numbers. Matches come last: see graph.py."""
    request = [lookup(train, name) for name in LOOKUPS["request"]]
    request += [
        number("device.type"),
        number("inventory.kind"),
        number("imp.position"),
        number("imp.interstitial"),
        number("time.hour_of_day"),
        log("imp.floor"),
        number("imp.width"),
        number("imp.height"),
        vocabulary("category", CATEGORY_VALUES, CATEGORIES_READ),
        vocabulary("segment", SEGMENT_VALUES, SEGMENTS_READ),
    ]
    candidate = [lookup(train, name) for name in LOOKUPS["candidate"]]
    candidate += [
        number("ad.format"),
        number("ad.width"),
        number("ad.height"),
        number("ad.duration"),
        vocabulary("ad.category", CATEGORY_VALUES),
    ]
    return {
        "version": 1,
        "output": "logit",
        "request_index": "request_index",
        "tensors": [
            tensor("request_dense", "request", "float32", request),
            tensor("candidate_dense", "candidate", "float32", candidate),
        ],
    }


def vocabulary(source, values, length=None):
    column = {"name": source, "source": source, "transform": "vocabulary", "values": values}
    return column if length is None else {**column, "length": length}


def lookup(train, name):
    rows = train.rows
    sources, of = (train.ads, rows["ad"]) if name.startswith("ad.") else (train.requests, rows["request"])
    codes, number_of = np.unique(sources.codes(name), return_inverse=True)
    clicks = np.bincount(number_of[of], weights=rows["clicked"], minlength=len(codes))
    shown = np.bincount(number_of[of], minlength=len(codes))
    base = rows["clicked"].mean()
    rate = (clicks + SMOOTHING_CLICKS) / (shown + SMOOTHING_CLICKS / base)
    odds = np.log(rate / (1 - rate))
    texts = known_texts()
    known = np.flatnonzero((clicks >= LOOKUP_CLICKS_MIN) & (codes != 0))
    table = {texts[codes[k]]: round(float(odds[k]), 4) for k in known}
    default = round(float(np.log(base / (1 - base))), 4)
    return {"name": f"click odds of {name}", "source": name, "transform": "lookup", "table": table, "default": default}
