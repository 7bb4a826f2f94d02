"""Resize by scales, to sizes and out of regions that come at run time, and of images of dynamic size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from ...conformance.adapters import convert_to, run_tflite
from .against_ort import assert_agrees, model_of

F32, I64 = np.float32, np.int64
DYNAMIC = "float[n,c,h,w] y"


def _image(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


@pytest.mark.parametrize(
    "attributes",
    [
        'mode="linear"',
        'mode="linear", coordinate_transformation_mode="asymmetric"',
        'mode="linear", coordinate_transformation_mode="align_corners"',
        'mode="cubic", coordinate_transformation_mode="pytorch_half_pixel"',
        'mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5',
        'mode="nearest"',
        'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"',
    ],
)
def test_scales_that_are_computed(attributes: str, tmp_path: Path) -> None:
    model = model_of(f"(float[2,3,5,6] x, float[4] s) => ({DYNAMIC})", f"y = Resize<{attributes}>(x, , s)")
    scales = ((1, 1, 2, 2), (1, 1, 0.75, 1.3), (1, 1, 0.21, 0.4), (1, 1, 1, 1))
    feeds = [{"x": _image(2, 3, 5, 6), "s": np.array(s, F32)} for s in scales]
    assert_agrees(model, feeds, tmp_path, artifacts=["tflite"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ('y = Resize<mode="cubic">(x, , s)', {"s": np.array([1, 1, 1.5, 0.7], F32)}),
        ('y = Resize<mode="cubic", coordinate_transformation_mode="align_corners">(x, , , s)',
         {"s": np.array([2, 3, 7, 4], I64)}),
        ('y = Resize<mode="linear", axes=[3,2]>(x, , s)', {"s": np.array([1.5, 0.7], F32)}),
        ('a = Shape<start=0, end=2>(x) b = Shape<start=2>(x) c = Add(b, b) s = Concat<axis=0>(a, c)'
         'y = Resize<mode="cubic">(x, , , s)', {}),
    ],
)  # fmt: skip
def test_images_of_dynamic_size(nodes: str, constants: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(f"(float[2,3,height,width] x) => ({DYNAMIC})", nodes, constants)
    feeds = [{"x": _image(2, 3, *size)} for size in ((5, 6), (2, 9), (12, 3))]
    assert_agrees(model, feeds, tmp_path, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("is_constant", [True, False])
def test_a_region(mode: str, is_constant: bool, tmp_path: Path) -> None:
    roi = np.array([0, 0, 0.2, -0.1, 1, 1, 0.7, 0.9], F32)
    nodes = (
        f'y = Resize<mode="{mode}", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=10.0>'
        "(x, roi, , sizes)"
    )
    constants = {"sizes": np.array([1, 2, 3, 5], I64)} | ({"roi": roi} if is_constant else {})
    inputs = "float[1,2,6,7] x" + ("" if is_constant else ", float[8] roi")
    model = model_of(f"({inputs}) => (float[1,2,3,5] y)", nodes, constants)
    feed = {"x": _image(1, 2, 6, 7)} | ({} if is_constant else {"roi": roi})
    assert_agrees(model, [feed], tmp_path, artifacts=["tflite"])


def test_every_axis_is_resized(tmp_path: Path) -> None:
    model = model_of(
        "(float[2,3,4] x) => (float[a,b,c] y)", 'y = Resize<mode="linear">(x, , s)', {"s": np.array([2, 1.5, 0.5], F32)}
    )
    feed = {"x": _image(2, 3, 4)}
    (want,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, feed)
    np.testing.assert_allclose(run_tflite(convert_to("tflite", model, tmp_path), feed)["y"], want, rtol=1e-5, atol=1e-5)
