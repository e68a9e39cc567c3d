"""Reads what `npm run world -- dataset` wrote (see `world/dataset.ts` for the layout)."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoder import LIST_SOURCES, STRING_SOURCES, Sources

ROW = np.dtype(
    [("request", "<i4"), ("ad", "<i4"), ("click_p", "<f4"), ("conversion_p", "<f4"), ("clicked", "<i4"), ("converted", "<i4")]
)


@dataclass
class Dataset:
    """Impressions of some days. `rows["request"]` indexes `requests`, `rows["ad"]` indexes `ads`."""

    requests: Sources
    ads: Sources
    rows: np.ndarray
    clicks: np.ndarray
    """Further clicked rows, distributed as clicks are; for conversions only."""
    market_price: np.ndarray
    market_log_mean: np.ndarray


def read_description(folder):
    return json.loads((Path(folder) / "dataset.json").read_text())


def read_ads(folder, description):
    return Sources(_columns(Path(folder) / "ads.jsonl", description["ad_sources"]))


def read_days(folder, description, ads, days):
    columns = {name: [] for name in description["request_sources"]}
    rows, clicks = [], []
    base = 0
    for day in days:
        one = _columns(Path(folder) / f"requests-{day}.jsonl", description["request_sources"])
        for name, values in one.items():
            columns[name].append(values)
        for kind, into in (("impressions", rows), ("clicks", clicks)):
            part = np.fromfile(Path(folder) / f"{kind}-{day}.bin", dtype=ROW)
            part["request"] += base
            into.append(part)
        base += len(one["market.price"])
    merged = {name: _concatenated(parts) for name, parts in columns.items()}
    price, mean = merged.pop("market.price"), merged.pop("market.log_mean")
    return Dataset(Sources(merged), ads, np.concatenate(rows), np.concatenate(clicks), price, mean)


def _columns(path, names):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {name: _column(name, values) for name, values in zip(names, zip(*rows))}


def _column(name, values):
    if name in STRING_SOURCES or name in LIST_SOURCES:
        return list(values)
    return np.array(values, dtype=np.float64 if name in NUMBERS else np.int64)


NUMBERS = frozenset({"imp.floor", "ad.bid", "market.price", "market.log_mean"})


def _concatenated(parts):
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [value for part in parts for value in part]
