from __future__ import annotations

from typing import Any

import numpy as np
import pytest

NUMBERS = {n: np.array(v, np.float32) for n, v in {"eps": 1e-6, "two": 2}.items()}
GAMMA = {"gamma": np.random.default_rng(0).normal(size=8).astype(np.float32)}


def model(body: str, opset: int) -> str:
    axes = "axes = Constant <value = int64[1] {-1}> ()" if opset >= 18 else ""
    body = body if opset >= 18 else body.replace("ReduceMean (q, axes)", "ReduceMean <axes = [-1]> (q)")
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[2,3,8] x) => (float[2,3,8] y) {{ {axes} {body} }}'


FORMS = [
    "q = Pow (x, two) v = ReduceMean (q, axes) e = Add (v, eps) s = Sqrt (e) r = Reciprocal (s) n = Mul (x, r)",
    "q = Mul (x, x) v = ReduceMean (q, axes) e = Add (eps, v) s = Sqrt (e) n = Div (x, s)",
]


@pytest.mark.parametrize("opset", [13, 17, 18, 20, 23])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scaled", [True, False])
def test_is_recognised(apply: Any, form: str, opset: int, scaled: bool) -> None:
    body = f"{form} y = Mul (gamma, n)" if scaled else form.replace(" n = ", " y = ")
    result = apply(model(body, opset), "fuse_rms_norm", weights=NUMBERS | GAMMA)
    assert result.ops == ["RMSNormalization" if opset >= 23 else "edgeworthy::RMSNormalization"]
    assert result.model.graph[0].attributes["epsilon"].as_float() == pytest.approx(1e-6)


def test_a_bias_stays(apply: Any) -> None:
    result = apply(
        model(FORMS[0] + " m = Mul (n, gamma) y = Add (m, gamma)", 20), "fuse_rms_norm", weights=NUMBERS | GAMMA
    )
    assert result.ops == ["edgeworthy::RMSNormalization", "Add"]


def test_another_numerator_is_left_alone(apply: Any) -> None:
    body = "z = Neg (x) q = Mul (x, x) v = ReduceMean (q, axes) e = Add (v, eps) s = Sqrt (e) y = Div (z, s)"
    assert "Sqrt" in apply(model(body, 20), "fuse_rms_norm", weights=NUMBERS).ops
