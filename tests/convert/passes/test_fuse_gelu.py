from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

ERF_FORMS = {
    "torchscript": "u = Div (x, root2) e = Erf (u) v = Add (e, one) m = Mul (x, v) y = Mul (m, half)",
    "decomposed": "u = Mul (x, inv_root2) e = Erf (u) v = Add (one, e) h = Mul (half, x) y = Mul (h, v)",
    "inner half": "u = Mul (inv_root2, x) e = Erf (u) v = Add (e, one) w = Mul (v, half) y = Mul (x, w)",
    "halved": "u = Mul (x, inv_root2) e = Erf (u) f = Mul (e, half) v = Add (f, half) y = Mul (v, x)",
}
TANH_FORMS = {
    "pow": "p = Pow (x, three) c = Mul (p, cubic) s = Add (x, c) u = Mul (s, k) t = Tanh (u) v = Add (t, one) "
    "h = Mul (x, half) y = Mul (h, v)",
    "products": "q = Mul (x, x) p = Mul (q, x) c = Mul (cubic, p) s = Add (c, x) u = Mul (k, s) t = Tanh (u) "
    "v = Add (one, t) m = Mul (x, v) y = Mul (m, half)",
    "factored": "q = Mul (x, x) c = Mul (q, cubic) d = Add (c, one) s = Mul (x, d) u = Mul (s, k) t = Tanh (u) "
    "v = Add (t, one) w = Mul (v, half) y = Mul (w, x)",
    "sigmoid": "p = Pow (x, three) c = Mul (p, cubic) s = Add (x, c) u = Mul (s, k2) g = Sigmoid (u) y = Mul (x, g)",
}
NUMBERS = {
    "root2": 1.4142135, "inv_root2": 0.70710677, "one": 1.0, "half": 0.5, "three": 3.0, "cubic": 0.044715,
    "k": 0.7978845608, "k2": 1.5957691216,
}  # fmt: skip


def model(body: str, opset: int, dtype: str = "float") -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    g ({dtype}[2,3,4] a) => ({dtype}[2,3,4] z) {{ x = Relu (a) {body} z = Neg (y) }}"""


def numbers(dtype: Any = np.float32) -> dict[str, Any]:
    return {name: np.array(value, dtype) for name, value in NUMBERS.items()}


@pytest.mark.parametrize("opset", [9, 13, 17, 20])
@pytest.mark.parametrize("form", ERF_FORMS)
def test_the_exact_form(apply: Any, form: str, opset: int) -> None:
    result = apply(model(ERF_FORMS[form], opset), "fuse_gelu", weights=numbers())
    assert result.ops == ["Relu", "Gelu" if opset >= 20 else "edgeworthy::Gelu", "Neg"]
    gelu = result.node("Gelu")
    assert gelu.attributes["approximate"].as_string() == "none"
    erf = ERF_FORMS[form].split().index("Erf") // 5 + 1
    assert gelu.metadata_props["edgeworthy.module"] == f"module of n{erf}"


@pytest.mark.parametrize("opset", [9, 17, 20])
@pytest.mark.parametrize("form", TANH_FORMS)
def test_the_approximation(apply: Any, form: str, opset: int) -> None:
    result = apply(model(TANH_FORMS[form], opset), "fuse_gelu", weights=numbers())
    assert result.ops == ["Relu", "Gelu" if opset >= 20 else "edgeworthy::Gelu", "Neg"]
    assert result.node("Gelu").attributes["approximate"].as_string() == "tanh"


def test_both_forms_in_one_model(apply: Any) -> None:
    exact = "u0 = Div (x, root2) e0 = Erf (u0) v0 = Add (e0, one) m0 = Mul (x, v0) w = Mul (m0, half) "
    text = model(exact + TANH_FORMS["pow"].replace("x", "w"), 13)
    result = apply(text, "fuse_gelu", weights=numbers())
    assert result.ops == ["Relu", "edgeworthy::Gelu", "edgeworthy::Gelu", "Neg"]
    assert [n.overload for n in result.model.graph][1:3] == ["", "tanh"]
    assert len(result.model.functions) == 2


def test_in_float16(apply: Any) -> None:
    text = model(ERF_FORMS["torchscript"], 20, "float16")
    assert "Gelu" in apply(text, "fuse_gelu", weights=numbers(np.float16), tolerance=4e-3).ops
    text = model(ERF_FORMS["torchscript"], 13, "float16")
    result = apply(text, "fuse_gelu", weights=numbers(np.float16))
    assert "Erf" in result.ops
    assert "isn't float32" in result.refusals("fuse_gelu")


@pytest.mark.parametrize(
    "body",
    [
        "u = Mul (x, quick) g = Sigmoid (u) y = Mul (x, g)",
        "u = Div (x, root2) e = Erf (u) v = Add (e, one) y = Mul (v, half)",
        "u = Div (x, root2) e = Erf (u) v = Add (e, one) m = Mul (a, v) y = Mul (m, half)",
        "u = Div (x, vector) e = Erf (u) v = Add (e, one) m = Mul (x, v) y = Mul (m, half)",
        "y = Tanh (x)",
    ],
)
def test_what_only_looks_like_it(apply: Any, body: str) -> None:
    extra = {"quick": np.array(1.702, np.float32), "vector": np.full(4, 1.4142135, np.float32)}
    result = apply(model(body, 20), "fuse_gelu", weights=numbers() | extra)
    assert "Gelu" not in result.ops


def test_a_result_used_inside_stays(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 20]>
    g (float[2,3] x) => (float[2,3] y, float[2,3] e) {
        u = Div (x, root2) e = Erf (u) v = Add (e, one) m = Mul (x, v) y = Mul (m, half)
    }"""
    assert apply(text, "fuse_gelu", weights=numbers()).ops == ["Div", "Erf", "Add", "Mul", "Mul"]


def test_not_without_a_lowering(apply: Any) -> None:
    text = model(ERF_FORMS["torchscript"], 13)
    result = apply(text, "fuse_gelu", weights=numbers(), is_lowered=lambda domain, op, version: op != "Gelu")
    assert "Erf" in result.ops
    assert "can't be lowered" in result.refusals("fuse_gelu")


def test_the_private_function_passes_the_checker(apply: Any) -> None:
    result = apply(model(ERF_FORMS["torchscript"], 13), "fuse_gelu", weights=numbers())
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
