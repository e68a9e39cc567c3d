"""Reads what `npm run world -- dataset` wrote (see `world/dataset.ts` for the layout)."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoder import Sources

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
    sources, prices, means, rows, clicks = [], [], [], [], []
    base = 0
    for day in days:
        columns = _columns(Path(folder) / f"requests-{day}.jsonl", description["request_sources"])
        prices.append(np.array(columns.pop("market.price")))
        means.append(np.array(columns.pop("market.log_mean")))
        sources.append(Sources(columns))
        for kind, into in (("impressions", rows), ("clicks", clicks)):
            part = np.fromfile(Path(folder) / f"{kind}-{day}.bin", dtype=ROW)
            part["request"] += base
            into.append(part)
        base += len(prices[-1])
    joined = (np.concatenate(parts) for parts in (rows, clicks, prices, means))
    return Dataset(Sources.stack(sources), ads, *joined)


def _columns(path, names):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return dict(zip(names, zip(*rows)))
