from __future__ import annotations

from typing import Any

import numpy as np
import pytest

WEIGHTS = {
    "w": np.random.default_rng(0).standard_normal((12, 4, 3, 3)).astype(np.float32),
    "half": np.random.default_rng(1).standard_normal((12, 2, 3, 3)).astype(np.float32),
    "b": np.arange(12, dtype=np.float32),
}


def model(body: str, outputs: str = "float[1,3,10,8] y") -> str:
    return f'<ir_version: 8, opset_import: ["" : 18]> g (float[1,4,7,6] x) => ({outputs}) {{ {body} }}'


@pytest.mark.parametrize(
    "body",
    [
        'c = Conv(x, w, b) y = DepthToSpace<blocksize=2, mode="CRD">(c)',
        'c = Conv(x, w) r = LeakyRelu<alpha=0.1>(c) y = DepthToSpace<blocksize=2, mode="CRD">(r)',
    ],
)
def test_the_order_goes_into_the_weights(body: str, apply: Any) -> None:
    result = apply(model(body), "fold_pixel_shuffle", weights=WEIGHTS)
    assert result.node("DepthToSpace").attributes["mode"].value == "DCR"
    again = apply(model(body), "fold_pixel_shuffle", "fold_pixel_shuffle", weights=WEIGHTS)
    assert again.reports["fold_pixel_shuffle"].changed == 0


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("c = Conv(x, w, b) y = DepthToSpace<blocksize=2, mode=\"CRD\">(c) z = Neg(c)",
         "float[1,3,10,8] y, float[1,12,5,4] z"),
        ("c = Conv<group=2>(x, half, b) y = DepthToSpace<blocksize=2, mode=\"CRD\">(c)", "float[1,3,10,8] y"),
        ("v = Neg(w) c = Conv(x, v, b) y = DepthToSpace<blocksize=2, mode=\"CRD\">(c)", "float[1,3,10,8] y"),
        ("y = DepthToSpace<blocksize=2, mode=\"CRD\">(x)", "float[1,1,14,12] y"),
    ],
    ids=["used twice", "groups", "computed weights", "no convolution"],
)  # fmt: skip
def test_is_left_alone(body: str, outputs: str, apply: Any) -> None:
    result = apply(model(body, outputs), "fold_pixel_shuffle", weights=WEIGHTS)
    assert result.node("DepthToSpace").attributes["mode"].value == "CRD"
