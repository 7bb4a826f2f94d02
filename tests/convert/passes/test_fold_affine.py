from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def weights(seed: int = 0, **shapes: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: (rng.normal(size=shape) + 0.1).astype(np.float32) for name, shape in shapes.items()}


CONV = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[2,4,6,6] x) => (float[2,{m},{hw},{hw}] y) {{
    c = {conv}
    p = Mul (c, gain)
    y = Add (p, shift)
}}"""


@pytest.mark.parametrize(
    ("conv", "m", "hw", "w"),
    [
        ("Conv (x, w)", 6, 4, (6, 4, 3, 3)),
        ("Conv (x, w, b)", 6, 4, (6, 4, 3, 3)),
        ("Conv <group = 2> (x, w, b)", 6, 4, (6, 2, 3, 3)),
        ("Conv <group = 4> (x, w)", 4, 4, (4, 1, 3, 3)),
        ("ConvTranspose (x, w, b)", 6, 8, (4, 6, 3, 3)),
        ("ConvTranspose <group = 2> (x, w, b)", 6, 8, (4, 3, 3, 3)),
    ],
)
@pytest.mark.parametrize("dims", [(1, "m", 1, 1), ("m", 1, 1), (1, 1), ()])
def test_into_convolutions(apply: Any, conv: str, m: int, hw: int, w: tuple[int, ...], dims: tuple[Any, ...]) -> None:
    shape = tuple(m if d == "m" else d for d in dims)
    values = weights(w=w, gain=shape, shift=shape) | (weights(b=(m,)) if "b)" in conv else {})
    result = apply(CONV.format(conv=conv, m=m, hw=hw), "fold_affine", weights=values)
    assert result.ops == [conv.split()[0]]
    assert result.model.graph[0].metadata_props["edgeworthy.module"] == "module of n0"
    assert result.model.graph[0].outputs[0].name == "y"
    assert {"w", "gain", "shift"}.isdisjoint(result.model.graph.initializers), "the old weights are still held"


@pytest.mark.parametrize("gemm", ["Gemm", "Gemm <transB = 1>", "Gemm <alpha = 0.5, beta = 2.0, transA = 1>"])
@pytest.mark.parametrize("bias", [(5,), (1, 5), (), None])
def test_into_gemm(apply: Any, gemm: str, bias: tuple[int, ...] | None) -> None:
    x = "[4,3]" if "transA" in gemm else "[3,4]"
    text = f"""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float{x} x) => (float[3,5] y) {{
        c = {gemm} (x, w{"" if bias is None else ", b"})
        s = Div (c, gain)
        y = Sub (shift, s)
    }}"""
    values = weights(w=(5, 4) if "transB" in gemm else (4, 5), gain=(5,), shift=(5,))
    values |= {} if bias is None else weights(b=bias)
    result = apply(text, "fold_affine", weights=values, tolerance=1e-5)
    assert result.ops == ["Gemm"]


def test_into_a_matrix_product_and_its_bias(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3,4] x) => (float[2,3,5] y) {
        c = MatMul (x, w)
        s = Add (b, c)
        t = Mul (s, gain)
        y = Add (t, shift)
    }"""
    result = apply(text, "fold_affine", weights=weights(w=(4, 5), b=(5,), gain=(1, 5), shift=(5,)))
    assert result.ops == ["MatMul", "Add"]


def test_a_product_after_a_matrix_product_without_bias(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3,4] x) => (float[2,3,5] y) {
        c = MatMul (x, w)
        t = Mul (gain, c)
        y = Add (t, shift)
    }"""
    result = apply(text, "fold_affine", weights=weights(w=(4, 5), gain=(5,), shift=(5,)))
    assert result.ops == ["MatMul", "Add"], "the sum is the bias of the product and stays"


def test_a_single_number_across_a_change_of_shape(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3,4] x) => (float[2,2,3,4] y) {
        c = MatMul (x, w)
        s = Add (c, b)
        dims = Constant <value = int64[4] {2, 3, 2, 4}> ()
        r = Reshape (s, dims)
        t = Transpose <perm = [0, 2, 1, 3]> (r)
        half = Constant <value = float {0.5}> ()
        y = Mul (t, half)
    }"""
    result = apply(text, "fold_affine", weights=weights(w=(4, 8), b=(8,)))
    assert result.ops == ["MatMul", "Add", "Reshape", "Transpose"]
    names = {v.name for n in result.model.graph for v in n.outputs}
    assert not {"s", "r", "t"} & names, "values that mean something else now must not keep their names"


@pytest.mark.parametrize(
    ("body", "shapes", "ops", "reason"),
    [
        (
            "c = Conv (x, w) y = Mul (c, gain)",
            {"w": (6, 4, 3, 3), "gain": (1, 1, 1, 4)},
            ["Conv", "Mul"],
            "another axis",
        ),
        (
            "c = Conv (x, w) m = Mul (c, gain) d = Conv (x, w) y = Add (m, d)",
            {"w": (6, 4, 3, 3), "gain": (6, 1, 1)},
            ["Conv", "Mul", "Conv", "Add"],
            "shared",
        ),
        (
            "c = Conv (x, w) m = Mul (c, gain) y = Add (m, c)",
            {"w": (6, 4, 3, 3), "gain": ()},
            ["Conv", "Mul", "Add"],
            "",
        ),
        ("c = Relu (x) d = Conv (c, w) y = Mul (d, d)", {"w": (6, 4, 3, 3)}, ["Relu", "Conv", "Mul"], ""),
    ],
)
def test_leaves_alone(apply: Any, body: str, shapes: dict[str, Any], ops: list[str], reason: str) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 13]> g (float[2,4,6,6] x) => (float[2,6,4,4] y) {{ {body} }}'
    result = apply(text, "fold_affine", weights=weights(**shapes))
    assert result.ops == ops
    assert reason in result.refusals("fold_affine")


def test_an_infinite_constant_is_refused(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,4] x) => (float[2,5] y) {
        c = Gemm (x, w)
        y = Mul (c, gain)
    }"""
    result = apply(text, "fold_affine", weights=weights(w=(4, 5)) | {"gain": np.array(np.inf, np.float32)})
    assert "not finite" in result.refusals("fold_affine")


def test_a_number_into_float16_weights_is_rounded_once(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float16[2,4] x) => (float16[2,5] y) {
        c = Gemm (x, w)
        y = Mul (c, gain)
    }"""
    values = {k: v.astype(np.float16) for k, v in weights(w=(4, 5), gain=(5,)).items()}
    result = apply(text, "fold_affine", weights=values, tolerance=4e-3)
    product = values["w"].astype(np.float32) * values["gain"].astype(np.float32)
    np.testing.assert_array_equal(result.model.graph[0].inputs[1].const_value.numpy(), product.astype(np.float16))


@pytest.mark.parametrize(("op", "number"), [("Mul", 3e38), ("Div", 3e-39)])
def test_a_gain_that_the_weights_cannot_take(apply: Any, op: str, number: float) -> None:
    text = f"""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3,4] x) => (float[2,3,5] y) {{
        c = MatMul (x, w)
        y = {op} (c, gain)
    }}"""
    values = {"w": 8 * weights(w=(4, 5))["w"], "gain": np.full(1, number, np.float32)}
    result = apply(text, "fold_affine", weights=values)
    assert result.ops == ["MatMul", op]
    assert "out of the range" in result.refusals("fold_affine")
