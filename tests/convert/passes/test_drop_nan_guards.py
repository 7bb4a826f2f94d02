from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(scores: str) -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3,4] q, float[2,4,5] k, bool[2,3,5] mask) => (float[2,3,5] y) {{
        m = MatMul (q, k) {scores} p = Softmax <axis = -1> (s) n = IsNaN (p) y = Where (n, zero, p)
    }}"""


WEIGHTS = {
    "zero": np.array(0, np.float32),
    "scale": np.array(8, np.float32),
    "bias": np.linspace(-9, 0, 5, dtype=np.float32),
    "causal": np.triu(np.full((3, 5), -np.inf, np.float32), 1),
    "low": np.array(-np.inf, np.float32),
    "least": np.finfo(np.float32).min,
    "quarter": np.float32(0.25),
}

HIDDEN = "h = Where (mask, zero, least) "
"""A mask as transformers writes it."""


@pytest.mark.parametrize("scores", ["s = Div (m, scale)", "s = Add (m, bias)", "r = Add (m, m) s = Mul (scale, r)"])
def test_unmasked_scores_need_no_guard(apply: Any, scores: str) -> None:
    result = apply(model(scores), "drop_nan_guards", weights=WEIGHTS)
    assert result.ops[-1] == "Softmax"


@pytest.mark.parametrize(
    "scores",
    [
        HIDDEN + "s = Add (m, h)",
        HIDDEN + "e = Mul (h, quarter) f = Add (e, e) s = Add (f, m)",
        "s = Where (mask, m, least)",
    ],
)
def test_finite_masks_need_no_guard(apply: Any, scores: str) -> None:
    feeds = {
        "q": np.ones((2, 3, 4), np.float32),
        "k": -np.ones((2, 4, 5), np.float32),
        "mask": np.zeros((2, 3, 5), bool),
    }
    assert apply(model(scores), "drop_nan_guards", weights=WEIGHTS, feeds=feeds).ops[-1] == "Softmax"


@pytest.mark.parametrize("scores", [HIDDEN + "e = Add (h, h) s = Add (m, e)", HIDDEN + "e = Sub (m, h) s = Sub (e, h)"])
def test_masks_beyond_float32_keep_it(apply: Any, scores: str) -> None:
    result = apply(model(scores), "drop_nan_guards", weights=WEIGHTS)
    assert result.ops[-2:] == ["IsNaN", "Where"]


@pytest.mark.parametrize("scores", ["s = Add (m, causal)", "s = Where (mask, m, low)", "s = Log (m)"])
def test_masked_scores_keep_it(apply: Any, scores: str) -> None:
    result = apply(model(scores), "drop_nan_guards", weights=WEIGHTS)
    assert result.ops[-2:] == ["IsNaN", "Where"]
    assert "masked" in result.refusals("drop_nan_guards")


def test_a_masked_row_stays_what_it_is(apply: Any) -> None:
    feeds = {
        "q": np.ones((2, 3, 4), np.float32),
        "k": np.ones((2, 4, 5), np.float32),
        "mask": np.zeros((2, 3, 5), bool),
    }
    apply(model("s = Where (mask, m, low)"), "drop_nan_guards", weights=WEIGHTS, feeds=feeds)
