from __future__ import annotations

from typing import Any

import numpy as np
import pytest

DRAW = np.random.default_rng(1)


def graph(body: str, x: str = "2,4,6,6", y: str = "2,4,6,6") -> str:
    return f'<ir_version: 9, opset_import: ["" : 18]> g (float[{x}] x) => (float[{y}] y) {{ {body} }}'


def numbers(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


WEIGHTS = {
    "w": numbers(4, 4, 3, 3), "v": numbers(4, 4, 1, 1), "u": numbers(4, 4, 3, 3), "b": numbers(4), "c": numbers(4),
    "wide": numbers(4, 4, 1, 3), "high": numbers(4, 4, 3, 1),
    "d": numbers(4, 1, 3, 3), "e": numbers(4, 1, 1, 1), "s": numbers(4, 1, 5, 5),
    "g": numbers(4, 1, 1), "h": numbers(1, 4, 1, 1), "rows": numbers(6, 1),
}  # fmt: skip
THREE, ONE = "Conv <pads = [1,1,1,1]>", "Conv"
DEPTH, POINT, FIVE = "Conv <pads = [1,1,1,1], group = 4>", "Conv <group = 4>", "Conv <pads = [2,2,2,2], group = 4>"


@pytest.mark.parametrize(
    "body",
    [
        f"p = {THREE} (x, w, b) q = {ONE} (x, v, c) y = Add (p, q)",
        f"p = {THREE} (x, w) q = {ONE} (x, v) y = Add (q, p)",
        f"p = {THREE} (x, w, b) q = {ONE} (x, v) y = Sub (q, p)",
        f"p = {THREE} (x, w) q = {THREE} (x, u, c) y = Sub (p, q)",
        f"p = {THREE} (x, w, b) y = Add (p, p)",
        f"p = {THREE} (x, w) q = Conv <pads = [0,1,0,1]> (x, wide, c) y = Add (p, q)",
        # Five, three and one, and what is left of two batch normalizations.
        f"p = {FIVE} (x, s, b) q = {DEPTH} (x, d) r = {POINT} (x, e, c) t = Add (p, q) y = Add (r, t)",
        f"p = {DEPTH} (x, d, b) m = Mul (x, g) n = Add (m, h) q = Add (n, p) k = Mul (h, x) l = Add (k, g) "
        "y = Sub (q, l)",
        f"p = {DEPTH} (x, d) m = Mul (x, g) y = Sub (m, p)",
    ],
)  # fmt: skip
def test_side_by_side(apply: Any, body: str) -> None:
    assert apply(graph(body), "merge_convolutions", weights=WEIGHTS).ops == ["Conv"]


def test_strides_dilations_and_any_batch(apply: Any) -> None:
    body = """p = Conv <pads = [2,2,2,2], dilations = [2,2], strides = [2,2]> (x, w, b)
    q = Conv <strides = [2,2]> (x, v) y = Add (p, q)"""
    result = apply(graph(body, "n,4,7,m", "n,4,4,k"), "merge_convolutions", weights=WEIGHTS)
    assert result.ops == ["Conv"]


@pytest.mark.parametrize(
    "body",
    [
        f"p = {THREE} (x, w) y = Add (p, x)",  # a residual block
        f"p = {THREE} (x, w) q = {ONE} (x, v) t = Add (p, q) y = Mul (t, q)",  # one is used elsewhere
        f"p = {THREE} (x, w) r = Relu (x) q = {ONE} (r, v) y = Add (p, q)",
        f"p = {THREE} (x, w) q = {DEPTH} (x, d) y = Add (p, q)",
        f"p = {THREE} (x, w) q = Conv <pads = [2,2,2,2], dilations = [2,2]> (x, u) y = Add (p, q)",
        "p = Conv <pads = [0,1,0,1]> (x, wide) q = Conv <pads = [1,0,1,0]> (x, high) y = Add (p, q)",
        f"p = {THREE} (x, w) q = Conv <pads = [2,2,0,0]> (x, u) y = Add (p, q)",  # another place
        f"p = {THREE} (x, w) q = {THREE} (x, w) y = Add (p, q)",  # weights that are shared
        f"p = {THREE} (x, w) m = Mul (x, g) y = Add (p, m)",  # on the diagonal of a dense one
        f"p = {DEPTH} (x, d) m = Mul (x, rows) y = Add (p, m)",
    ],
)
def test_others_stay(apply: Any, body: str) -> None:
    result = apply(graph(body), "merge_convolutions", weights=WEIGHTS)
    assert result.reports["merge_convolutions"].changed == 0


def test_a_sum_that_its_type_does_not_hold_stays(apply: Any) -> None:
    body = "p = Conv (x, w) q = Conv (x, v) y = Sub (p, q)"
    text = graph(body, "1,1,1,1", "1,1,1,1").replace("float[", "float16[")
    weights = {"w": np.full((1, 1, 1, 1), 4e4, np.float16), "v": np.full((1, 1, 1, 1), -4e4, np.float16)}
    result = apply(text, "merge_convolutions", weights=weights, feeds={"x": np.full((1, 1, 1, 1), 0.25, np.float16)})
    assert result.ops == ["Conv", "Conv", "Sub"]
