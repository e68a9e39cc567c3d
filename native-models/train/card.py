"""Writes card.md: what the model is, and how good, in figures of the run that made it."""

ROLES = {
    "pctr_dlrm": "P(click | the ad is shown), a DLRM-style two-scope ranker. The bid path's default `pctr`.",
    "pctr_gbm": "P(click | the ad is shown), gradient-boosted trees over lookups and numbers. An alternative `pctr`.",
    "pcvr": "P(conversion | click), a small two-scope ranker. The bid path's `pcvr`, for line items that pay per action.",
    "win_price": "The market price of an imp: mean of the natural log of the highest competing bid, USD CPM.",
}
ADS = "Ads are a random few of the candidates that the server's own catalog finds for each imp."
NOTES = {
    "pctr_dlrm": "Users are not a feature: people differ by an effect that no feature shows, and ids would only be memorised.",
    "pctr_gbm": "Lookup tables hold smoothed click log-odds of the training days; the graph counts category and interest matches.",
    "pcvr": "Trained on clicked rows: those of the impressions, and further ones drawn with the click distribution.",
    "win_price": (
        "The prices are those of won and lost auctions alike, as `${AUCTION_MIN_TO_WIN}` tells them. "
        "The spread is one number, `market_sigma` in config.pbtxt: P(win at b) = Phi((ln b - log_cpm) / market_sigma)."
    ),
}


def write(folder, name, facts):
    market = facts["market"]
    days = {part: f"{of[0]}–{of[-1]}" for part, of in market["days"].items()}
    lines = [
        f"# {name}",
        "",
        ROLES[name],
        NOTES[name],
        "",
        "Written by `native-models/train/run.sh`; do not edit.",
        "",
        "## Data",
        f"The market in a box, seed {market['seed']}, {market['line_items']} line items: trained on days {days['train']} "
        f"({facts['trained_rows']:,} rows), calibrated on days {days['calibration']}, judged below on days {days['test']}. "
        + ("A row is an imp." if "price" in facts else ADS),
        "",
        "## Shape",
        f"{facts['kind']}, {facts['parameters']:,} parameters, {facts['bytes'] / 1024:.0f} KiB; "
        f"{_pairs(facts['sizes'])}. Training: {_pairs(facts['training'])}.",
        "",
        "## Cost",
        "Microseconds per candidate row, ONNX Runtime on one thread, at requests × candidates each: "
        + ", ".join(f"{shape} {us:.2f}" for shape, us in facts["cost_us"].items())
        + ".",
        "",
        "## Quality",
        *(_probability(facts) if "test" in facts else _price(facts)),
    ]
    (folder / "card.md").write_text("\n".join(lines) + "\n")


def summary(facts):
    kept = {"bytes": facts["bytes"], "cost_us": {k: round(v, 2) for k, v in facts["cost_us"].items()}}
    if "price" in facts:
        return {**kept, **{k: v for k, v in facts["price"].items() if k != "deciles"}}
    test = facts["test"]
    worst = max(abs(d["predicted"] / d["true"] - 1) for d in test["deciles"])
    keys = ("auc", "auc_of_truth", "normalised_entropy", "normalised_entropy_of_truth", "predicted_over_true")
    return {**kept, **{k: round(test[k], 4) for k in keys}, "worst_decile": round(worst, 4), "by": facts["calibration"]}


def _probability(facts):
    test = facts["test"]
    losses = ", ".join(f"{k} {v:.6f}" for k, v in facts["calibration_losses"].items())
    return [
        f"{test['rows']:,} held-out rows, base rate {test['base_rate']:.4f}. "
        "The truth is the market's own probability; it includes what no feature shows, so it is a ceiling.",
        "",
        "| | model | truth |",
        "|---|---|---|",
        f"| AUC | {test['auc']:.4f} | {test['auc_of_truth']:.4f} |",
        f"| normalised entropy | {test['normalised_entropy']:.4f} | {test['normalised_entropy_of_truth']:.4f} |",
        "",
        f"Calibrator: {facts['calibration']} (log loss on half of the calibration days: {losses}). "
        f"Σ predicted / Σ true = {test['predicted_over_true']:.4f}; "
        f"Σ predicted / Σ observed = {test['predicted_over_observed']:.4f}.",
        "",
        "| decile by prediction | predicted | true | observed | predicted / true |",
        "|---|---|---|---|---|",
        *[
            f"| {i + 1} | {d['predicted']:.5f} | {d['true']:.5f} | {d['observed']:.5f} | {d['predicted'] / d['true']:.3f} |"
            for i, d in enumerate(test["deciles"])
        ],
    ]


def _price(facts):
    price = facts["price"]
    return [
        f"{price['rows']:,} held-out imps; log of USD CPM. The truth is the market's own mean.",
        "",
        "| | model | truth |",
        "|---|---|---|",
        f"| RMSE of the log price | {price['rmse_log']:.4f} | {price['rmse_log_of_truth']:.4f} |",
        f"| R² | {price['r2']:.4f} | {price['r2_of_truth']:.4f} |",
        "",
        f"Bias of the mean {price['bias_log']:+.4f}; market_sigma {facts['sigma']:.4f}.",
        "",
        "| decile by prediction | predicted | true | observed |",
        "|---|---|---|---|",
        *[
            f"| {i + 1} | {d['predicted']:.3f} | {d['true']:.3f} | {d['observed']:.3f} |"
            for i, d in enumerate(price["deciles"])
        ],
    ]


def _pairs(values):
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
