"""Writes `../feature-vectors.json`: source values in, tensors out. Both encoders are held to it, bit for bit.

    python vectors.py ../feature-vectors.json
"""

import json
import sys
from pathlib import Path

import numpy as np

from encoder import FeatureProgram, Sources

PROGRAM = {
    "version": 1,
    "output": "logit",
    "request_index": "request_index",
    "tensors": [
        {
            "name": "request_ids",
            "scope": "request",
            "type": "int32",
            "columns": [
                {"name": "site", "source": "inventory", "transform": "hash", "buckets": 4096, "offset": 0},
                {"name": "publisher", "source": "publisher", "transform": "hash", "buckets": 2, "offset": 4096},
                {"name": "user", "source": "user", "transform": "hash", "buckets": 16777216, "seed": 4294967295, "offset": 5000},
                {"name": "make", "source": "device.make", "transform": "hash", "buckets": 97, "seed": 7},
                {"name": "region", "source": "geo.region", "transform": "hash", "buckets": 1000},
                {"name": "size", "source": "imp.size", "transform": "hash", "buckets": 257, "seed": 2654435761},
                {"name": "segments", "source": "segment", "transform": "hash", "buckets": 257, "length": 4, "offset": 10000},
                {"name": "categories", "source": "category", "transform": "vocabulary", "values": ["IAB1", "IAB2-3", "ニュース"], "length": 3, "offset": 20000},
                {"name": "country", "source": "geo.country", "transform": "vocabulary", "values": ["USA", "DEU", "USA"]},
                {"name": "device", "source": "device.type", "transform": "vocabulary", "values": [1, -1, 2147483647], "offset": 9},
                {"name": "hour", "source": "time.hour_of_day", "transform": "bucketize", "boundaries": [-1, 0, 6, 12, 23], "offset": 3},
                {"name": "floor bucket", "source": "imp.floor", "transform": "bucketize", "boundaries": [0, 0.1, 0.5, 2.25]},
                {"name": "site x os", "sources": ["inventory", "device.os"], "transform": "cross", "buckets": 8192, "seed": 3, "offset": 77},
                {"name": "width x position", "sources": ["imp.width", "imp.position"], "transform": "cross", "buckets": 65537},
            ],
        },
        {
            "name": "request_dense",
            "scope": "request",
            "type": "float32",
            "columns": [
                {"name": "floor", "source": "imp.floor", "transform": "number", "multiply": 0.3, "add": -0.7},
                {"name": "width", "source": "imp.width", "transform": "number"},
                {"name": "log floor", "source": "imp.floor", "transform": "log"},
                {"name": "log height", "source": "imp.height", "transform": "log", "multiply": 0.1, "add": 1e-3},
                {"name": "language", "source": "language", "transform": "lookup", "table": {"en": 0.1, "de": -1e-7, "日本": 3.5}, "default": 0.25},
                {"name": "type", "source": "auction.type", "transform": "lookup", "table": {"1": -2.5, "2": 1e30, "-3": 0.7}, "default": -0.1},
                {"name": "hashed as a float", "source": "inventory", "transform": "hash", "buckets": 1000003},
                {"name": "position", "source": "imp.position", "transform": "bucketize", "boundaries": [0.5, 3]},
            ],
        },
        {
            "name": "candidate_ids",
            "scope": "candidate",
            "type": "int32",
            "columns": [
                {"name": "advertiser", "source": "ad.advertiser", "transform": "hash", "buckets": 1024, "offset": 100},
                {"name": "creative", "source": "ad.creative", "transform": "hash", "buckets": 65536, "seed": 12345},
                {"name": "category", "source": "ad.category", "transform": "vocabulary", "values": ["IAB1", "IAB7"]},
                {"name": "format", "source": "ad.format", "transform": "vocabulary", "values": [1, 2, 3, 4]},
                {"name": "size", "source": "ad.size", "transform": "hash", "buckets": 129},
                {"name": "segment of site", "sources": ["inventory", "ad.advertiser"], "transform": "cross", "buckets": 4096},
                {"name": "device x category", "sources": ["device.type", "ad.category"], "transform": "cross", "buckets": 513, "seed": 99, "offset": 50},
                {"name": "ad x ad", "sources": ["ad.campaign", "ad.goal"], "transform": "cross", "buckets": 33},
                {"name": "request in a candidate row", "source": "geo.country", "transform": "hash", "buckets": 64},
                {"name": "list in a candidate row", "source": "segment", "transform": "hash", "buckets": 64, "length": 2},
                {"name": "domain", "source": "ad.domain", "transform": "hash", "buckets": 512},
                {"name": "line item", "source": "ad.line_item", "transform": "hash", "buckets": 3},
            ],
        },
        {
            "name": "candidate_dense",
            "scope": "candidate",
            "type": "float32",
            "columns": [
                {"name": "bid", "source": "ad.bid", "transform": "log", "multiply": 2.5},
                {"name": "bid as it is", "source": "ad.bid", "transform": "number"},
                {"name": "duration", "source": "ad.duration", "transform": "number", "multiply": 0.016666666666666666},
                {"name": "width", "source": "ad.width", "transform": "bucketize", "boundaries": [1, 300, 728]},
                {"name": "advertiser", "source": "ad.advertiser", "transform": "lookup", "table": {"adv-1": 1.1, "ädv": -0.3}, "default": 0},
                {"name": "floor in a candidate row", "source": "imp.floor", "transform": "number", "multiply": -1},
            ],
        },
    ],
}  # fmt: skip

REQUEST = {
    "inventory": "news.example", "inventory.kind": 1, "publisher": "pub-1", "category": ["IAB1", "IAB2-3"],
    "device.type": 4, "device.os": "android", "device.make": "Samsung", "device.connection_type": 2,
    "geo.country": "USA", "geo.region": "CA", "language": "en", "user": "u-1", "segment": ["1-intent", "2-reader"],
    "imp.format": 2, "imp.width": 300, "imp.height": 250, "imp.size": 300 << 16 | 250, "imp.position": 1,
    "imp.interstitial": 0, "imp.floor": 0.5, "auction.type": 1, "time.hour_of_day": 6, "time.day_of_week": 0,
}  # fmt: skip
AD = {
    "ad.advertiser": "adv-1", "ad.campaign": "cmp-1", "ad.line_item": "li-1", "ad.creative": "cr-1", "ad.category": "IAB7",
    "ad.domain": "brand.example", "ad.format": 1, "ad.width": 300, "ad.height": 250, "ad.size": 300 << 16 | 250,
    "ad.duration": 0, "ad.goal": 2, "ad.bid": 1.25,
}  # fmt: skip
EMPTY_REQUEST = {k: "" if isinstance(v, str) else [] if isinstance(v, list) else 0 for k, v in REQUEST.items()}
EMPTY_AD = {k: "" if isinstance(v, str) else 0 for k, v in AD.items()}

# What differs from REQUEST and AD; the sentence is for the reader of a failing test.
CASES = [
    ("an ordinary row", {}, {}),
    ("everything missing", EMPTY_REQUEST, EMPTY_AD),
    ("strings of every length modulo four", {"inventory": "a", "publisher": "ab", "user": "abc", "device.make": "abcd"}, {}),
    ("two bytes a character", {"inventory": "größe.example", "language": "de"}, {"ad.advertiser": "ädv"}),
    ("three bytes a character", {"inventory": "ニュース", "language": "日本", "category": ["ニュース"]}, {"ad.creative": "広告"}),
    ("four bytes a character", {"inventory": "🎯", "user": "a🎯b"}, {"ad.creative": "🎯🎯"}),
    ("a lone high surrogate", {"inventory": "a\ud83cb", "user": "\ud83c"}, {"ad.creative": "x\udbff"}),
    ("a lone low surrogate", {"inventory": "\udfaf", "user": "ab\udfaf\ud83c"}, {}),
    ("the replacement character itself", {"inventory": "a\ufffdb", "user": "\ufffd"}, {}),
    ("a nul and a byte order mark", {"inventory": "\u0000", "user": "\ufeffu", "publisher": "a\u0000b"}, {}),
    ("more list values than columns", {"segment": ["a", "b", "c", "d", "e", "f"], "category": ["IAB1"] * 5}, {}),
    ("empty strings in lists", {"segment": ["", "a", ""], "category": ["", "IAB2-3"]}, {}),
    ("the largest integers", {"device.type": 2147483647, "imp.width": 65535, "imp.size": 4294967295, "imp.position": 255}, {"ad.width": 65535, "ad.height": 65535}),
    ("negative integers", {"device.type": -1, "imp.position": -2147483648, "auction.type": -3, "imp.width": -7, "imp.height": -1}, {}),
    ("values on boundaries", {"imp.floor": 0.1, "time.hour_of_day": 12}, {"ad.width": 300}),
    ("values just below boundaries", {"imp.floor": 0.09999999999999999, "time.hour_of_day": -1}, {"ad.width": 299}),
    ("values beyond boundaries", {"imp.floor": 1e6, "time.hour_of_day": 23}, {"ad.width": 970}),
    ("negative numbers", {"imp.floor": -0.5}, {"ad.bid": -3}),
    ("tiny and huge numbers", {"imp.floor": 1e-9}, {"ad.bid": 1e12}),
    ("numbers that float32 rounds", {"imp.floor": 0.1, "imp.width": 16777217}, {"ad.bid": 0.123456789}),
    ("values in no vocabulary", {"geo.country": "ZZZ", "device.type": 99, "category": ["IAB9"]}, {"ad.category": "IAB99", "ad.format": 9}),
    ("the last of equal vocabulary values counts", {"geo.country": "USA"}, {}),
    ("looked-up integers", {"auction.type": 2}, {}),
    ("one side of a cross is missing", {"device.os": ""}, {"ad.advertiser": "", "ad.category": ""}),
    ("upper and lower case differ", {"inventory": "News.Example", "device.os": "Android"}, {"ad.advertiser": "ADV-1"}),
]  # fmt: skip


def encode_case(request, ad):
    program = FeatureProgram(PROGRAM)
    both = {name: [value] for name, value in {**request, **ad}.items()}
    sources = Sources(both)
    return {**program.encode("request", sources), **program.encode("candidate", sources)}


def cases():
    for sentence, request_changes, ad_changes in CASES:
        request, ad = {**REQUEST, **request_changes}, {**AD, **ad_changes}
        # The server's columns have no size of their own; a packed size is an int32.
        packed = (ad["ad.width"] & 0xFFFF) << 16 | (ad["ad.height"] & 0xFFFF)
        ad["ad.size"] = packed - (1 << 32) if packed >= 1 << 31 else packed
        yield sentence, request, ad, {name: t[0] for name, t in encode_case(request, ad).items()}


def main(path):
    lines = [
        json.dumps(
            {
                "name": sentence,
                "request": request,
                "ad": ad,
                "expected": {n: [int(v) if t.dtype == np.int32 else float(v) for v in t] for n, t in expected.items()},
            }
        )
        for sentence, request, ad, expected in cases()
    ]
    joined = ",\n".join(lines)
    Path(path).write_text(f'{{"program": {json.dumps(PROGRAM)},\n"cases": [\n{joined}\n]}}\n')


if __name__ == "__main__":
    main(sys.argv[1])
