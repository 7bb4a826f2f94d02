"""Quantized graphs as others write them, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, UnsupportedNodes
from edgeworthy.schemes import INT8

from .nets import Converted, converted, reference

RNG = np.random.default_rng(0)
CONSTANTS: dict[str, Any] = {
    "s": np.float32(0.05),
    "t": np.float32(0.03),
    "one": np.float32(1),
    "zero": np.float32(0),
    "z": np.int8(3),
    "u": np.uint8(128),
    "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
    "ws": RNG.uniform(0.001, 0.01, 4).astype(np.float32),
    "wz": np.zeros(4, np.int8),
    "three": RNG.uniform(0.001, 0.01, 3).astype(np.float32),
    "threez": np.zeros(3, np.int8),
    "b": RNG.integers(-2000, 2000, 4).astype(np.int32),
    "bs": np.full(4, 1e-3, np.float32),
    "floatw": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
}


def written(folder: Path, body: str, *, opset: int = 17, out: str = "float[N,C,H,W] y", **more: Any) -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    g (float[1,3,8,8] x) => ({out}) {{ {body} }}"""
    model = onnx.parser.parse_model(text)
    used = {name for node in model.graph.node for name in node.input}
    for name, value in (CONSTANTS | more).items():
        if name in used:
            tensor = value if isinstance(value, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(value))
            tensor.name = name
            model.graph.initializer.append(tensor)
    path = folder / "m.onnx"
    onnx.save(model, path)
    return path


def within(path: Path, made: Converted, step: float) -> float:
    feeds = {"x": RNG.normal(size=(1, 3, 8, 8)).astype(np.float32) * 2}
    (want,), (got,) = reference(path)(feeds), made.run(feeds)
    return float((np.abs(got.astype(np.float64) - want) <= step * 1.001).mean())


IN = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"
W = "wd = DequantizeLinear <axis = 0> (w, ws, wz)"
OUT = "p = QuantizeLinear (c, t, z) y = DequantizeLinear (p, t, z)"


@pytest.mark.parametrize("opset", [13, 17, 19, 21, 23])
@pytest.mark.parametrize(
    "weights",
    [
        W,
        "wq = QuantizeLinear <axis = 0> (floatw, ws, wz) wd = DequantizeLinear <axis = 0> (wq, ws, wz)",
        "wd = DequantizeLinear <axis = -4> (w, ws, wz)",
        "wd = DequantizeLinear <axis = 0> (w, ws)",
    ],
    ids=["stored", "rounded in the graph", "negative axis", "no zero point"],
)
def test_weights_in_every_form(tmp_path: Path, weights: str, opset: int) -> None:
    path = written(tmp_path, f"{IN} {weights} c = Conv (d, wd) {OUT}", opset=opset)
    made = converted(path)
    assert made.summary.scheme == INT8.name
    assert not made.float_ops
    assert within(path, made, 0.03) >= 0.999


def test_int4_weights(tmp_path: Path) -> None:
    """Packed in the ONNX file, int8 in TFLite's: its kernels for int4 aren't everywhere."""
    steps = RNG.integers(-8, 8, (4, 3, 3, 3))
    packed = onnx.helper.make_tensor("w4", onnx.TensorProto.INT4, steps.shape, steps.ravel())
    body = f"{IN} wd = DequantizeLinear <axis = 0> (w4, ws) c = Conv (d, wd) {OUT}"
    path = written(tmp_path, body, opset=21, w4=packed)
    made = converted(path)
    assert not made.float_ops
    assert within(path, made, 0.03) >= 0.999


def test_bias_of_another_scale_keeps_its_value(tmp_path: Path) -> None:
    body = f"{IN} {W} bd = DequantizeLinear <axis = 0> (b, bs) c = Conv (d, wd, bd) {OUT}"
    path = written(tmp_path, body)
    made = converted(path)
    assert not made.float_ops
    assert within(path, made, 0.03) >= 0.999


def test_bias_that_int32_does_not_hold(tmp_path: Path) -> None:
    path = written(
        tmp_path, f"{IN} {W} c = Conv (d, wd, huge) {OUT}", ws=np.full(4, 1e-9, np.float32), huge=np.full(4, 1.0)
        .astype(np.float32)
    )  # fmt: skip
    made = converted(path)
    assert "bias doesn't fit" in made.reasons
    assert within(path, made, 0.03) == 1


def test_scales_that_disagree_at_a_concat(tmp_path: Path) -> None:
    """With a scale behind it the operands are brought to it; without one they keep their own, in float."""
    two = f"{IN} {W} c1 = Conv (d, wd) q1 = QuantizeLinear (c1, t, z) d1 = DequantizeLinear (q1, t, z)"
    two += " m = MaxPool <kernel_shape = [3, 3]> (d)"
    path = written(tmp_path, f"{two} c = Concat <axis = 1> (d1, m) {OUT}")
    made = converted(path)
    assert not made.float_ops
    assert "CONCATENATION" in made.ops
    assert within(path, made, 0.03) >= 0.999
    path = written(tmp_path, f"{two} y = Concat <axis = 1> (d1, m)")
    made = converted(path)
    assert "its operands have different scales" in made.reasons
    assert within(path, made, 0.03) >= 0.999


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{IN} c = Conv (d, floatw) {OUT}", "weights aren't quantized"),
        (f"{IN} {W} y = Conv (d, wd)", "isn't quantized"),
        (f"{W} c = Conv (x, wd) {OUT}", "isn't quantized"),
        (f"{IN} c = Sin (d) {OUT}", "no integer kernel"),
        (f"{IN} {W} c = Conv (d, wd) {OUT.replace('y =', 'v =')} y = Add (v, c)", "as float as well"),
    ],
    ids=["float weights", "float result", "float operand", "no kernel", "both"],
)
def test_what_stays_float_says_why(tmp_path: Path, body: str, reason: str) -> None:
    path = written(tmp_path, body)
    made = converted(path)
    assert reason in made.reasons
    assert within(path, made, 0.05) >= 0.999


@pytest.mark.parametrize(
    "body",
    [
        "y = QuantizeLinear (x, s, z)",
        "q = QuantizeLinear (x, s, z) f = Cast <to = 1> (q) y = Mul (f, one)",
        "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, t, z)",
        f"{IN} dangling = QuantizeLinear (d, t, z) y = Relu (d)",
    ],
    ids=["an output in steps", "read as integers", "another scale", "nobody reads"],
)
def test_pairs_that_are_none(tmp_path: Path, body: str) -> None:
    out = "int8[N,C,H,W] y" if body.startswith("y = Q") else "float[N,C,H,W] y"
    path = written(tmp_path, body, out=out)
    made = converted(path)
    assert within(path, made, 1.0 if out.startswith("int8") else 0.05) == 1


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("q = QuantizeLinear (x, zero, z) y = DequantizeLinear (q, zero, z)", "scale"),
        ("q = QuantizeLinear <axis = 7> (x, three, threez) y = DequantizeLinear <axis = 7> (q, three, threez)", "axis"),
        ("q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, u)", ""),
    ],
    ids=["scale of 0", "axis", "zero point of another type"],
)
def test_bad_parameters_are_refused(tmp_path: Path, body: str, word: str) -> None:
    path = written(tmp_path, body)
    with pytest.raises((UnsupportedNodes, BadInput)) as raised:
        convert(path, tmp_path / "out", to=["tflite"])
    assert word in str(raised.value)
    assert not list((tmp_path / "out").glob("*.tflite"))


@pytest.mark.parametrize("axis", [1, 3])
def test_a_log_softmax_with_scales_is_one_kernel(tmp_path: Path, axis: int) -> None:
    """Its steps, which floats get, have no scales of the model's."""
    out = "p = QuantizeLinear (c, sixteenth, high) y = DequantizeLinear (p, sixteenth, high)"
    path = written(
        tmp_path, f"{IN} c = LogSoftmax <axis = {axis}> (d) {out}", sixteenth=np.float32(1 / 16), high=np.int8(127)
    )
    made = converted(path)
    assert made.summary.op_counts["LOG_SOFTMAX"] == 1
    assert not made.float_ops
    assert within(path, made, 1 / 16) == 1
