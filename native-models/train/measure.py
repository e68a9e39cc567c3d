"""Figures of merit. A probability is judged against observed labels and, as this is a simulated market, the truth."""

import numpy as np


def auc(scores, labels):
    """Area under the ROC curve; ties count half."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    group = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    last = np.r_[first[1:], len(ordered)]
    ranks = ((first + 1 + last) / 2.0)[group]
    positives = labels[order] > 0
    n, m = positives.sum(), (~positives).sum()
    return float((ranks[positives].sum() - n * (n + 1) / 2) / (n * m))


def log_loss(p, labels):
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p)))


def normalised_entropy(p, labels):
    """Log loss over that of always saying the base rate (He et al. 2014); below 1 is better than nothing."""
    base = labels.mean()
    return log_loss(p, labels) / log_loss(np.full(len(labels), base), labels)


def deciles(p, truth, labels):
    """Ten groups of equal size by prediction: mean predicted, mean true, mean observed."""
    order = np.argsort(p, kind="stable")
    return [
        {"predicted": float(p[part].mean()), "true": float(truth[part].mean()), "observed": float(labels[part].mean())}
        for part in np.array_split(order, 10)
    ]


def report(p, truth, labels):
    return {
        "rows": len(p),
        "base_rate": float(labels.mean()),
        "auc": auc(p, labels),
        "auc_of_truth": auc(truth, labels),
        "normalised_entropy": normalised_entropy(p, labels),
        "normalised_entropy_of_truth": normalised_entropy(truth, labels),
        "predicted_over_true": float(p.sum() / truth.sum()),
        "predicted_over_observed": float(p.sum() / labels.sum()),
        "deciles": deciles(p, truth, labels),
    }
