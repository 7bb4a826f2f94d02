from __future__ import annotations

from typing import Any

import numpy as np
import pytest

W = {"w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)}


def model(body: str, opset: int = 13, out: str = "n,4,h,w") -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,3,8,8] x) => (float[{out}] y) {{ {body} }}'


@pytest.mark.parametrize(
    ("pad", "opset"),
    [
        ("p = Pad <pads = [0,0,1,2,0,0,3,0]> (x)", 7),
        ("pads = Constant <value = int64[8] {0,0,1,2,0,0,3,0}> () p = Pad (x, pads)", 13),
        ("pads = Constant <value = int64[4] {1,2,3,0}> () a = Constant <value = int64[2] {2,-1}> () "
         "p = Pad (x, pads, , a)", 18),
    ],
)  # fmt: skip
def test_into_a_convolution(apply: Any, pad: str, opset: int) -> None:
    result = apply(model(f"{pad} y = Conv <pads = [1,1,0,0]> (p, w)", opset), "fuse_pad", weights=W)
    assert result.ops == ["Conv"]
    assert result.node("Conv").attributes["pads"].as_ints() == (2, 3, 3, 0)
    assert result.node("Conv").metadata_props["edgeworthy.module"].startswith("module of n")


PADS = "pads = Constant <value = int64[8] {0,0,1,1,0,0,1,1}> ()"


def test_into_several_convolutions(apply: Any) -> None:
    body = f"{PADS} p = Pad (x, pads) a = Conv (p, w) b = Conv (p, w) y = Add (a, b)"
    assert apply(model(body), "fuse_pad", weights=W).ops == ["Conv", "Conv", "Add"]


@pytest.mark.parametrize(
    ("body", "fuses"),
    [
        (f"r = Relu (x) {PADS} p = Pad (r, pads)", True),
        (f"r = Sigmoid (x) {PADS} p = Pad (r, pads)", True),
        (f"low = Constant <value = float {{-inf}}> () {PADS} p = Pad (x, pads, low)", True),
        (f"low = Constant <value = float {{-3.4028234663852886e38}}> () {PADS} p = Pad (x, pads, low)", True),
        (f"{PADS} p = Pad (x, pads)", False),
        (f"one = Constant <value = float {{1}}> () r = Relu (x) {PADS} p = Pad (r, pads, one)", False),
    ],
)
def test_into_a_max_pooling(apply: Any, body: str, fuses: bool) -> None:
    body = f"{body} y = MaxPool <kernel_shape = [2,2]> (p)"
    weights = {"low": np.array(-np.inf, np.float32)} if "{-inf}" in body else None
    body = body.replace("low = Constant <value = float {-inf}> () ", "")
    result = apply(model(body, out="n,3,h,w"), "fuse_pad", weights=weights)
    assert ("Pad" not in result.ops) == fuses
    assert fuses or "a max pooling with the lowest number" in result.refusals("fuse_pad")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{PADS} p = Pad <mode = \"reflect\"> (x, pads) y = Conv (p, w)", "isn't constant"),
        ("pads = Constant <value = int64[8] {0,1,1,1,0,0,1,1}> () p = Pad (x, pads) y = Conv (p, v)", "axes"),
        ("pads = Constant <value = int64[8] {0,0,-1,1,0,0,1,1}> () p = Pad (x, pads) y = Conv (p, w)", "crops"),
        (f"one = Constant <value = float {{1}}> () {PADS} p = Pad (x, pads, one) y = Conv (p, w)", "pads with 1.0"),
        (f"{PADS} p = Pad (x, pads) y = Conv <auto_pad = \"SAME_UPPER\"> (p, w)", "auto_pad"),
        (f"r = Relu (x) {PADS} p = Pad (r, pads) y = MaxPool <kernel_shape = [2,2], ceil_mode = 1> (p)", "rounds"),
        ("r = Relu (x) pads = Constant <value = int64[8] {0,0,2,1,0,0,1,1}> () p = Pad (r, pads) "
         "y = MaxPool <kernel_shape = [2,2]> (p)", "in the padding"),
        (f"{PADS} p = Pad (x, pads) y = AveragePool <kernel_shape = [2,2]> (p)", ""),
        (f"{PADS} p = Pad (x, pads) c = Conv (p, w) a = Relu (p) d = Conv (a, w) y = Add (c, d)", ""),
    ],
)  # fmt: skip
def test_leaves_alone(apply: Any, body: str, reason: str) -> None:
    extra = {"v": np.random.default_rng(1).normal(size=(4, 4, 3, 3)).astype(np.float32)} if "v)" in body else {}
    out = "n,3,h,w" if "Pool" in body else "n,4,h,w"
    result = apply(model(body, out=out), "fuse_pad", weights=W | extra)
    assert "Pad" in result.ops
    assert reason in result.refusals("fuse_pad")


def test_a_pad_that_is_an_output_stays(apply: Any) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,8,8] x) => (float[n,4,h,w] y, float[n,3,h,w] p) {{
        {PADS} p = Pad (x, pads) y = Conv (p, w)
    }}"""
    assert apply(text, "fuse_pad", weights=W).ops == ["Pad", "Conv"]
