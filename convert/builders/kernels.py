"""What to compute in where TFLite has no kernel for the dtype of the data."""

from __future__ import annotations

from ...errors import InternalFault
from ...formats.tflite.ops import OPS
from .tensor import Unsupported

_WIDER: dict[str, tuple[str, ...]] = {
    # In order of preference. float64 and int64 narrow where TFLite has no wider kernel at all.
    "bool": ("int32", "float32"),
    "int8": ("int16", "int32", "float32"),
    "uint8": ("int32", "float32"),
    "int16": ("int32", "float32"),
    "uint16": ("int32", "float32"),
    "int32": ("int64", "float32"),
    "uint32": ("int64", "int32", "float32"),
    "int64": ("int32", "float32"),
    "float16": ("float32",),
    "float64": ("float32",),
}

BY_ORDER = frozenset({
    "greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "reduce_max", "reduce_min", "topk_v2",
})  # fmt: skip
"""Ops that ask which number is greater; on uint64 they go over numbers that are 2⁶³ less (``wide``)."""

_BY_VALUE = BY_ORDER | {
    "abs", "arg_max", "arg_min", "div", "floor_div", "floor_mod", "mean", "pow", "right_shift", "sign",
    "squared_difference", "unsorted_segment_max", "unsorted_segment_min",
}  # fmt: skip
"""Ops that mean another number by the bits of a uint64 than by those of an int64."""


def kernel_dtypes(op: str) -> frozenset[str]:
    """The dtypes of data that ``op`` has a kernel for.

    Raises:
        InternalFault: the table of operators doesn't say; a builder emits only what it knows.
    """
    row = OPS.get(op)
    if row is None or row.dtypes is None:
        raise InternalFault(f"the TFLite operator {op!r} has no full row in formats/tflite/ops.py")
    return row.dtypes


def working_dtype(op: str, dtype: str) -> str:
    """The dtype to run ``op`` in for data of ``dtype``; equal to ``dtype`` where the kernel takes it.

    Narrower integers and floats are widened exactly. ``float64`` computes in float32 and, where no 64-bit kernel
    exists, ``int64`` in int32: TFLite offers nothing else. ``uint64`` is the int64 of the same bits.

    Raises:
        Unsupported: no kernel of the op can hold the data.
        InternalFault: see :func:`kernel_dtypes`.
    """
    allowed = kernel_dtypes(op)
    if dtype in allowed:
        return dtype
    if dtype == "uint64" and op not in _BY_VALUE and "int64" in allowed:
        return "int64"
    for wider in _WIDER.get(dtype, ()):
        if wider in allowed:
            return wider
    raise Unsupported(f"TFLite's {op.upper()} has no kernel for {dtype}", "compute this part of the model in float32")
