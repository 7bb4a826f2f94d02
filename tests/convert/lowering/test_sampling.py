"""Grids, deformable windows and their inverse, with sizes that are constant or come at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from edgeworthy.formats.tflite.summary import summarize

from ...conformance.adapters import convert_to, run_saved_model, run_tflite
from .against_ort import model_of

F32, I64 = np.float32, np.int64


def _normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


@pytest.mark.parametrize("is_constant", [True, False])
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 3, 1), (2, 3, 2, 4, 3)])
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own, of an extent of 1
def test_an_affine_grid(size: tuple[int, ...], corners: bool, is_constant: bool, tmp_path: Path) -> None:
    dims = len(size) - 2
    shape = f"float[n,{dims},{dims + 1}] theta"
    model = model_of(
        f"({shape}{'' if is_constant else f', int64[{dims + 2}] size'}) => (float[{'n,h,w,d,k'[: 2 * dims + 3]}] y)",
        f"y = AffineGrid<align_corners={int(corners)}>(theta, size)",
        {"size": np.array(size, I64)} if is_constant else None,
    )
    theta = _normal(2, dims, dims + 1)
    feed = {"theta": theta} | ({} if is_constant else {"size": np.array(size, I64)})
    want = torch.nn.functional.affine_grid(torch.tensor(theta), list(size), align_corners=corners).numpy()
    got = run_tflite(convert_to("tflite", model, tmp_path), feed)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize(
    ("attributes", "weights", "groups", "out", "masked"),
    [
        ("strides=[2,1], pads=[1,0,1,2], dilations=[1,2]", (6, 4, 3, 2), 1, (4, 7), True),
        ("group=2, offset_group=2, pads=[1,1,1,1]", (6, 2, 3, 3), 2, (7, 7), False),
    ],
)
def test_a_deformable_convolution(
    attributes: str, weights: tuple[int, ...], groups: int, out: tuple[int, int], masked: bool, computed: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Offsets of several elements, so that some windows look outside."""
    taps = weights[2] * weights[3]
    arrays = {
        "x": _normal(2, 4, 7, 7), "w": _normal(*weights), "b": _normal(6),
        "o": 3 * _normal(2, groups * taps * 2, *out), "m": np.abs(_normal(2, groups * taps, *out)),
    }  # fmt: skip
    inputs = ["x", "o", *("m" if masked else ""), *("w" if computed else "")]
    shapes = {name: [*("n" if name in "xom" else ()), *arrays[name].shape[name in "xom" :]] for name in inputs}
    signature = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in shapes.items())
    model = model_of(
        f"({signature}) => (float[n,c,h,v] y)",
        f"y = DeformConv<{attributes}>(x, w, o, b{', m' if masked else ''})",
        {name: arrays[name] for name in ("w", "b") if name not in inputs},
    )
    feed = {name: arrays[name] for name in inputs}
    (want,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, feed)
    for artifact, run in (("tflite", run_tflite), ("saved_model", run_saved_model))[: 1 if computed else 2]:
        (tmp_path / artifact).mkdir()
        got = run(convert_to(artifact, model, tmp_path / artifact), feed)["y"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_constant", [True, False])
def test_columns_become_an_image(is_constant: bool, tmp_path: Path) -> None:
    sizes = {"image": np.array([7, 6], I64), "block": np.array([3, 2], I64)}
    inputs = "float[2,18,12] x" + ("" if is_constant else ", int64[2] image, int64[2] block")
    model = model_of(
        f"({inputs}) => (float[2,3,7,6] y)",
        "y = Col2Im<strides=[2,1], dilations=[2,3], pads=[1,0,2,1]>(x, image, block)", sizes if is_constant else None,
    )  # fmt: skip
    feed = {"x": _normal(2, 18, 12)} | ({} if is_constant else sizes)
    (want,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, feed)
    made = convert_to("tflite", model, tmp_path)
    np.testing.assert_allclose(run_tflite(made, feed)["y"], want, rtol=1e-5, atol=1e-5)
    assert not is_constant or sum(summarize(made).op_counts.values()) == 6
