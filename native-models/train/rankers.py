"""The three networks: pctr_dlrm, pcvr, win_price."""

import numpy as np

import calibrate
import export
import graph
import measure
import nets
import programs
from encoder import FeatureProgram, join

NEGATIVE_RATE = 0.25
"""Share of the non-clicks that pctr_dlrm trains on; the calibration file undoes it (He et al. 2014)."""
ENCODE_ROWS = 1 << 19
SCORE_BATCH = 8192


class Encoded:
    """Tensors of one two-scope program over one part of the data: request rows once, candidate rows as asked."""

    def __init__(self, program, data):
        self.program, self.data = FeatureProgram(program), data
        self.request = list(self.program.encode("request", data.requests).values())
        self.names = self.program.sources("candidate")

    def candidate(self, rows):
        """Candidate tensors of those impression rows."""
        parts = []
        for at in range(0, len(rows), ENCODE_ROWS):
            some = rows[at : at + ENCODE_ROWS]
            both = join(self.data.requests, some["request"], self.data.ads, some["ad"], self.names)
            parts.append(list(self.program.encode("candidate", both).values()))
        return [np.concatenate(column) for column in zip(*parts)]


def two_scope_model(name, program, table_rows, dim, sizes, data, rows_of, label, training, folder, seed, quick, say):
    """Trains, calibrates, exports and judges one two-scope network.

    :param rows_of: part of the data → its labelled rows
    :param training: {"rate", "decay", "batch", "epochs", "negative_rate"}
    """
    rng = np.random.default_rng(seed)
    parts = {part: Encoded(program, d) for part, d in data.items()}
    train_rows = rows_of(data["train"])
    keep = (train_rows[label] > 0) | (rng.random(len(train_rows)) < training["negative_rate"])
    train_rows = train_rows[keep]
    say(f"{name}: encoding {len(train_rows)} training rows")
    request, candidate = parts["train"].request, parts["train"].candidate(train_rows)
    widths = [request[0].shape[1], request[1].shape[1], candidate[0].shape[1], candidate[1].shape[1]]
    params = nets.two_scope_init(seed, table_rows, dim, *widths, sizes)
    steps = max(1, int(training["epochs"] * len(train_rows) / training["batch"] / (10 if quick else 1)))
    say(f"{name}: {steps} steps of {training['batch']}")

    def batches():
        while True:
            order = rng.permutation(len(train_rows))
            for at in range(0, len(order) - training["batch"] + 1, training["batch"]):
                some = order[at : at + training["batch"]]
                of = train_rows["request"][some]
                inputs = (request[0][of], request[1][of], candidate[0][some], candidate[1][some])
                yield inputs, train_rows[label][some].astype(np.float32)

    params = nets.fit(
        nets.two_scope_logits, nets.log_loss, params, batches(), steps, training["rate"], training["decay"],
        lambda step, loss: say(f"{name}: step {step}: {loss:.5f}") if step % 500 == 0 else None,
    )  # fmt: skip

    graph.two_scope(name, params, widths, f"Two-scope ranker {name}, trained on world/.", folder / "1" / "model.onnx")
    model = export.session(folder / "1" / "model.onnx")
    logits, truth, labels = {}, {}, {}
    for part in ("calibration", "test"):
        rows = rows_of(data[part])
        logits[part] = scores(model, parts[part], rows)
        truth[part] = rows["click_p" if label == "clicked" else "conversion_p"].astype(np.float64)
        labels[part] = rows[label].astype(np.float64)
    rate = training["negative_rate"]
    calibration, losses = calibrate.choose(logits["calibration"], labels["calibration"], rate if rate < 1 else None)
    export.write_program(folder, name, program, widths, calibration)
    feed = two_scope_feed(request, candidate, train_rows)
    export.write_scores(folder, model, feed(5, export.SCORE_ROWS), "logit")
    probability = calibrate.apply(calibration, logits["test"])
    return {
        "kind": "two-scope network",
        "parameters": int(sum(v.size for v in params.values())),
        "bytes": (folder / "1" / "model.onnx").stat().st_size,
        "trained_rows": len(train_rows),
        "training": training,
        "sizes": {"dim": dim, **sizes},
        "calibration": calibration["method"],
        "calibration_losses": losses,
        "test": measure.report(probability, truth["test"], labels["test"]),
        "cost_us": export.cost_us(model, feed),
    }


def scores(model, encoded, rows):
    """Raw scores of impression rows by the exported graph: what is calibrated and judged is what is shipped."""
    result = []
    for at in range(0, len(rows), SCORE_BATCH):
        some = rows[at : at + SCORE_BATCH]
        requests, index = np.unique(some["request"], return_inverse=True)
        tensors = [*(t[requests] for t in encoded.request), *encoded.candidate(some), index.astype(np.int32)]
        result.append(model.run(None, dict(zip((i.name for i in model.get_inputs()), tensors)))[0])
    return np.concatenate(result).astype(np.float64)


def two_scope_feed(request, candidate, rows):
    """Inputs as the server batches them: `requests` request rows, and candidates spread evenly over them."""

    def feed(requests, candidates):
        of = np.unique(rows["request"])[:requests]
        return {
            "request_ids": request[0][of],
            "request_dense": request[1][of],
            "candidate_ids": candidate[0][:candidates],
            "candidate_dense": candidate[1][:candidates],
            "request_index": (np.arange(candidates) * requests // candidates).astype(np.int32),
        }

    return feed


def pctr_dlrm(data, folder, seed, quick, say):
    program, table_rows = programs.pctr_dlrm()
    sizes = {"bottom": 64, "queries": 8, "top": 64, "last": 32}
    training = {"rate": 1.2e-2, "decay": 1e-4, "batch": 2048, "epochs": 2, "negative_rate": NEGATIVE_RATE}
    return two_scope_model(
        "pctr_dlrm", program, table_rows, 16, sizes, data, lambda d: d.rows, "clicked", training, folder, seed, quick, say
    )  # fmt: skip


def pcvr(data, folder, seed, quick, say):
    program, table_rows = programs.pcvr()
    sizes = {"bottom": 64, "queries": 4, "top": 64, "last": 32}
    training = {"rate": 8e-3, "decay": 1e-4, "batch": 2048, "epochs": 2, "negative_rate": 1.0}

    def clicked(d):
        return np.concatenate([d.rows[d.rows["clicked"] > 0], d.clicks])

    return two_scope_model(
        "pcvr", program, table_rows, 8, sizes, data, clicked, "converted", training, folder, seed, quick, say
    )  # fmt: skip


def win_price(data, folder, seed, quick, say):
    """The log of the highest competing bid: its mean by request, one spread for all."""
    name = "win_price"
    program, table_rows = programs.win_price()
    encoder = FeatureProgram(program)
    tensors = {part: list(encoder.encode("candidate", d.requests).values()) for part, d in data.items()}
    ids, dense = tensors["train"]
    target = np.log(data["train"].market_price)
    shift = float(target.mean())
    rng = np.random.default_rng(seed)
    batch = 2048
    steps = max(1, 3 * len(ids) // batch // (10 if quick else 1))
    params = nets.plain_init(seed, table_rows, 8, ids.shape[1], dense.shape[1], {"top": 64, "last": 32})
    params["out_b"] = np.array([shift], dtype=np.float32)

    def batches():
        while True:
            order = rng.permutation(len(ids))
            for at in range(0, len(order) - batch + 1, batch):
                some = order[at : at + batch]
                yield (ids[some], dense[some]), target[some].astype(np.float32)

    params = nets.fit(nets.plain_outputs, nets.squared_error, params, batches(), steps, 2e-3, 1e-5)
    widths = [ids.shape[1], dense.shape[1]]
    graph.plain(name, params, widths, "log_cpm", "Market price, trained on world/.", folder / "1" / "model.onnx")
    model = export.session(folder / "1" / "model.onnx")
    mean = {}
    for part in ("calibration", "test"):
        i, d = tensors[part]
        mean[part] = model.run(None, {"ids": i, "dense": d})[0].astype(np.float64)
    sigma = float(np.std(np.log(data["calibration"].market_price) - mean["calibration"]))
    note = (
        "The output is the mean of the natural log of the highest competing bid, USD CPM.\n"
        "P(win at bid b) = Phi((ln b - log_cpm) / market_sigma). It is no probability, so it has no calibration.json."
    )
    export.write_program(folder, name, program, widths, None, {"market_sigma": f"{sigma:.6f}"}, note)
    feed = lambda requests, rows: {"ids": ids[:rows], "dense": dense[:rows]}  # noqa: E731
    export.write_scores(folder, model, feed(1, export.SCORE_ROWS), "log_cpm")
    price = np.log(data["test"].market_price)
    truth = data["test"].market_log_mean
    error = mean["test"] - truth
    return {
        "kind": "single-scope network",
        "parameters": int(sum(v.size for v in params.values())),
        "bytes": (folder / "1" / "model.onnx").stat().st_size,
        "trained_rows": len(ids),
        "training": {"rate": 2e-3, "decay": 1e-5, "batch": batch, "epochs": 3},
        "sizes": {"dim": 8, "top": 64, "last": 32},
        "sigma": sigma,
        "price": {
            "rows": len(price),
            "rmse_log": float(np.sqrt(np.mean((mean["test"] - price) ** 2))),
            "rmse_log_of_truth": float(np.sqrt(np.mean((truth - price) ** 2))),
            "r2": float(1 - np.mean((mean["test"] - price) ** 2) / np.var(price)),
            "r2_of_truth": float(1 - np.mean((truth - price) ** 2) / np.var(price)),
            "bias_log": float(error.mean()),
            "deciles": measure.deciles(mean["test"], truth, price),
        },
        "cost_us": export.cost_us(model, feed),
    }
