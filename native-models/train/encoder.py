"""The feature transforms, bit for bit those of `src/features/`.

One program (`features.json`) gives the same tensors here at training time and in the server. `FeatureProgram.encode`
takes `Sources`; `../feature-vectors.json` holds both sides to the same bits.
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
    """Codes of integers, never 0. Their low 32 bits count, as JavaScript's `| 0` leaves them."""
    low = (np.asarray(values, dtype=np.int64) & MASK).astype(U32)
    h = mix32(low ^ U32(0x9E3779B9))
    return np.where(h == 0, U32(1), h)


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
    """Columns of source values by name, kept as the codes and numbers that transforms read.

    A column is a sequence with one value a row: str for string sources, list[str] for list sources, int for integer
    sources (a NumPy int64 array is quick), float for number sources.
    """

    def __init__(self, columns=None):
        self._codes, self._values, self._lists = {}, {}, {}
        self.rows = 0
        for name, column in (columns or {}).items():
            self.rows = len(column)
            if name in STRING_SOURCES:
                self._codes[name] = string_codes(column)
            elif name in LIST_SOURCES:
                self._lists[name] = list_codes(column)
            elif name in INTEGER_SOURCES:
                self._codes[name] = hash_integer(column)
                self._values[name] = np.asarray(column, dtype=np.float64)
            else:
                self._values[name] = np.asarray(column, dtype=np.float64)

    def codes(self, name):
        """uint32 [rows] of a string or integer source; 0 = missing."""
        return self._codes[name]

    def list_codes(self, name, length):
        """uint32 [rows, length] of a list source; 0 where a row has fewer values."""
        have = self._lists[name]
        codes = np.zeros((self.rows, length), dtype=U32)
        shared = min(length, have.shape[1])
        codes[:, :shared] = have[:, :shared]
        return codes

    def values(self, name):
        """float64 [rows] of an integer or number source."""
        return self._values[name]

    def take(self, rows):
        """The same columns with only those rows, in that order."""
        return self._mapped(lambda column: column[rows], len(rows))

    def _mapped(self, change, rows):
        result = Sources()
        result.rows = rows
        for kind in ("_codes", "_values", "_lists"):
            setattr(result, kind, {name: change(column) for name, column in getattr(self, kind).items()})
        return result

    @staticmethod
    def stack(parts):
        """The rows of all parts, one after the other; the parts have the same columns."""
        result = Sources()
        result.rows = sum(part.rows for part in parts)
        for kind in ("_codes", "_values"):
            names = getattr(parts[0], kind)
            setattr(result, kind, {n: np.concatenate([getattr(p, kind)[n] for p in parts]) for n in names})
        for name in parts[0]._lists:
            length = max(part._lists[name].shape[1] for part in parts)
            result._lists[name] = np.concatenate([part.list_codes(name, length) for part in parts])
        return result


def join(requests, request_rows, ads, ad_rows, names):
    """Of both scopes, the named sources of candidate rows: row i is request `request_rows[i]` with ad `ad_rows[i]`."""
    joined = Sources()
    joined.rows = len(request_rows)
    for side, rows in ((requests, request_rows), (ads, ad_rows)):
        for kind in ("_codes", "_values", "_lists"):
            chosen = {n: column[rows] for n, column in getattr(side, kind).items() if n in names}
            getattr(joined, kind).update(chosen)
    return joined


def list_codes(column):
    """uint32 [rows, longest], 0 beyond a row's own length."""
    longest = max((len(values) for values in column), default=0)
    flat = [text for values in column for text in (*values, *[""] * (longest - len(values)))]
    return string_codes(flat).reshape(len(column), longest)


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


def known_texts():
    """Every text encoded so far by its code."""
    return {code: text for text, code in _known_codes.items()}


# --- programs --------------------------------------------------------------------------------------------------------


class FeatureProgram:
    """A `features.json` object, compiled on use."""

    def __init__(self, program):
        self.program = program
        self.tensors = program["tensors"]

    def sources(self, scope):
        """Names of the sources that the tensors of a scope read."""
        columns = [c for t in self.tensors if t["scope"] == scope for c in t["columns"]]
        return {name for c in columns for name in c.get("sources", [c.get("source")])}

    def encode(self, scope, sources):
        """Tensors of one scope: {name: [rows, width]}; a candidate tensor may read both scopes, see `join`."""
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
