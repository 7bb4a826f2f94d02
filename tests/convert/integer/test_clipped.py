"""Integers that are clipped between QuantizeLinear and DequantizeLinear, as Brevitas writes fewer than 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.schemes import INT8

from .nets import converted, reference
from .test_own_scales import OUT, W, within, written

FEEDS = {"x": np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32) * 4}
FEEDS["x"][0, 0, 0, :4] = -99, 99, 0.025, -0.025
"""Beyond all bounds, and between two steps."""

BOUNDS: dict[str, Any] = {
    "m127": np.int8(-127), "p127": np.int8(127), "m128": np.int8(-128), "m8": np.int8(-8), "p7": np.int8(7),
    "u10": np.uint8(10), "u15": np.uint8(15), "u0": np.uint8(0), "one7": np.array([7], np.int8), "z0": np.int8(0),
    "uz0": np.uint8(0), "flat": np.array([1, -1], np.int64), "back": np.array([1, 3, 8, 8], np.int64),
}  # fmt: skip
RELU = "e = QuantizeLinear (x, s, z) f = DequantizeLinear (e, s, z) r = Relu (f)"
Q, QU, Q0 = (f"q = QuantizeLinear (x, s, {zero})" for zero in ("z", "u", "z0"))
STYLES: dict[str, tuple[str, str, set[str]]] = {
    # what is between: the nodes, the zero point, the operators that are left of the bounds
    "narrow": (f"{Q0} k = Clip (q, m127, p127)", "z0", {"MAXIMUM"}),
    "4 bits": (f"{Q} k = Clip (q, m8, p7)", "z", {"MAXIMUM", "MINIMUM"}),
    "the whole range": (f"{Q} k = Clip (q, m128, p127)", "z", set()),
    "no upper bound": (f"{Q} k = Clip (q, m8)", "z", {"MAXIMUM"}),
    "no lower bound": (f"{Q} k = Clip (q, , p7)", "z", {"MINIMUM"}),
    "no bound": (f"{Q} k = Clip (q)", "z", set()),
    "unsigned": (f"{QU} k = Clip (q, u10, u15)", "u", {"MAXIMUM", "MINIMUM"}),
    "unsigned after a Relu": (
        f"{RELU} q = QuantizeLinear (r, s, uz0) k = Clip (q, u0, u15)", "uz0", {"RELU", "MINIMUM"}
    ),
    "narrow after a Relu": (f"{RELU} q = QuantizeLinear (r, s, z0) k = Clip (q, m127, p127)", "z0", {"RELU"}),
    "twice": (f"{Q} l = Clip (q, m8) k = Clip (l, , p7)", "z", {"MAXIMUM", "MINIMUM"}),
    "two operators": (f"{Q} l = Max (m8, q) k = Min (l, one7)", "z", {"MAXIMUM", "MINIMUM"}),
    "moved before": (
        f"{Q} l = Reshape (q, flat) n = Reshape (l, back) k = Clip (n, m8, p7)", "z", {"MAXIMUM", "MINIMUM"}
    ),
    "moved behind": (f"{Q} l = Clip (q, m8, p7) k = MaxPool <kernel_shape = [2, 2]> (l)", "z",
                     {"MAXIMUM", "MINIMUM", "MAX_POOL_2D"}),
    "a Relu of integers": (f"{Q} k = Relu (q)", "z", {"MAXIMUM"}),
}  # fmt: skip
ANY = {"MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "MAX_POOL_2D"}


@pytest.mark.parametrize("style", STYLES)
def test_a_clip_of_integers_is_one_of_an_integer_kernel(tmp_path: Path, style: str) -> None:
    """The clamp alone is exact; behind it, a convolution is one of integers."""
    between, zero, left = STYLES[style]
    path = written(tmp_path, f"{between} y = DequantizeLinear (k, s, {zero})", **BOUNDS)
    made = converted(path)
    assert made.run(FEEDS)[0] == pytest.approx(reference(path)(FEEDS)[0], abs=1e-6)
    assert not {"CAST", "ROUND", "DIV"} & set(made.ops)
    path = written(tmp_path, f"{between} d = DequantizeLinear (k, s, {zero}) {W} c = Conv (d, wd) {OUT}", **BOUNDS)
    made = converted(path)
    assert made.summary.scheme == INT8.name
    assert not made.float_ops, made.reasons
    assert ANY & set(made.ops) == left
    assert (made.ops[0], made.ops[-1]) == ("QUANTIZE", "DEQUANTIZE")
    assert {"QUANTIZE", "DEQUANTIZE", "CAST", "ROUND"} & set(made.ops[1:-1]) == set()
    assert within(path, made, 0.03) >= 0.999


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize(
    "weights",
    [
        "wk = Clip (w, m127, p127)",
        "wk = Clip (w, m8, p7)",
        "wq = QuantizeLinear <axis = 0> (floatw, ws, wz) wk = Clip (wq, m8, p7)",
        "wq = QuantizeLinear <axis = 0> (floatw, ws, wz) wa = Max (wq, m127) wk = Min (wa, p127)",
    ],
    ids=["narrow", "4 bits", "rounded in the graph", "of two operators"],
)
def test_weights_that_are_clipped(tmp_path: Path, weights: str, opset: int) -> None:
    body = f"{Q0} k = Clip (q, m8, p7) d = DequantizeLinear (k, s, z0) {weights}"
    body += f" wd = DequantizeLinear <axis = 0> (wk, ws, wz) c = Conv (d, wd) {OUT}"
    path = written(tmp_path, body, opset=opset, **BOUNDS)
    made = converted(path)
    assert made.summary.scheme == INT8.name
    assert not made.float_ops, made.reasons
    assert made.ops.count("CONV_2D") == 1
    assert within(path, made, 0.03) >= 0.999


@pytest.mark.parametrize("opset", [12, 13, 18, 23])
def test_integers_that_are_an_output_as_well(tmp_path: Path, opset: int) -> None:
    """They are clipped, whoever reads them."""
    body = f"{Q} k = Clip (q, m8, p7) y = DequantizeLinear (k, s, z)"
    path = written(tmp_path, body, opset=opset, out="float[N,C,H,W] y, int8[N,C,H,W] k", **BOUNDS)
    made = converted(path)
    for got, want in zip(made.run(FEEDS), reference(path)(FEEDS), strict=True):
        assert got == pytest.approx(want, abs=1e-6)


def test_one_clip_that_several_read(tmp_path: Path) -> None:
    """One DequantizeLinear or two, and the integers that weren't clipped as well."""
    body = f"{Q} k = Clip (q, m8, p7) d = DequantizeLinear (k, s, z) {W} c1 = Conv (d, wd)"
    body += " p1 = QuantizeLinear (c1, t, z) e1 = DequantizeLinear (p1, t, z)"
    body += " d2 = DequantizeLinear (k, s, z) c2 = Conv (d2, wd) p2 = QuantizeLinear (c2, t, z)"
    body += " e2 = DequantizeLinear (p2, t, z) d3 = DequantizeLinear (q, s, z) c3 = Conv (d3, wd)"
    body += " p3 = QuantizeLinear (c3, t, z) e3 = DequantizeLinear (p3, t, z)"
    path = written(tmp_path, f"{body} c4 = Add (e1, e2) p4 = QuantizeLinear (c4, t, z) e4 = DequantizeLinear (p4, t, z)"
                   f" c = Add (e4, e3) {OUT}", **BOUNDS)  # fmt: skip
    made = converted(path)
    assert not made.float_ops, made.reasons
    assert set(made.ops) <= {"QUANTIZE", "MAXIMUM", "MINIMUM", "CONV_2D", "ADD", "DEQUANTIZE", "TRANSPOSE"}
    assert within(path, made, 0.03) >= 0.999


@pytest.mark.parametrize(
    ("between", "back", "reason"),
    [
        ("q = QuantizeLinear <axis = 1> (x, three, threez)", "<axis = 1> (q, three, threez)", "scale for each channel"),
        (f"{Q} l = ReduceMax <keepdims = 0, axes = [0, 1, 2, 3]> (q) k = Clip (q, , l)", "(k, s, z)", "run time"),
        (f"{Q} k = Clip (q, p7, m8)", "(k, s, z)", "above its upper one"),
        (f"{Q} k = Clip (q, m8, p7)", "(k, t, z)", "aren't those"),
    ],
    ids=["channels", "computed bound", "crossed bounds", "another scale"],
)
def test_what_is_rounded_in_float_is_named_and_no_int8_file(
    tmp_path: Path, between: str, back: str, reason: str
) -> None:
    """The layer, and what stands in its way; a file without integer kernels is a float32 one."""
    body = f"{between} d = DequantizeLinear {back} {W} c1 = Conv (d, wd) v = Relu (c1) y = Conv (v, wv)"
    path = written(tmp_path, body, wv=np.ones((2, 4, 1, 1), np.float32), **BOUNDS)
    made = converted(path)
    assert any("c1" in op.name for op in made.float_ops), made.float_ops
    assert reason in made.reasons
    assert made.summary.path.name == "model_float32.tflite"
    assert not (path.parent / "out" / "model_int8.tflite").exists()
    assert within(path, made, 1e-4) >= 0.999
