"""What TFLite's integer kernels ask of scales: one entry an operator that has one.

Sources: TFLite's 8-bit quantization specification, and ``Prepare`` of the reference kernels of LiteRT 2.3
(``tflite/kernels/*.cc``), where a kernel asks for less than the specification.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Scales(enum.Enum):
    """How the scales of operands and results hang together."""

    KEPT = "the result holds values of the operand, in its scale"
    AVERAGED = "the result is rounded in the operand's scale"
    ALIKE = "operands and result have one scale, and rounding them first changes nothing"
    FREE = "each has a scale of its own"
    FIXED = "the result's scale is built in"
    WEIGHTED = "weights have a zero point of 0, and the bias the product of the operand's and the weights' scales"
    COUNTED = "the result is no quantity: an index"


@dataclass(frozen=True)
class KernelRule:
    """One operator.

    Attributes:
        scales: See :class:`Scales`.
        data: Positions of the quantized operands; None for all. ``WEIGHTED``: those of operand, weights and bias.
        fixed: Scale and zero point of a FIXED result.
        axis: Of the weights, along which they may have scales.
        wide: Whether there is a kernel for int16 activations as well.
        last: The kernel's rounding is too coarse to compute on with, where the user's scale is another: a step of 1/256
            is a large part of most of the weights of an attention.
    """

    scales: Scales
    data: tuple[int, ...] | None = (0,)
    fixed: tuple[float, int] = (1.0, 0)
    axis: int = 0
    wide: bool = False
    last: bool = False


_KEPT = (
    "BROADCAST_TO", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "GATHER_ND", "MAX_POOL_2D", "MIRROR_PAD", "PAD",
    "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_DEPTH",
    "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
)  # fmt: skip
_WIDE = frozenset({
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "ADD", "SUB", "MUL", "RESHAPE", "TRANSPOSE",
    "MAX_POOL_2D", "CONCATENATION", "PAD", "STRIDED_SLICE", "SLICE", "LEAKY_RELU", "RELU", "RELU6",
})  # fmt: skip
_FREE = {
    "ABS": (0,), "ADD": (0, 1), "BATCH_MATMUL": (0, 1), "ELU": (0,), "EXP": (0,), "GELU": (0,), "HARD_SWISH": (0,),
    "LEAKY_RELU": (0,), "LOG": (0,), "MEAN": (0,), "MUL": (0, 1), "PRELU": (0, 1), "RELU": (0,), "RELU6": (0,),
    "RELU_0_TO_1": (0,), "RELU_N1_TO_1": (0,), "SQUARED_DIFFERENCE": (0, 1), "SUB": (0, 1), "SUM": (0,),
}  # fmt: skip

RULES: dict[str, KernelRule] = {
    **{name: KernelRule(Scales.KEPT, wide=name in _WIDE) for name in _KEPT},
    **{name: KernelRule(Scales.FREE, data, wide=name in _WIDE) for name, data in _FREE.items()},
    "SPLIT": KernelRule(Scales.KEPT, (1,)),
    "AVERAGE_POOL_2D": KernelRule(Scales.AVERAGED),
    "RESIZE_BILINEAR": KernelRule(Scales.AVERAGED),
    "CONCATENATION": KernelRule(Scales.ALIKE, None, wide=True),
    "MAXIMUM": KernelRule(Scales.ALIKE, (0, 1)),
    "MINIMUM": KernelRule(Scales.ALIKE, (0, 1)),
    "PACK": KernelRule(Scales.ALIKE, None),
    "PADV2": KernelRule(Scales.ALIKE, (0, 2)),
    "SELECT_V2": KernelRule(Scales.ALIKE, (1, 2)),
    "LOGISTIC": KernelRule(Scales.FIXED, fixed=(1 / 256, -128)),
    "LOG_SOFTMAX": KernelRule(Scales.FIXED, fixed=(16 / 256, 127), last=True),
    "SOFTMAX": KernelRule(Scales.FIXED, fixed=(1 / 256, -128), last=True),
    "TANH": KernelRule(Scales.FIXED, fixed=(1 / 128, 0)),
    "ARG_MAX": KernelRule(Scales.COUNTED),
    "ARG_MIN": KernelRule(Scales.COUNTED),
    "CONV_2D": KernelRule(Scales.WEIGHTED, (0, 1, 2), wide=True),
    "DEPTHWISE_CONV_2D": KernelRule(Scales.WEIGHTED, (0, 1, 2), axis=3, wide=True),
    "FULLY_CONNECTED": KernelRule(Scales.WEIGHTED, (0, 1, 2), wide=True),
    "TRANSPOSE_CONV": KernelRule(Scales.WEIGHTED, (2, 1, 3), wide=True),
}
"""Name in the schema → its rule. What isn't here has no integer kernel, or none that keeps to the user's scales.

Half of what SQRT's kernel gives is a step off."""

COARSER = 1.25
"""How much coarser than the user's the steps may be that a kernel rounds to before the user's: the second rounding is
then one step off at most."""
