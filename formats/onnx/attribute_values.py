"""The values that attributes may have, where ONNX says so in prose only (its operator documentation, opset 28)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnx import AttributeProto, TensorProto

_INT32 = range(-(1 << 31), 1 << 31)

_UNLIMITED = {("Slice", "starts"), ("Slice", "ends"), ("Constant", "value_int"), ("Constant", "value_ints")}
"""Integers that are data, or that count as the end of an axis however large; all others count elements of an axis."""

_FLAGS = frozenset({
    "align_corners", "allowzero", "antialias", "batch_first", "ceil_mode", "count_include_pad", "exclude_outside",
    "exclusive", "inverse", "is_causal", "keepdims", "largest", "linear_before_reset", "noop_with_empty_axes",
    "onesided", "output_padded", "periodic", "reverse", "saturate", "select_last_index", "sorted", "transA", "transB",
})  # fmt: skip

_LEAST = {
    "batch_dims": 0, "block_size": 1, "blocksize": 1, "dilations": 1, "group": 1, "hidden_size": 1, "kernel_shape": 1,
    "num_groups": 1, "num_outputs": 1, "offset_group": 1, "p": 1, "sampling_ratio": 0, "strides": 1,
}  # fmt: skip

_FINITE = frozenset({"alpha", "beta", "bias", "epsilon", "gamma", "lambd", "momentum", "scale"})

_AUTO_PAD = frozenset({"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"})
_RECURRENT = frozenset({"forward", "reverse", "bidirectional"})
_SCATTER = frozenset({"none", "add", "mul", "max", "min"})
_LOSS = frozenset({"none", "mean", "sum"})

_CHOICES: dict[str, dict[str, frozenset[str]]] = {
    "auto_pad": dict.fromkeys(
        ("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "LpPool", "MaxPool", "QLinearConv"), _AUTO_PAD
    ),
    "direction": {**dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT), "BitShift": frozenset({"LEFT", "RIGHT"})},
    "reduction": {
        **dict.fromkeys(("ScatterND", "ScatterElements"), _SCATTER),
        **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), _LOSS),
    },
    "mode": {
        "Resize": frozenset({"nearest", "linear", "cubic"}),
        "Upsample": frozenset({"nearest", "linear"}),
        "Pad": frozenset({"constant", "reflect", "edge", "wrap"}),
        "GridSample": frozenset({"bilinear", "nearest", "bicubic", "linear", "cubic"}),
        "DepthToSpace": frozenset({"DCR", "CRD"}),
        "RoiAlign": frozenset({"avg", "max"}),
    },
    "coordinate_transformation_mode": {
        "Resize": frozenset({"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                             "tf_half_pixel_for_nn", "tf_crop_and_resize"}),
        "RoiAlign": frozenset({"half_pixel", "output_half_pixel"}),
    },
    "nearest_mode": {"Resize": frozenset({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})},
    "keep_aspect_ratio_policy": {"Resize": frozenset({"stretch", "not_larger", "not_smaller"})},
    "padding_mode": {"GridSample": frozenset({"zeros", "border", "reflection"})},
    "approximate": {"Gelu": frozenset({"none", "tanh"})},
}  # fmt: skip


def objection(op_type: str, attribute: AttributeProto) -> str:
    """Why an attribute of an ONNX operator can't have its value, in half a sentence; empty if it can."""
    name = attribute.name
    if attribute.type == AttributeProto.STRING:
        known = _CHOICES.get(name, {}).get(op_type)
        text = attribute.s.decode(errors="replace")
        return "" if known is None or text in known else f"is {text!r}, and must be one of {', '.join(sorted(known))}"
    if attribute.type == AttributeProto.FLOAT:
        limited = name in _FINITE and not math.isfinite(attribute.f)
        return f"is {attribute.f}, and must be finite" if limited else ""
    if attribute.type == AttributeProto.INT:
        return _integers(op_type, name, (attribute.i,))
    return _integers(op_type, name, attribute.ints) if attribute.type == AttributeProto.INTS else ""


def _integers(op_type: str, name: str, values: Sequence[int]) -> str:
    if (op_type, name) in _UNLIMITED:
        return ""
    if name == "perm":
        return "" if sorted(values) == list(range(len(values))) else f"is {list(values)}, which is no order of axes"
    for value in values:
        if value not in _INT32:
            return f"is {value}, beyond what an axis or an extent can be"
        if name in _FLAGS and value not in (0, 1):
            return f"is {value}, and must be 0 or 1"
        if value < _LEAST.get(name, value):
            return f"is {value}, and must be at least {_LEAST[name]}"
        if name in ("to", "dtype") and value not in TensorProto.DataType.values():
            return f"is {value}, and ONNX has no type of that number"
    return ""
