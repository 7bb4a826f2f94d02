from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(body: str, opset: int = 13, outputs: str = "float[2,3] y") -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[2,3] x) => ({outputs}) {{ {body} }}'


WEIGHTS = {
    "zero": np.array(0, np.float32),
    "one": np.array([1], np.float32),
    "two": np.array(2, np.float32),
    "shape": np.array([2, 3], np.int64),
    "unshape": np.array([3, 2], np.int64),
    "nothing": np.zeros(4, np.int64),
    "ones": np.ones(2, np.int64),
    "start": np.array([0, 0], np.int64),
    "end": np.array([9, 3], np.int64),
    "back": np.array([-1], np.int64),
    "bottom": np.array([-9], np.int64),
    "false": np.array(False),
    "true": np.array(True),
    "half": np.array(0.5, np.float32),
}


@pytest.mark.parametrize(
    "body",
    [
        "a = Identity (x)",
        "a = Cast <to = 1> (x)",
        "a = Dropout (x)",
        "a = Dropout (x, half, false)",
        "a = Reshape (x, shape)",
        "a = Flatten <axis = 1> (x)",
        "a = Expand (x, shape)",
        "a = Tile (x, ones)",
        "a = Slice (x, start, end)",
        "a = Pad (x, nothing)",
        "a = Concat <axis = 0> (x)",
        "a = Sum (x)",
        "a = Add (x, zero)",
        "a = Add (zero, x)",
        "a = Sub (x, zero)",
        "a = Mul (one, x)",
        "a = Div (x, one)",
        "a = Pow (x, one)",
        "b = Identity (x) c = Cast <to = 1> (b) a = Add (c, zero)",
    ],
)
def test_go(apply: Any, body: str) -> None:
    assert apply(model(f"{body} y = Relu (a)"), "remove_noops", weights=WEIGHTS).ops == ["Relu"]


@pytest.mark.parametrize(
    "body",
    [
        "d = Cast <to = 11> (x) a = Cast <to = 1> (d)",
        "b = Reshape (x, unshape) a = Reshape (b, shape)",
        "z = Constant <value_ints = [0]> () a = Slice (x, back, bottom, z, back)",
        "a = Sub (zero, x)",
        "a = Div (one, x)",
        "a = Add (x, two)",
        "a = Max (x, two)",
    ],
)
def test_stay(apply: Any, body: str) -> None:
    result = apply(model(f"{body} y = Relu (a)"), "remove_noops", weights=WEIGHTS)
    assert result.reports["remove_noops"].changed == 0


@pytest.mark.parametrize(
    ("shape", "ops"),
    [
        ([0, 3, -1], ["Relu"]),
        ([-1, 3, 0], ["Relu"]),
        ([0, 0, 0], ["Relu"]),
        ([0, -1, 0], ["Relu"]),
        ([0, 1, -1], ["Reshape", "Relu"]),
        ([0, -1], ["Reshape", "Relu"]),
    ],
)
def test_a_reshape_that_keeps_extents_it_doesnt_know(apply: Any, shape: list[int], ops: list[str]) -> None:
    """An entry of 0 copies an extent, and the one that is left is what the others leave of the elements."""
    text = (
        '<ir_version: 8, opset_import: ["" : 14]> g (float[n,3,l] x) => (float y)'
        "{ a = Reshape (x, shape) y = Relu (a) }"
    )
    assert apply(text, "remove_noops", weights={"shape": np.array(shape, np.int64)}).ops == ops


def test_dropout_stays_in_training_or_with_its_mask(apply: Any) -> None:
    result = apply(model("a, m = Dropout (x) y = Where (m, a, zero)"), "remove_noops", weights=WEIGHTS)
    assert "mask" in result.refusals("remove_noops")
    weights = WEIGHTS | {"half": np.array(0, np.float32)}
    result = apply(model("y = Dropout (x, half, true)"), "remove_noops", weights=weights)
    assert "training" in result.refusals("remove_noops")


def test_an_output_keeps_its_name(apply: Any) -> None:
    result = apply(model("a = Relu (x) y = Identity (a)"), "remove_noops")
    assert result.ops == ["Relu"]
    assert result.model.graph[0].outputs[0].name == "y"


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("y = Identity (x)", "float[2,3] y"),
        ("y = Relu (x) z = Identity (y)", "float[2,3] y, float[2,3] z"),
        ("y = Identity (w)", "float y"),
    ],
)
def test_two_names_for_one_value_need_the_node(apply: Any, body: str, outputs: str) -> None:
    result = apply(model(body, outputs=outputs), "remove_noops", weights={"w": np.array(1, np.float32)})
    assert result.ops[-1] == "Identity"


def test_tied_weights_become_one(apply: Any) -> None:
    text = model("t = Identity (w) a = MatMul (x, w) y = Gemm <transB = 0> (a, t)", outputs="float[2,3] y")
    result = apply(text, "remove_noops", weights={"w": np.eye(3, dtype=np.float32) * 2})
    matmul, gemm = result.model.graph
    assert matmul.inputs[1] is gemm.inputs[1]
