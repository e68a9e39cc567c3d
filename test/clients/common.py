"""What the test modules share: where the server is, tensors for both client families, and the table of refusals."""

import os

import ml_dtypes
import numpy as np
from tritonclient.utils import InferenceServerException

HTTP = os.environ["VICKREY_HTTP"]
GRPC = os.environ["VICKREY_GRPC"]
METRICS = os.environ["VICKREY_METRICS"]
REPOSITORY = os.environ["VICKREY_REPOSITORY"]

COUNTING = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), dtype=np.int32)

SAMPLES = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 1, 2**8 - 1], np.uint8),
    "UINT16": np.array([0, 1, 2**16 - 1], np.uint16),
    "UINT32": np.array([0, 1, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**53 + 1, 2**64 - 1], np.uint64),
    "INT8": np.array([-(2**7), 0, 2**7 - 1], np.int8),
    "INT16": np.array([-(2**15), 0, 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 0, 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**53 + 1, 2**63 - 1], np.int64),
    "FP16": np.array([-1.5, 0.0, 65504.0], np.float16),
    "FP32": np.array([-0.1, 0.0, 3.4e38], np.float32),
    "FP64": np.array([-0.1, 5e-324, 1.7e308], np.float64),
    "BYTES": np.array([b"", "naïve".encode(), b"x" * 300], dtype=np.object_),
    "BF16": np.array([-1.5, 0.0, 2.0**100], ml_dtypes.bfloat16),
}


def tensor(module, name, array, datatype=None, **how):
    """An InferInput of `tritonclient.http` or `tritonclient.grpc` with the array as its data."""
    datatype = datatype or {"bool": "BOOL", "object": "BYTES"}.get(array.dtype.name) or numeric(array.dtype)
    given = module.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, **how)
    return given


def numeric(dtype):
    letter = {"i": "INT", "u": "UINT", "f": "FP"}[dtype.kind]
    return f"{letter}{dtype.itemsize * 8}"


def pair(module, first=COUNTING, second=ONES, **how):
    return [tensor(module, "INPUT0", first, **how), tensor(module, "INPUT1", second, **how)]


def refusal(call):
    """The exception of a call that the server must refuse: (message, status)."""
    try:
        call()
    except InferenceServerException as error:
        return error.message(), error.status()
    raise AssertionError("the server did not refuse")


def refusals(module):
    """(what is sent to which model, message as a regular expression, HTTP status, gRPC status)"""
    narrow = np.ones((1, 15), np.int32)
    floats = np.ones((1, 16), np.float32)
    many = np.ones((9, 16), np.int32)
    x = tensor(module, "X", ONES)
    first, second = pair(module)
    return [
        (
            ("nowhere", [first, second], {}),
            r"Request for unknown model: 'nowhere' is not found",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", [first, second], {"model_version": "7"}),
            r"Request for unknown model: 'simple' version 7 is not found",
            "404",
            "StatusCode.NOT_FOUND",
        ),
        (
            ("simple", pair(module, many, many), {}),
            r"inference request batch-size must be <= 8 for 'simple'",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", pair(module, narrow, narrow), {}),
            r"unexpected shape for input 'INPUT[01]' for model 'simple'\. Expected \[-1,16\], got \[1,15\]",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", pair(module, floats, floats), {}),
            r"inference input 'INPUT[01]' data-type is 'FP32', but model 'simple' expects 'INT32'",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", [first, x], {}),
            r"unexpected inference input 'X' for model 'simple'",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", [first], {}),
            r"expected 2 inputs but got 1 inputs for model 'simple'",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
        (
            ("simple", [first, second], {"outputs": [module.InferRequestedOutput("NOPE")]}),
            r"unexpected inference output 'NOPE' for model 'simple'",
            "400",
            "StatusCode.INVALID_ARGUMENT",
        ),
    ]
