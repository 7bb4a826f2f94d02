"""One file for every batch: operators whose lowering once asked for its number, at three of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .against_ort import assert_agrees, model_of

CASES = [
    ("Hardmax<axis = -1>(x)", 22, "[p,q,r,s]"),
    ("Hardmax<axis = 1>(x)", 22, "[p,q,r,s]"),
    ("Hardmax<axis = 0>(x)", 22, "[p,q,r,s]"),
    ("Hardmax<axis = 1>(x)", 11, "[p,q,r,s]"),
    ("Softmax<axis = 1>(x)", 11, "[p,q,r,s]"),
    ("LogSoftmax<axis = 2>(x)", 12, "[p,q,r,s]"),
    ("Softmax<axis = 0>(x)", 11, "[p,q,r,s]"),
    ("Pad(x, pads, value)", 21, "[p,q,r,s]"),
]


@pytest.mark.parametrize("extents", ["n,4,2,3", "n,4,h,w"])
@pytest.mark.parametrize(("node", "opset", "out"), CASES)
def test_any_batch_and_size(node: str, opset: int, out: str, extents: str, tmp_path: Path) -> None:
    value = ", float value" if "value" in node else ""
    pads = {"pads": np.array([0, 1, 0, 2, 1, 0, 3, 0])} if value else {}
    model = model_of(f"(float[{extents}] x{value}) => (float{out} y)", f"y = {node}", pads, opset=opset)
    rng = np.random.default_rng(0)
    sizes = [(1, 4, 2, 3), (3, 4, 2, 3), (2, 4, 2, 3) if "h" not in extents else (2, 4, 5, 1)]
    feeds = [{"x": rng.integers(-3, 3, size).astype(np.float32)} for size in sizes]  # with ties
    for feed in feeds if value else ():
        feed["value"] = np.array(-7, np.float32)
    assert_agrees(model, feeds, tmp_path, artifacts=("tflite",))


def test_a_mask_and_a_diagonal(tmp_path: Path) -> None:
    model = model_of(
        "(float[n,5] x) => (float[n,5] y, bool[n,5] mask, float[n,5] low, int32[n,5] high)",
        "y, mask = Dropout(x) low = EyeLike<k = -1>(x) high = EyeLike<k = 2, dtype = 6>(x)",
    )
    feeds = [{"x": np.ones((n, 5), np.float32)} for n in (1, 3, 7)]
    assert_agrees(model, feeds, tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_columns_become_images(channels: int, tmp_path: Path) -> None:
    """As torch.nn.functional.fold is exported."""
    model = model_of(
        f"(float[n,{channels * 6},8] x) => (float[n,c,h,w] y)",
        "y = Col2Im<strides = [2,1], pads = [1,0,0,1], dilations = [1,2]>(x, image, block)",
        {"image": np.array([4, 7]), "block": np.array([2, 3])},
    )
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((n, channels * 6, 8)).astype(np.float32)} for n in (1, 2, 5)]
    assert_agrees(model, feeds, tmp_path)


_LOW, _HIGH = -(2**63) + 1, 2**63 - 1


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [(-1, _LOW, -1), (_HIGH, _LOW, -2), (3, _LOW, -1), (-1, -4, -2), (5, 1, -1), (100, -100, -3), (1, -1, 2),
     (-100, 3, 1), (-3, _HIGH, 1)],
)  # fmt: skip
def test_slices_in_both_directions(start: int, stop: int, step: int, tmp_path: Path) -> None:
    """torch.flip of a batch; bounds beyond either end."""
    bounds = {"s": np.array([start]), "e": np.array([stop]), "a": np.array([0]), "t": np.array([step])}
    model = model_of("(float[n,3] x) => (float[m,3] y)", "y = Slice(x, s, e, a, t)", bounds)
    feeds = [{"x": np.arange(3 * n, dtype=np.float32).reshape(n, 3)} for n in (4, 7, 101)]
    assert_agrees(model, feeds, tmp_path, artifacts=("tflite",))


def test_a_backward_slice_from_before_the_first_element(tmp_path: Path) -> None:
    """ONNX takes the first element, where Python takes none."""
    bounds = {"s": np.array([-9]), "e": np.array([_LOW]), "a": np.array([0]), "t": np.array([-1])}
    model = model_of("(float[2,3] x) => (float[m,3] y)", "y = Slice(x, s, e, a, t)", bounds)
    assert_agrees(model, [{"x": np.arange(6, dtype=np.float32).reshape(2, 3)}], tmp_path)
