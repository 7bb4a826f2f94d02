"""Transposed convolutions as plain ones, for each place of the blocks that elements become, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edgeworthy.convert import convert
from edgeworthy.formats.tflite.summary import summarize

from ...conformance.adapters import run_tflite
from .against_ort import model_of

IMAGE, ROW = "float[n,4,h,w]", "float[n,4,l]"
CASES = {
    # attributes, weights, input, its type, convolutions of the file; None: it stays a TRANSPOSE_CONV
    "padded": ("strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]", (4, 3, 3, 3), (1, 4, 5, 6), "float[1,4,5,6]", 4),
    "cut": ("strides=[2,2]", (4, 3, 3, 3), (2, 4, 5, 6), "float[2,4,5,6]", 4),
    "alike": ("strides=[2,2], pads=[2,2,0,1]", (4, 3, 4, 4), (1, 4, 3, 2), "float[1,4,3,2]", 1),
    "of five": ("strides=[2,2], pads=[2,2,2,2], output_padding=[1,0]", (4, 2, 5, 5), (1, 4, 1, 4), "float[1,4,1,4]", 4),
    "no stride": ("pads=[1,0,1,2]", (4, 3, 3, 3), (1, 4, 5, 6), "float[1,4,5,6]", 1),
    "blocks": ("strides=[3,3], output_padding=[2,1]", (4, 3, 3, 3), (1, 4, 2, 3), "float[1,4,2,3]", 1),
    "groups": ("strides=[2,2], pads=[1,1,1,1], group=2", (4, 3, 4, 4), (1, 4, 5, 6), "float[1,4,5,6]", 4),
    "depthwise": ("strides=[2,2], pads=[1,1,1,1], group=4", (4, 2, 4, 4), (1, 4, 5, 6), "float[1,4,5,6]", 8),
    "dilated": ("strides=[2,2], dilations=[2,1]", (4, 3, 3, 3), (1, 4, 3, 3), "float[1,4,3,3]", 4),
    "shaped": ("strides=[2,2], output_shape=[7,9]", (4, 3, 3, 3), (1, 4, 4, 4), "float[1,4,4,4]", 4),
    "image of any size": ("strides=[2,2], pads=[1,1,1,1]", (4, 3, 4, 4), (2, 4, 3, 5), IMAGE, 4),
    "and cut": ("strides=[2,2], pads=[0,1,1,0]", (4, 3, 3, 3), (2, 4, 3, 5), IMAGE, 4),
    "row": ("strides=[8], pads=[4,4]", (4, 3, 16), (2, 4, 5), ROW, 2),
    "many places": ("strides=[4,4], pads=[2,2,2,2]", (4, 3, 8, 8), (1, 4, 3, 3), "float[1,4,3,3]", None),
    "gaps": ("strides=[3,3]", (4, 3, 2, 2), (1, 4, 3, 3), "float[1,4,3,3]", None),
    "another form": ("strides=[1,2]", (4, 3, 3, 3), (1, 4, 3, 3), "float[1,4,3,3]", 2),
    "two strides": ("strides=[3,2]", (4, 3, 3, 3), (1, 4, 3, 3), "float[1,4,3,3]", None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_values(case: str, tmp_path: Path) -> None:
    attributes, shape, extents, kind, convolutions = CASES[case]
    drawn = np.random.default_rng(sum(map(ord, case)))
    groups = int(attributes.partition("group=")[2][:1] or 1)
    constants = {"w": drawn.standard_normal(shape, np.float32)}
    constants["b"] = drawn.standard_normal(shape[1] * groups, np.float32)
    rank = len(extents)
    y = f"float[{','.join('pqrs'[:rank])}] y"
    source = tmp_path / "m.onnx"
    source.write_bytes(model_of(f"({kind} x) => ({y})", f"y = ConvTranspose<{attributes}>(x, w, b)", constants))
    made = convert(source, tmp_path, to=["tflite"])
    assert made.tflite is not None
    counts = summarize(made.tflite.path).op_counts
    assert counts.get("TRANSPOSE_CONV", 0) == (convolutions is None)
    assert counts.get("CONV_2D", 0) + counts.get("DEPTHWISE_CONV_2D", 0) == (convolutions or 0)
    x = drawn.standard_normal(extents, np.float32)
    x.flat[:2] = 0, -0.0
    (truth,) = ort.InferenceSession(source).run(["y"], {"x": x})
    np.testing.assert_allclose(run_tflite(made.tflite.path, {"x": x})["y"], truth, rtol=0, atol=1e-5)
