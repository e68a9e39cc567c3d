"""The feature transforms, bit for bit those of `src/features/`.

One program (`features.json`) gives the same tensors here at training time and in the server. `FeatureProgram.encode`
takes columns of source values; `../feature-vectors.json` holds both sides to the same bits.
"""

import math

import numpy as np

U32 = np.uint32
MASK = 0xFFFFFFFF

LIST_SOURCES = frozenset({"category", "segment"})
INTEGER_SOURCES = frozenset(
    {
        "inventory.kind", "device.type", "device.connection_type", "imp.format", "imp.width", "imp.height", "imp.size",
        "imp.position", "imp.interstitial", "auction.type", "time.hour_of_day", "time.day_of_week",
        "ad.format", "ad.width", "ad.height", "ad.size", "ad.duration", "ad.goal",
    }
)  # fmt: skip
NUMBER_SOURCES = frozenset({"imp.floor", "ad.bid"})
STRING_SOURCES = frozenset(
    {
        "inventory", "publisher", "device.os", "device.make", "geo.country", "geo.region", "language", "user",
        "ad.advertiser", "ad.campaign", "ad.line_item", "ad.creative", "ad.category", "ad.domain",
    }
)  # fmt: skip
SOURCES = LIST_SOURCES | INTEGER_SOURCES | NUMBER_SOURCES | STRING_SOURCES


# --- hashes (src/base/hash.ts) ---------------------------------------------------------------------------------------


def mix32(value):
    """MurmurHash3's 32-bit finaliser on an array of uint32."""
    h = np.asarray(value, dtype=U32)
    with np.errstate(over="ignore"):
        h = (h ^ (h >> U32(16))) * U32(0x85EBCA6B)
        h = (h ^ (h >> U32(13))) * U32(0xC2B2AE35)
    return h ^ (h >> U32(16))


def combine32(a, b):
    """Code of the pairs (a, b); 0 where either is missing."""
    a, b = np.asarray(a, dtype=U32), np.asarray(b, dtype=U32)
    with np.errstate(over="ignore"):
        h = mix32((a * U32(0x9E3779B1)) ^ b)
    h = np.where(h == 0, U32(1), h)
    return np.where((a == 0) | (b == 0), U32(0), h)


def hash_integer(values):
    """Codes of integers, never 0. JavaScript's `| 0` first: the low 32 bits."""
    low = np.array([int(v) & MASK for v in values], dtype=U32) if _has_big(values) else np.asarray(values).astype(U32)
    h = mix32(low ^ U32(0x9E3779B9))
    return np.where(h == 0, U32(1), h)


def _has_big(values):
    return not (isinstance(values, np.ndarray) and values.dtype == np.int64)


def hash_string(text):
    """MurmurHash3 x86-32 of the UTF-8 bytes, seed 0; 0 is kept for ''. Lone surrogates become U+FFFD."""
    if text == "":
        return 0
    # Through UTF-16, so that halves which a JSON escape wrote apart are one character here as they are in JavaScript.
    data = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode("utf-8")
    h = 0
    for at in range(0, len(data) - 3, 4):
        h ^= _scramble(int.from_bytes(data[at : at + 4], "little"))
        h = (((h << 13) | (h >> 19)) * 5 + 0xE6546B64) & MASK
    tail = data[len(data) & ~3 :]
    h ^= _scramble(int.from_bytes(tail, "little")) ^ len(data)
    h = int(mix32(U32(h & MASK)))
    return h or 1


def _scramble(k):
    k = (k * 0xCC9E2D51) & MASK
    k = ((k << 15) | (k >> 17)) & MASK
    return (k * 0x1B873593) & MASK


# --- columns of source values ----------------------------------------------------------------------------------------


class Sources:
    """Columns of source values by name, with their codes and numbers made on first use.

    A column is a list with one value a row: str for string sources, list[str] for list sources, int or float for
    integer sources (a NumPy int64 array is quick), float for number sources.
    """

    def __init__(self, columns):
        self.columns = columns
        self.rows = len(next(iter(columns.values()))) if columns else 0
        self._codes = {}

    def codes(self, name):
        """uint32 [rows] of a string or integer source; 0 = missing."""
        if name not in self._codes:
            self._codes[name] = self._make_codes(name)
        return self._codes[name]

    def _make_codes(self, name):
        column = self.columns[name]
        return hash_integer(column) if name in INTEGER_SOURCES else string_codes(column)

    def list_codes(self, name, length):
        """uint32 [rows, length] of a list source; 0 where a row has fewer values."""
        key = (name, length)
        if key not in self._codes:
            padded = [(list(values[:length]) + [""] * length)[:length] for values in self.columns[name]]
            flat = [text for values in padded for text in values]
            self._codes[key] = string_codes(flat).reshape(self.rows, length)
        return self._codes[key]

    def values(self, name):
        """float64 [rows] of an integer or number source; 0 for strings."""
        if name in STRING_SOURCES or name in LIST_SOURCES:
            return np.zeros(self.rows)
        return np.asarray(self.columns[name], dtype=np.float64)

    def take(self, rows):
        """The same columns with only those rows, in that order; codes already made are kept."""
        taken = Sources({})
        taken.columns = {k: v[rows] if isinstance(v, np.ndarray) else _Picked(v, rows) for k, v in self.columns.items()}
        taken.rows = len(rows)
        taken._codes = {k: v[rows] for k, v in self._codes.items()}
        return taken


class _Picked:
    """A column seen through row numbers, materialised only if read."""

    def __init__(self, column, rows):
        self.column, self.picked = column, rows

    def __iter__(self):
        return (self.column[row] for row in self.picked)

    def __len__(self):
        return len(self.picked)


_known_codes = {}


def string_codes(texts):
    known = _known_codes
    codes = np.empty(len(texts), dtype=U32)
    for i, text in enumerate(texts):
        code = known.get(text)
        if code is None:
            code = known[text] = hash_string(text)
        codes[i] = code
    return codes


# --- programs --------------------------------------------------------------------------------------------------------


class FeatureProgram:
    """A `features.json` object, compiled on use."""

    def __init__(self, program):
        self.program = program
        self.tensors = program["tensors"]

    def names(self, scope):
        return [t["name"] for t in self.tensors if t["scope"] == scope]

    def width(self, name):
        tensor = next(t for t in self.tensors if t["name"] == name)
        return sum(column.get("length", 1) if column.get("source") in LIST_SOURCES else 1 for column in tensor["columns"])

    def encode(self, scope, sources, request_of=None):
        """Tensors of one scope: {name: [rows, width]}.

        :param sources: request sources for scope "request"; for "candidate" a `Sources` that has both scopes' columns
            of each candidate row (see `join`).
        """
        return {t["name"]: self._tensor(t, sources) for t in self.tensors if t["scope"] == scope}

    def _tensor(self, tensor, sources):
        kind = np.int32 if tensor["type"] == "int32" else np.float32
        parts = [encode_column(column, sources).astype(kind) for column in tensor["columns"]]
        return np.ascontiguousarray(np.concatenate([p.reshape(sources.rows, -1) for p in parts], axis=1))


def encode_column(column, sources):
    """One column of a tensor: [rows] or, for list sources, [rows, length]."""
    transform = column["transform"]
    offset = column.get("offset", 0)
    if transform == "cross":
        first, second = column["sources"]
        return offset + hashed(combine32(sources.codes(first), sources.codes(second)), column)
    name = column["source"]
    if transform == "hash":
        codes = sources.list_codes(name, column.get("length", 1)) if name in LIST_SOURCES else sources.codes(name)
        return offset + hashed(codes, column)
    if transform == "vocabulary":
        return offset + vocabulary_ids(column, sources)
    if transform == "bucketize":
        boundaries = np.asarray(column["boundaries"], dtype=np.float64)
        return offset + np.searchsorted(boundaries, sources.values(name), side="right").astype(np.int64)
    if transform == "number":
        return np.float32(_scaled(sources.values(name), column))
    if transform == "log":
        # The C library's log1p through math, not NumPy's SIMD one: JavaScript's differs from it by one ulp at most.
        logs = np.array([math.log1p(max(0.0, v)) for v in sources.values(name)], dtype=np.float64)
        return np.float32(_scaled(logs, column))
    if transform == "lookup":
        table = code_table(name, ((_parsed(name, key), number) for key, number in column["table"].items()))
        default = column["default"]
        return np.array([table.get(c, default) for c in sources.codes(name).tolist()]).astype(np.float32)
    raise ValueError(f"Unknown transform {transform}")


def _scaled(values, column):
    return values * np.float64(column.get("multiply", 1)) + np.float64(column.get("add", 0))


def hashed(codes, column):
    """0 for the missing code, else 1 + a bucket of the other `buckets` − 1."""
    codes = np.asarray(codes, dtype=U32)
    seed = U32(int(column.get("seed", 0)) & MASK)
    ids = 1 + (mix32(codes ^ seed) % U32(column["buckets"] - 1)).astype(np.int64)
    return np.where(codes == 0, 0, ids)


def vocabulary_ids(column, sources):
    name = column["source"]
    table = code_table(name, ((value, 1 + i) for i, value in enumerate(column["values"])))
    codes = sources.list_codes(name, column.get("length", 1)) if name in LIST_SOURCES else sources.codes(name)
    return np.array([table.get(c, 0) for c in codes.ravel().tolist()], dtype=np.int64).reshape(codes.shape)


def code_table(name, items):
    """Keyed by code, as in the server; where two values share one, the last counts."""
    return {int(hash_integer([v])[0]) if isinstance(v, int) else hash_string(v): x for v, x in items}


def _parsed(name, key):
    return int(key) if name in INTEGER_SOURCES else key


def join(requests, request_rows, ads, ad_rows):
    """Both scopes' sources of candidate rows: row i is request `request_rows[i]` with ad `ad_rows[i]`."""
    left, right = requests.take(request_rows), ads.take(ad_rows)
    joined = Sources({})
    joined.columns = {**left.columns, **right.columns}
    joined.rows = len(request_rows)
    joined._codes = {**left._codes, **right._codes}
    return joined
