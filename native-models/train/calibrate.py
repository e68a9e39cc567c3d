"""Calibrators, fitted on unsampled data: the JSON that `src/calibration/` reads, and the same arithmetic."""

import numpy as np
from scipy.optimize import minimize

from measure import log_loss

ISOTONIC_POINTS = 40
"""Pool-adjacent-violators on single rows is a staircase of noise; on this many equal-mass groups it is a curve."""


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def apply(calibration, logits):
    x = np.asarray(logits, dtype=np.float64)
    if "sampling_rate" in calibration:
        x = x + np.log(calibration["sampling_rate"])
    method = calibration["method"]
    if method == "platt":
        return sigmoid(calibration["a"] * x + calibration["b"])
    p = sigmoid(x)
    if method == "isotonic":
        return np.interp(p, calibration["x"], calibration["y"])
    if method == "beta":
        a, b, c = (calibration[k] for k in "abc")
        return sigmoid(c + a * np.log(p) - b * np.log1p(-p))
    return p


def fit_platt(x, y):
    """Platt 1999, with his smoothed targets."""
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    a, b = _logistic(np.stack([x, np.ones_like(x)]), target, [1.0, 0.0])
    return {"method": "platt", "a": a, "b": b}


def fit_beta(x, y):
    """Kull, Silva Filho and Flach 2017."""
    p = np.clip(sigmoid(x), 1e-9, 1 - 1e-9)
    a, b, c = _logistic(np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)]), y, [1.0, 1.0, 0.0])
    return {"method": "beta", "a": a, "b": b, "c": c}


def fit_isotonic(x, y):
    p = sigmoid(x)
    parts = np.array_split(np.argsort(p, kind="stable"), ISOTONIC_POINTS)
    return {"method": "isotonic", "x": [float(p[k].mean()) for k in parts], "y": pool([float(y[k].mean()) for k in parts])}


def pool(values):
    """Pool-adjacent-violators with equal weights: the nearest ascending sequence."""
    blocks = []
    for value in values:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (value_b, n_b), (value_a, n_a) = blocks.pop(), blocks.pop()
            blocks.append([(value_a * n_a + value_b * n_b) / (n_a + n_b), n_a + n_b])
    return [mean for mean, n in blocks for _ in range(n)]


def choose(logits, labels, sampling_rate=None):
    """Fits each on half of the rows, takes the one with the least log loss on the other half, and fits it on all."""
    x = np.asarray(logits, dtype=np.float64) + (np.log(sampling_rate) if sampling_rate else 0.0)
    y = labels.astype(np.float64)
    half = np.arange(len(x)) % 2 == 0
    fits = {"platt": fit_platt, "isotonic": fit_isotonic, "beta": fit_beta}
    losses = {name: log_loss(apply(fit(x[half], y[half]), x[~half]), y[~half]) for name, fit in fits.items()}
    best = min(losses, key=losses.get)
    head = {"version": 1, "input": "logit"}
    if sampling_rate:
        head["sampling_rate"] = sampling_rate
    return {**head, **fits[best](x, y)}, losses


def _logistic(features, target, start):
    def objective(w):
        z = w @ features
        return np.mean(np.logaddexp(0, z) - target * z), features @ (sigmoid(z) - target) / len(target)

    return [float(v) for v in minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x]
