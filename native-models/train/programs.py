"""The feature programs of the shipped models: what becomes `features.json`."""

CATEGORIES = [f"IAB{i + 1}" for i in range(24)]
CATEGORY_VALUES = CATEGORIES + [f"{tier}-{k + 1}" for tier in CATEGORIES for k in range(4)]
SEGMENT_KINDS = ["intent", "reader", "owner", "lapsed"]
SEGMENT_VALUES = [f"{i + 1}-{kind}" for i in range(24) for kind in SEGMENT_KINDS]
COUNTRIES = ["USA", "GBR", "DEU", "FRA", "CAN", "JPN", "AUS", "BRA", "IND", "ESP", "ITA", "NLD", "MEX"]
OPERATING_SYSTEMS = ["android", "ios", "windows", "macos", "tizen", "linux"]
DEVICE_TYPES = [1, 2, 3, 4, 5, 6, 7, 8]
POSITIONS = [1, 2, 3, 4, 5, 6, 7]


class Table:
    """Lays columns out one after the other in one shared embedding table."""

    def __init__(self):
        self.rows = 0

    def hash(self, source, buckets, length=None, name=None):
        return self._place(buckets, name or source, source=source, transform="hash", buckets=buckets, length=length)

    def vocabulary(self, source, values, length=None):
        return self._place(1 + len(values), source, source=source, transform="vocabulary", values=values, length=length)

    def bucketize(self, source, boundaries):
        return self._place(1 + len(boundaries), source, source=source, transform="bucketize", boundaries=boundaries)

    def cross(self, first, second, buckets):
        name = f"{first} x {second}"
        return self._place(buckets, name, sources=[first, second], transform="cross", buckets=buckets)

    def _place(self, rows, name, **column):
        placed = {"name": name, **{k: v for k, v in column.items() if v is not None}, "offset": self.rows}
        self.rows += rows
        return placed


def log(source, multiply=1.0, add=0.0):
    return {"name": f"log {source}", "source": source, "transform": "log", "multiply": multiply, "add": add}


def number(source, multiply=1.0):
    return {"name": source, "source": source, "transform": "number", "multiply": multiply}


def tensor(name, scope, kind, columns):
    return {"name": name, "scope": scope, "type": kind, "columns": columns}


def two_scope(request_ids, request_dense, candidate_ids, candidate_dense):
    return {
        "version": 1,
        "output": "logit",
        "request_index": "request_index",
        "tensors": [
            tensor("request_ids", "request", "int32", request_ids),
            tensor("request_dense", "request", "float32", request_dense),
            tensor("candidate_ids", "candidate", "int32", candidate_ids),
            tensor("candidate_dense", "candidate", "float32", candidate_dense),
        ],
    }


def pctr_dlrm():
    """:returns: the program and the rows of its table"""
    t = Table()
    request_ids = [
        t.hash("inventory", 8192),
        t.hash("publisher", 2048),
        t.vocabulary("category", CATEGORY_VALUES, length=3),
        t.vocabulary("segment", SEGMENT_VALUES, length=6),
        t.vocabulary("inventory.kind", [1, 2, 3]),
        t.vocabulary("device.type", DEVICE_TYPES),
        t.vocabulary("device.os", OPERATING_SYSTEMS),
        t.vocabulary("geo.country", COUNTRIES),
        t.hash("imp.format", 64),
        t.hash("imp.size", 256),
        t.vocabulary("imp.position", POSITIONS),
        t.vocabulary("imp.interstitial", [1]),
        t.vocabulary("time.hour_of_day", list(range(24))),
    ]
    request_dense = [log("imp.floor"), log("imp.width", 0.2), log("imp.height", 0.2)]
    candidate_ids = [
        t.hash("ad.advertiser", 2048),
        t.hash("ad.creative", 8192),
        t.vocabulary("ad.category", CATEGORY_VALUES),
        t.vocabulary("ad.format", [1, 2, 3, 4]),
        t.hash("ad.size", 128),
        t.cross("device.type", "ad.category", 1024),
    ]
    candidate_dense = [number("ad.width", 0.001), number("ad.height", 0.001), log("ad.duration", 0.3)]
    return two_scope(request_ids, request_dense, candidate_ids, candidate_dense), t.rows


def pcvr():
    t = Table()
    request_ids = [
        t.hash("inventory", 4096),
        t.vocabulary("segment", SEGMENT_VALUES, length=6),
        t.vocabulary("inventory.kind", [1, 2, 3]),
        t.vocabulary("device.type", DEVICE_TYPES),
        t.vocabulary("device.os", OPERATING_SYSTEMS),
        t.vocabulary("geo.country", COUNTRIES),
        t.vocabulary("time.hour_of_day", list(range(24))),
    ]
    request_dense = [log("imp.floor")]
    candidate_ids = [
        t.hash("ad.advertiser", 2048),
        t.hash("ad.campaign", 8192),
        t.vocabulary("ad.category", CATEGORY_VALUES),
        t.vocabulary("ad.format", [1, 2, 3, 4]),
    ]
    candidate_dense = [log("ad.duration", 0.3)]
    return two_scope(request_ids, request_dense, candidate_ids, candidate_dense), t.rows


def win_price():
    """Single-scope: a price belongs to the imp, so one candidate row is one imp."""
    t = Table()
    ids = [
        t.hash("inventory", 8192),
        t.hash("publisher", 2048),
        t.vocabulary("inventory.kind", [1, 2, 3]),
        t.vocabulary("device.type", DEVICE_TYPES),
        t.vocabulary("geo.country", COUNTRIES),
        t.hash("imp.format", 64),
        t.vocabulary("imp.position", POSITIONS),
        t.vocabulary("time.hour_of_day", list(range(24))),
        t.vocabulary("time.day_of_week", list(range(7))),
        t.vocabulary("segment", SEGMENT_VALUES, length=6),
    ]
    dense = [log("imp.floor"), log("imp.width", 0.2), log("imp.height", 0.2)]
    program = {
        "version": 1,
        "output": "log_cpm",
        "tensors": [tensor("ids", "candidate", "int32", ids), tensor("dense", "candidate", "float32", dense)],
    }
    return program, t.rows
