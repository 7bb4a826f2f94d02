from __future__ import annotations

from typing import Any

import numpy as np
import pytest

FORMS = {
    "clip": "s = Add (x, three) c = Clip (s, zero, six) m = Mul (x, c) y = Div (m, six)",
    "clip first": "s = Add (three, x) c = Clip (s, zero, six) d = Div (c, six) y = Mul (d, x)",
    "sixth": "s = Add (x, three) c = Clip (s, zero, six) d = Mul (c, sixth) y = Mul (x, d)",
    "relu and min": "s = Add (x, three) r = Relu (s) c = Min (r, six) d = Div (c, six) y = Mul (x, d)",
    "hard-sigmoid": "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) y = Mul (h, x)",
}
NUMBERS = {n: np.array(v, np.float32) for n, v in {"three": 3, "zero": 0, "six": 6, "sixth": 1 / 6}.items()}


def model(body: str, opset: int) -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    g (float[2,99] a) => (float[2,99] z) {{ x = Neg (a) {body} z = Neg (y) }}"""


@pytest.mark.parametrize("opset", [12, 14, 20])
@pytest.mark.parametrize("form", FORMS)
def test_is_recognised(apply: Any, form: str, opset: int) -> None:
    result = apply(model(FORMS[form], opset), "fuse_hard_swish", weights=NUMBERS)
    assert result.ops == ["Neg", "HardSwish" if opset >= 14 else "edgeworthy::HardSwish", "Neg"]


def test_clip_with_attributes(apply: Any) -> None:
    body = "s = Add (x, three) c = Clip <min = 0.0, max = 6.0> (s) m = Mul (x, c) y = Div (m, six)"
    assert apply(model(body, 9), "fuse_hard_swish", weights=NUMBERS).ops == ["Neg", "edgeworthy::HardSwish", "Neg"]


@pytest.mark.parametrize(
    "body",
    [
        "h = HardSigmoid <alpha = 0.2, beta = 0.5> (x) y = Mul (h, x)",
        "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) y = Mul (h, a)",
        "s = Add (x, three) c = Clip (s, zero, six) y = Div (c, six)",
        "s = Add (x, three) c = Clip (s, zero, sixth) m = Mul (x, c) y = Div (m, six)",
        "y = Clip (x, zero, six)",
    ],
)
def test_what_only_looks_like_it(apply: Any, body: str) -> None:
    assert "HardSwish" not in "".join(apply(model(body, 14), "fuse_hard_swish", weights=NUMBERS).ops)
