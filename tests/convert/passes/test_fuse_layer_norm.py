from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def mean(out: str, x: str, axes: str, opset: int) -> str:
    if opset < 18:
        return f"{out} = ReduceMean <axes = [{axes}]> ({x})"
    return f"{out}_axes = Constant <value_ints = [{axes}]> () {out} = ReduceMean ({x}, {out}_axes)"


def decomposed(opset: int, axes: str = "-1", *, square: str = "Pow (d, two)", end: str = "Div (d, s)") -> str:
    return f"""{mean("m", "x", axes, opset)} d = Sub (x, m) q = {square} {mean("v", "q", axes, opset)}
        e = Add (v, eps) s = Sqrt (e) n = {end}"""


def model(body: str, opset: int, shape: str = "2,3,8") -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[{shape}] x) => (float[{shape}] y) {{ {body} }}'


def numbers(shape: tuple[int, ...] = (8,)) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    scalars = {n: np.array(v, np.float32) for n, v in {"eps": 1e-5, "two": 2, "one": 1, "minus_half": -0.5}.items()}
    return scalars | {n: rng.normal(size=shape).astype(np.float32) for n in ("gamma", "beta")}


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 20])
@pytest.mark.parametrize("axes", ["-1", "2"])
def test_is_recognised(apply: Any, opset: int, axes: str) -> None:
    body = decomposed(opset, axes) + " g = Mul (n, gamma) y = Add (g, beta)"
    result = apply(model(body, opset), "fuse_layer_norm", weights=numbers(), tolerance=4e-6)
    assert result.ops == ["LayerNormalization" if opset >= 17 else "edgeworthy::LayerNormalization"]
    node = result.model.graph[0]
    assert node.attributes["axis"].as_int() == -1
    assert node.attributes["epsilon"].as_float() == pytest.approx(1e-5)
    assert [v.name for v in node.inputs] == ["x", "gamma", "beta"], "the constants are taken as they are"


@pytest.mark.parametrize(
    "body",
    [
        decomposed(17, square="Mul (d, d)"),
        decomposed(17, end="Mul (d, i)").replace("n = ", "i = Reciprocal (s) n = "),
        decomposed(17, end="Mul (i, d)").replace("n = ", "i = Div (one, s) n = "),
        decomposed(17, end="Mul (d, i)").replace("s = Sqrt (e)", "i = Pow (e, minus_half)"),
        decomposed(17, end="Div (d2, s)").replace("n = ", "m2 = ReduceMean <axes = [-1]> (x) d2 = Sub (x, m2) n = "),
    ],
)
@pytest.mark.parametrize("ending", ["y = Mul (gamma, n)", "y = Add (n, beta)", "y = Neg (n)"])
def test_forms_and_endings(apply: Any, body: str, ending: str) -> None:
    result = apply(model(f"{body} {ending}", 17), "fuse_layer_norm", weights=numbers(), tolerance=4e-6)
    assert result.ops == ["LayerNormalization", *(["Neg"] if "Neg" in ending else [])]


def test_over_several_axes(apply: Any) -> None:
    body = decomposed(17, "2, 1") + " g = Mul (n, gamma) y = Add (g, beta)"
    result = apply(model(body, 17), "fuse_layer_norm", weights=numbers((1, 3, 8)), tolerance=4e-6)
    assert result.ops == ["LayerNormalization"]
    assert result.model.graph[0].attributes["axis"].as_int() == -2
    assert list(result.model.graph[0].inputs[1].shape) == [3, 8]


@pytest.mark.parametrize(
    ("body", "opset", "reason"),
    [
        (decomposed(17, "1") + " y = Neg (n)", 17, ""),
        (decomposed(13, "-2, -1") + " y = Neg (n)", 13, "several axes"),
        (decomposed(17).replace("d = Sub (x, m)", "d = Sub (m, x)") + " y = Neg (n)", 17, ""),
        (decomposed(17, end="Div (x, s)") + " y = Neg (n)", 17, ""),
    ],
)
def test_leaves_alone(apply: Any, body: str, opset: int, reason: str) -> None:
    result = apply(model(body, opset), "fuse_layer_norm", weights=numbers())
    assert "LayerNormalization" not in "".join(result.ops)
    assert reason in result.refusals("fuse_layer_norm")


def test_a_scale_of_another_shape_stays(apply: Any) -> None:
    body = decomposed(17) + " y = Mul (n, gamma)"
    result = apply(model(body, 17), "fuse_layer_norm", weights=numbers((3, 1)), tolerance=4e-6)
    assert result.ops == ["LayerNormalization", "Mul"]


def test_other_types_than_float32_stay(apply: Any) -> None:
    body = (decomposed(17) + " y = Neg (n)").replace("float[", "double[")
    text = model(body, 17).replace("float[", "double[")
    weights = {k: v.astype(np.float64) for k, v in numbers().items()}
    result = apply(text, "fuse_layer_norm", weights=weights)
    assert "not in float32" in result.refusals("fuse_layer_norm")
