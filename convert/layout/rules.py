"""How each ONNX operator can be laid out: channels-last only, natural only, or either with its axes remapped.

A rule looks at an :class:`~.placement.Op` and returns a :class:`~.placement.Placement`; None means that the
operator reads and gives natural layouts only. A rule that can't read what it needs (an axis that isn't
constant, an unknown rank) returns None: wrong is worse than slow. The rules live in files by family:
:mod:`.spatial`, :mod:`.elementwise`, :mod:`.axes`, :mod:`.movement`.
"""

from __future__ import annotations

from collections.abc import Callable

from ...vocabulary import FUSED_DOMAIN
from .axes import (
    arg_reduce,
    cumulative_sum,
    gather,
    layer_normalization,
    one_axis,
    pad,
    quantization,
    reduction,
    slices,
    softmax,
)
from .elementwise import elementwise, like_first
from .movement import expand, rearrangement, reshape, shape, size, tile
from .placement import Op, Placement
from .spatial import resize, spatial

DEFAULT_DOMAINS = ("", FUSED_DOMAIN)
"""Domains whose operators mean what ONNX's of that name mean: ONNX's own, and that of our fusions."""

_RULES: dict[str, Callable[[Op], Placement | None]] = {
    "ArgMax": arg_reduce,
    "ArgMin": arg_reduce,
    "CastLike": like_first,
    "Concat": one_axis(),
    "CumSum": cumulative_sum,
    "DequantizeLinear": quantization,
    "Dropout": like_first,
    "Expand": expand,
    "Flatten": reshape,
    "Gather": gather,
    "GatherElements": one_axis(0),
    "Hardmax": softmax,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": softmax,
    "LpNormalization": one_axis(-1),
    "Pad": pad,
    "QuantizeLinear": quantization,
    "RMSNormalization": layer_normalization,
    "Reshape": reshape,
    "Resize": resize,
    "ScatterElements": one_axis(0),
    "Shape": shape,
    "Size": size,
    "Slice": slices,
    "Softmax": softmax,
    "Split": one_axis(0),
    "Squeeze": reshape,
    "Tile": tile,
    "TopK": one_axis(-1, last=True),
    "Transpose": rearrangement,
    "Unsqueeze": reshape,
    "Upsample": resize,
}

_RULES |= dict.fromkeys(
    (
        "AveragePool", "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace",
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GridSample", "GroupNormalization",
        "InstanceNormalization", "LRN", "LpPool", "MaxPool", "MaxRoiPool", "QLinearConv", "RoiAlign",
        "SpaceToDepth",
    ),
    spatial,
)  # fmt: skip

_RULES |= dict.fromkeys(
    (
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceProd", "ReduceSum", "ReduceSumSquare",
    ),
    reduction,
)  # fmt: skip

_RULES |= dict.fromkeys(
    (
        "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd",
        "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu",
        "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
        "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish",
        "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
        "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh",
        "TanhGelu", "ThresholdedRelu", "Where", "Xor",
    ),
    elementwise,
)  # fmt: skip


def rule_for(op: Op) -> Placement | None:
    """The placement of an operator; None if it is natural only."""
    if len(op.nodes) > 1:
        return rearrangement(op)
    rule = _RULES.get(op.node.op_type) if op.node.domain in DEFAULT_DOMAINS else None
    return rule(op) if rule else None
