from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# fmt: off
BASIC = frozenset({
    "Abs", "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Elu", "Erf", "Exp", "Flatten", "HardSigmoid",
    "Identity", "Less", "Log", "Max", "Min", "Mul", "Neg", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceSum", "Reshape", "Shape", "Sigmoid", "Size", "Slice", "Sqrt", "Sub", "Sum", "Tanh", "Where",
})
# fmt: on


def basic(domain: str, op: str, version: int) -> bool:
    return domain == "" and op in BASIC


def model(body: str, opset: int = 18, outputs: str = "float[2,4,3] y") -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[2,4,3] x) => ({outputs}) {{ {body} }}'


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = Mish (x)", 18),
        ("y = Mish (x)", 22),
        ("y = Shrink <bias = 0.5> (x)", 18),
        ("y = Softsign (x)", 22),
        ("y = Celu <alpha = 2.0> (x)", 13),
        ("y = HardSwish (x)", 18),
        ("y = Selu (x)", 19),
        ("y = Gelu <approximate = \"tanh\"> (x)", 20),
        ("y = Softmax <axis = 1> (x)", 13),
        ("y = LayerNormalization (x, w)", 17),
        ("y, mean, deviation = LayerNormalization (x, w, b)", 18),
        ("y = LayerNormalization <axis = -2> (x, v, v)", 20),
        ("y = ReduceL2 <keepdims = 1> (x) ", 18),
        ("a = Swish <alpha = 0.5> (x) y = Softplus (a)", 24),
        ("y = RMSNormalization (x, w)", 23),
    ],
)  # fmt: skip
def test_every_operator_left_is_lowered(apply: Any, body: str, opset: int) -> None:
    weights = {n: np.linspace(0.5, 2, 3, dtype=np.float32) for n in "wb"} | {"v": np.ones((4, 3), np.float32)}
    outputs = "float[a,b,c] y" + ", float[a,b,c] mean, float[a,b,c] deviation" * ("mean" in body)
    text = model(body, opset, outputs)
    result = apply(text, "expand_functions", "lift_constants", weights=weights, is_lowered=basic, tolerance=4e-6)
    assert set(result.ops) <= BASIC
    modules = {n.metadata_props["edgeworthy.module"] for n in result.model.graph}
    assert modules <= {"module of n0", "module of n1"}


def test_what_is_lowered_stays(apply: Any) -> None:
    result = apply(model("y = Mish (x)"), "expand_functions", is_lowered=lambda domain, op, version: True)
    assert result.ops == ["Mish"]


def test_the_version_asked_for_is_that_of_the_operator(apply: Any) -> None:
    asked = set()

    def is_lowered(domain: str, op: str, version: int) -> bool:
        asked.add((domain, op, version))
        return True

    apply(model("a = Relu (x) y = Mish (a)", 21), "expand_functions", is_lowered=is_lowered)
    assert asked == {("", "Relu", 14), ("", "Mish", 18)}


@pytest.mark.parametrize(
    ("body", "opset", "lowered", "reason"),
    [
        ("y = Sin (x)", 18, BASIC, "no function body"),
        ("y = Mish (x)", 18, BASIC - {"Exp"}, "uses Exp"),
        ("y = Softsign (x)", 14, BASIC, "written for opset 18"),
    ],
)
def test_refusals(apply: Any, body: str, opset: int, lowered: frozenset[str], reason: str) -> None:
    if reason == "uses Exp":
        lowered = lowered - {"Softplus"}
    result = apply(model(body, opset), "expand_functions", is_lowered=lambda domain, op, version: op in lowered)
    assert len(result.ops) <= 3
    assert reason in result.refusals("expand_functions")


def test_cast_like_becomes_a_cast(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    g (int64[3] x, float[2] like) => (float[3] y) { y = CastLike (x, like) }"""
    result = apply(text, "expand_functions", is_lowered=basic)
    assert result.ops == ["Cast"]
    assert result.node("Cast").metadata_props["edgeworthy.module"] == "module of n0"
