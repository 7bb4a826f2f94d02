"""Which dtypes TFLite's reference kernels take, op by op, and what to compute in when they don't.

Source: the type switches of the kernels of LiteRT 2.3 (``tflite/kernels/*.cc``). Only plain, not quantized,
tensors are meant. An op that is not listed takes every dtype.
"""

from __future__ import annotations

from .tensor import Unsupported

_F = frozenset({"float32"})
_FI = frozenset({"float32", "int32"})
_FIL = frozenset({"float32", "int32", "int64"})
_BYTES = frozenset({"int8", "uint8"})
_MOVABLE = _FIL | _BYTES | {"int16", "bool"}

KERNEL_DTYPES: dict[str, frozenset[str]] = {
    # elementwise, one operand
    "abs": _FI,
    "neg": _FIL,
    "sign": _FI,
    "square": _F,
    **dict.fromkeys(
        [
            "ceil",
            "cos",
            "elu",
            "exp",
            "floor",
            "gelu",
            "hard_swish",
            "leaky_relu",
            "log",
            "log_softmax",
            "logistic",
            "prelu",
            "relu",
            "relu6",
            "relu_n1_to_1",
            "round",
            "rsqrt",
            "sin",
            "softmax",
            "sqrt",
            "tanh",
            "l2_normalization",
            "local_response_normalization",
        ],
        _F,
    ),
    "logical_not": frozenset({"bool"}),
    # elementwise, more operands
    **dict.fromkeys(("add", "sub", "mul"), _FIL),
    "div": _FI,
    "floor_div": _FI,
    "floor_mod": _FIL,
    "maximum": _FIL,
    "minimum": _FIL,
    "pow": _FI,
    "squared_difference": _FI,
    "atan2": _F,
    "bitwise_xor": frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"}),
    "right_shift": frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"}),
    **dict.fromkeys(("equal", "not_equal"), _FIL | {"bool"}),
    **dict.fromkeys(("greater", "greater_equal", "less", "less_equal"), _FIL),
    **dict.fromkeys(("logical_and", "logical_or"), frozenset({"bool"})),
    "select_v2": _MOVABLE | {"uint32"},
    # moving data
    "transpose": _MOVABLE,
    "concatenation": _MOVABLE,
    "pack": _MOVABLE,
    "unpack": _MOVABLE,
    "split": _FI | _BYTES | {"int16"},
    "split_v": _FIL | _BYTES | {"int16"},
    "slice": _MOVABLE,
    "strided_slice": _MOVABLE | {"uint32"},
    "padv2": _FIL | _BYTES,
    "pad": _FIL | _BYTES,
    "mirror_pad": _FIL | _BYTES | {"int16"},
    "tile": _FIL | _BYTES | {"bool"},
    "broadcast_to": _MOVABLE,
    "gather": _MOVABLE,
    "gather_nd": _MOVABLE,
    "scatter_nd": _FIL | _BYTES,
    "fill": _FIL | {"bool", "int8", "int16"},
    "reverse_v2": _MOVABLE,
    "reverse_sequence": _FIL | {"uint8", "int16"},
    "depth_to_space": _FIL | _BYTES,
    "space_to_depth": _FIL | _BYTES,
    "one_hot": _FIL | {"int16", "bool"} | _BYTES,
    "cast": _MOVABLE | {"uint16", "uint32", "float16", "float64"},
    "topk_v2": _FIL | _BYTES | {"int16"},
    "cumsum": _FIL,
    "range": _FIL,
    # reductions
    **dict.fromkeys(("sum", "mean", "reduce_prod"), _FIL),
    **dict.fromkeys(("reduce_max", "reduce_min"), _FIL | _BYTES | {"int16"}),
    **dict.fromkeys(("unsorted_segment_max", "unsorted_segment_min", "unsorted_segment_prod"), _FI),
    **dict.fromkeys(("reduce_any", "reduce_all"), frozenset({"bool"})),
    **dict.fromkeys(("arg_max", "arg_min"), _FI | _BYTES | {"bool"}),
    # neural
    **dict.fromkeys(
        [
            "conv_2d",
            "depthwise_conv_2d",
            "transpose_conv",
            "conv_3d",
            "conv_3d_transpose",
            "average_pool_2d",
            "max_pool_2d",
            "fully_connected",
            "batch_matmul",
            "resize_bilinear",
            "resize_nearest_neighbor",
        ],
        _F,
    ),
}

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


def working_dtype(op: str, dtype: str) -> str:
    """The dtype to run ``op`` in for data of ``dtype``; equal to ``dtype`` where the kernel takes it.

    Narrower integers and floats are widened exactly. ``float64`` computes in float32 and, where no 64-bit kernel
    exists, ``int64`` in int32: TFLite offers nothing else.

    Raises:
        Unsupported: no kernel of the op can hold the data.
    """
    allowed = KERNEL_DTYPES.get(op)
    if allowed is None or dtype in allowed:
        return dtype
    for wider in _WIDER.get(dtype, ()):
        if wider in allowed:
            return wider
    raise Unsupported(f"TFLite's {op.upper()} has no kernel for {dtype}", "compute this part of the model in float32")
