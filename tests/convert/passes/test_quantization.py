"""Passes on quantized graphs: constants folded, pairs fused, integer operators written as float ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

WEIGHTS: dict[str, Any] = {
    "s": np.float32(0.05),
    "t": np.float32(0.03),
    "z": np.int8(3),
    "u": np.uint8(120),
    "w": np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
    "ws": np.array([0.01, 0.02, 0.005, 0.03], np.float32),
    "wz": np.zeros(4, np.int8),
    "bias": np.array([5, -7, 0, 100], np.int32),
    "floatw": np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "three": np.array([0.1, 0.2, 0.3], np.float32),
    "threez": np.zeros(3, np.int8),
    "shape": np.array([1, -1], np.int64),
}
FOLD, FUSE, WRITE = "fold_quantized_constants", "fuse_quantization", "write_integer_ops"


def model(body: str, opset: int = 17, out: str = "float[N,C,H,W] y") -> str:
    return f"""<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,3,8,8] x) => ({out}) {{ {body} }}"""


def test_stored_and_rounded_weights_become_what_they_stand_for(apply: Any) -> None:
    stored = "wd = DequantizeLinear <axis = 0> (w, ws, wz) y = Conv (x, wd)"
    assert apply(model(stored), FOLD, weights=WEIGHTS).ops == ["Conv"]
    rounded = "q = QuantizeLinear <axis = 0> (floatw, ws, wz) wd = DequantizeLinear <axis = 0> (q, ws, wz)"
    assert apply(model(f"{rounded} y = Conv (x, wd)"), FOLD, weights=WEIGHTS).ops == ["Conv"]


def test_scales_by_block_are_folded(apply: Any) -> None:
    weights = WEIGHTS | {"m": WEIGHTS["w"].reshape(4, 27)[:, :8], "ms": np.full((4, 2), 0.1, np.float32)}
    weights["ms"] = np.random.default_rng(2).uniform(0.1, 1, (4, 2)).astype(np.float32)
    body = "v = DequantizeLinear <axis = 1, block_size = 4> (m, ms) y = MatMul (v, x)"
    assert apply(model(body, 21), FOLD, weights=weights).ops == ["MatMul"]


@pytest.mark.parametrize("zero", ["z", "u"])
def test_a_pair_is_one_operator_for_all_who_read_it(apply: Any, zero: str) -> None:
    body = f"q = QuantizeLinear (x, s, {zero}) a = DequantizeLinear (q, s, {zero})"
    body += f" b = DequantizeLinear (q, s, {zero}) n = Neg (a) y = Add (n, b)"
    ops = apply(model(body), FUSE, weights=WEIGHTS).ops
    assert sorted(ops) == ["Add", "Neg", "edgeworthy::QuantizeDequantize", "edgeworthy::QuantizeDequantize"]


def test_integers_that_are_moved(apply: Any) -> None:
    body = "q = QuantizeLinear (x, s, z) m = MaxPool <kernel_shape = [2, 2]> (q) r = Reshape (m, shape)"
    body += " y = DequantizeLinear (r, s, z)"
    applied = apply(model(body, out="float[N,C] y"), FUSE, weights=WEIGHTS)
    assert applied.ops == ["edgeworthy::QuantizeDequantize", "MaxPool", "Reshape"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, t, z)", "aren't those"),
        (
            "q = QuantizeLinear <axis = 1> (x, three, threez) y = DequantizeLinear <axis = 1> (q, three, threez)",
            "each channel",
        ),
    ],
)
def test_what_is_no_pair_says_why(apply: Any, body: str, reason: str) -> None:
    applied = apply(model(body), FUSE, weights=WEIGHTS)
    assert applied.ops == ["QuantizeLinear", "DequantizeLinear"]
    assert reason in applied.refusals(FUSE)


def test_qlinear_conv_with_a_bias(apply: Any) -> None:
    """ONNX Runtime sums integers: a value between two steps may tip over, so one step is allowed."""
    body = "q = QuantizeLinear (x, s, z) c = QLinearConv (q, s, z, w, ws, wz, t, z, bias)"
    body += " y = DequantizeLinear (c, t, z)"
    applied = apply(model(body), WRITE, weights=WEIGHTS, prelude=("inline_functions",), tolerance=0.0305 / 3.72)
    assert "Conv" in applied.ops
    assert "QLinearConv" not in applied.ops


def test_conv_integer(apply: Any) -> None:
    body = "q = QuantizeLinear (x, s, z) c = ConvInteger (q, w, z) y = Cast <to = 1> (c)"
    ops = apply(model(body), WRITE, weights=WEIGHTS, prelude=("inline_functions",)).ops
    assert "ConvInteger" not in ops
    assert ops.count("Conv") == 1
