"""What is said not to be negative is not, in ONNX Runtime, on graphs drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from edgeworthy.convert.graph.ranges import _MOST_NODES, is_not_negative

Array = np.ndarray[Any, Any]

SHAPE = "1,4,6,6"
UNARY = [
    "Relu({a})", "Sigmoid({a})", "Exp({a})", "Tanh({a})", "Neg({a})", "Abs({a})", "Erf({a})", "Softplus({a})",
    "Floor({a})", "HardSwish({a})", "Elu({a})", "Selu({a})", "LeakyRelu({a})", "Gelu({a})", "Sin({a})", "Cos({a})",
    "Softmax<axis=1>({a})", "LogSoftmax<axis=1>({a})", "HardSigmoid({a})", "Sqrt({a})", "Identity({a})", "Round({a})",
    "Transpose<perm=[0,1,3,2]>({a})", "Reshape({a}, shape)", "CumSum({a}, one)", "Pow({a}, two)", "Pow({a}, three)",
    "Clip({a}, low)", "Clip({a}, zero)", "Clip({a}, , zero)", "Div({a}, three)", "Div({a}, low)", "PRelu({a}, slope)",
    "MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>({a})", "LpPool<kernel_shape=[3,3], pads=[1,1,1,1]>({a})",
    "AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>({a})",
    'Resize<mode="cubic", coordinate_transformation_mode="align_corners">({a}, , , sizes)',
    'Resize<mode="linear">({a}, , , sizes)', "InstanceNormalization({a}, four, four)", "Cast<to=1>({a})",
    "LpNormalization<axis=1>({a})", "Mish({a})", "Celu({a})", "Acos({a})", "Cosh({a})", "Shrink({a})",
]  # fmt: skip
BINARY = [
    "Add({a}, {b})", "Sub({a}, {b})", "Mul({a}, {b})", "Mul({a}, {a})", "Max({a}, {b})", "Min({a}, {b})",
    "Mean({a}, {b})", "Div({a}, {b})", "Sum({a}, {b}, {a})",
]  # fmt: skip
# Two nodes that come back to the shape.
COMPOSED = [
    "Concat<axis=1>({a}, {b})\n {y} = Slice({t}, starts, ends, axes)",
    "Pad({a}, pads, {fill})\n {y} = Slice({t}, starts, ends, axes)",
    'Pad<mode="reflect">({a}, pads)\n {y} = Slice({t}, starts, ends, axes)',
    "ReduceMean({a}, axes)\n {y} = Expand({t}, shape)",
    "ReduceMax({a}, axes)\n {y} = Expand({t}, shape)",
    "Greater({a}, {b})\n {y} = Where({t}, {a}, {b})",
]
WEIGHTS: dict[str, Any] = {
    "shape": np.array([1, 4, 6, 6], np.int64), "sizes": np.array([1, 4, 6, 6], np.int64),
    "one": np.array(1, np.int64), "two": np.array(2, np.float32), "three": np.array(3, np.float32),
    "low": np.array(-0.5, np.float32), "zero": np.array(0, np.float32), "four": np.linspace(-1, 1, 4, dtype=np.float32),
    "slope": np.array(-0.5, np.float32), "starts": np.array([1], np.int64), "ends": np.array([5], np.int64),
    "axes": np.array([1], np.int64), "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0], np.int64),
}  # fmt: skip


def _parse(nodes: str, outputs: str, opset: int = 20) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": {opset}]> g (float[{SHAPE}] x) => ({outputs}) {{ {nodes} }}'
    )
    for name, array in WEIGHTS.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def _typed(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInferencePass()(model)
    return model


def _random_nodes(rng: np.random.Generator, count: int) -> str:
    values, lines = ["x"], []
    for i in range(count):
        a, b = rng.choice(values, 2)
        kinds = [UNARY, BINARY, COMPOSED][rng.choice(3, p=[0.5, 0.3, 0.2])]
        form = kinds[rng.integers(len(kinds))]
        first = f"t{i}" if kinds is COMPOSED else f"y{i}"
        fill = ["low", "zero", "three"][rng.integers(3)]
        lines.append(f"{first} = " + form.format(a=a, b=b, t=f"t{i}", y=f"y{i}", fill=fill))
        values.append(f"y{i}")
    return "\n".join(lines)


def test_nothing_that_is_said_not_to_be_negative_is(ort_outputs: Callable[..., list[Array]]) -> None:
    """Every value of 60 graphs, on inputs with zeros, ties and large numbers; many are claimed, and many aren't."""
    claimed = unclaimed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        text = _random_nodes(rng, 12)
        names = [f"y{i}" for i in range(12)]
        proto = _parse(text, ", ".join(f"float[{SHAPE}] {n}" for n in names))
        model = _typed(proto)
        found = {v.name: is_not_negative(v) for v in model.graph.outputs}
        for scale in (1.0, 100.0):
            x = (rng.standard_normal((1, 4, 6, 6)) * scale).astype(np.float32)
            x[0, 0] = 0
            x[0, 1, :2] = x[0, 2, :2]
            for name, value in zip(names, ort_outputs(proto, {"x": x}), strict=True):
                assert not (found[name] and (value < 0).any()), (seed, name, text)
        claimed += sum(found.values())
        unclaimed += len(found) - sum(found.values())
    assert claimed > 150 and unclaimed > 150


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = Relu(x)", True),
        ("a = Relu(x) b = Sigmoid(x) c = Concat<axis=1>(a, b) d = MaxPool<kernel_shape=[3,3]>(c) y = Add(d, d)", True),
        ("a = Relu(x) y = Concat<axis=1>(a, x)", False),
        ("a = Relu(x) b = Pad(a, pads, zero) y = Slice(b, starts, ends)", True),
        ("a = Relu(x) y = Pad(a, pads)", True),
        ("a = Relu(x) y = Pad(a, pads, low)", False),
        ('a = Relu(x) y = Pad<mode="reflect">(a, pads, low)', True),
        ("y = Mul(x, x)", True),
        ("a = Neg(x) y = Mul(x, a)", False),
        ("a = Relu(x) y = Sub(a, a)", False),
        ("a = Relu(x) y = Mul(a, slope)", False),
        ("y = Clip(x, zero)", True),
        ("y = Clip(x, low)", False),
        ("a = Exp(x) b = Reshape(a, shape) c = Transpose(b) y, z = Split<axis=0, num_outputs=2>(c)", True),
        ("y = Max(x, zero)", True),
        ("a = Cast<to=6>(x) y = Abs(a)", False),  # of the lowest int32, itself
        ("a = Cast<to=2>(x) y = Identity(a)", True),  # uint8
        ("a = ReduceMax<keepdims=1>(x, axes) y = Relu(a)", True),
    ],
)
def test_chains(nodes: str, expected: bool) -> None:
    model = _typed(_parse(nodes, "y"))
    (value,) = [v for node in model.graph for v in node.outputs if v.name == "y"]
    assert is_not_negative(value) is expected


@pytest.mark.parametrize(("length", "expected"), [(_MOST_NODES - 2, True), (_MOST_NODES + 2, False)])
def test_a_long_way_up_is_given_up(length: int, expected: bool) -> None:
    steps = ["y0 = Relu(x)", *(f"y{i + 1} = Add(y{i}, y{i})" for i in range(length))]
    model = _typed(_parse("\n".join(steps), f"float[{SHAPE}] y{length}"))
    assert is_not_negative(model.graph.outputs[0]) is expected
