from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeworthy.convert import convert
from edgeworthy.targets.remote.there.litert import LiteRTModel

from ...targets.functions import Net

WEIGHTS = {
    "front": np.array([[0], [1]]),
    "behind": np.array([[-2], [-1]]),
    "middle": np.array([[1]]),
    "all": np.array([[0], [1], [2], [3]]),
    "gap": np.array([[0], [2]]),
    "back": np.array([[1], [0]]),
    "pairs": np.array([[0, 1], [1, 2]]),
    "column": np.full((4, 1), 2),
    "crooked": np.array([[0], [1], [0], [1]]),
    "one": np.full((1, 1), -1),
    "extents": np.array([4, 1]),
    "zeros": np.zeros((2, 4), np.float32),
}


def model(inputs: str, body: str, output: str) -> str:
    return f'<ir_version: 9, opset_import: ["" : 18]> g ({inputs}) => ({output}) {{ {body} }}'


@pytest.mark.parametrize(
    ("inputs", "body", "ops"),
    [
        ("float[4,5] x, float[2,5] u", "y = ScatterND (x, front, u)", ["Slice", "Concat"]),
        ("float[4,5] x, float[2,5] u", "y = ScatterND (x, behind, u)", ["Slice", "Concat"]),
        ("float[4,5] x, float[1,5] u", "y = ScatterND (x, middle, u)", ["Slice", "Slice", "Concat"]),
        ("float[4,5] x, float[4,5] u", "y = ScatterND (x, all, u)", ["Concat"]),
        ("float[4,5] x, float[4,1] u", "y = ScatterElements <axis = 1> (x, column, u)", ["Slice", "Slice", "Concat"]),
        ("float[4,5] x, float[4,1] u", "i = Expand (one, extents) y = ScatterElements <axis = -1> (x, i, u)",
         ["Expand", "Slice", "Concat"]),
        # Rows whose other extents vary.
        ("float[4,n] x, float[2,n] u", "y = ScatterND (x, front, u)", ["Slice", "Concat"]),
    ],
)  # fmt: skip
def test_slices_are_joined(apply: Any, inputs: str, body: str, ops: list[str]) -> None:
    extents = inputs.partition("]")[0].partition("[")[2]
    result = apply(model(inputs, body, f"float[{extents}] y"), "infer_shapes", "concat_scatters", weights=WEIGHTS)
    assert [op for op in result.ops if op != "Expand"] == [op for op in ops if op != "Expand"]


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ("float[4,5] x, float[2,5] u", "y = ScatterND (x, gap, u)"),
        ("float[4,5] x, float[2,5] u", "y = ScatterND (x, back, u)"),
        ("float[4,5] x, float[2] u", "y = ScatterND (x, pairs, u)"),
        ("float[4,5] x, float[2,5] u", 'y = ScatterND <reduction = "add"> (x, front, u)'),
        ("float[n,5] x, float[2,5] u", "y = ScatterND (x, front, u)"),
        ("float[4,5] x, float[4,1] u", "y = ScatterElements <axis = 1> (x, crooked, u)"),
        # Fewer rows than x has: the others keep what they have.
        ("float[6,5] x, float[4,1] u", "y = ScatterElements <axis = 1> (x, column, u)"),
    ],
)
def test_what_stays(apply: Any, inputs: str, body: str) -> None:
    extents = inputs.partition("]")[0].partition("[")[2]
    result = apply(model(inputs, body, f"float[{extents}] y"), "infer_shapes", "concat_scatters", weights=WEIGHTS)
    assert result.ops in (["ScatterND"], ["ScatterElements"])


def test_what_exporters_turn_is_not_turned(apply: Any) -> None:
    """Two assignments, the second of a constant: one Concat, without a Transpose."""
    body = """a = Transpose <perm = [1,0]> (x) u = Transpose <perm = [1,0]> (v) b = ScatterND (a, front, u)
              c = Transpose <perm = [1,0]> (b) d = Transpose <perm = [1,0]> (c) e = ScatterND (d, behind, zeros)
              y = Transpose <perm = [1,0]> (e)"""
    text = model("float[4,7] x, float[4,2] v", body, "float[4,7] y")
    result = apply(text, "infer_shapes", "concat_scatters", "merge_transposes", "remove_unused", weights=WEIGHTS)
    assert result.ops == ["Slice", "Concat"]
    assert len(result.node("Concat").inputs) == 3


def test_others_keep_their_transposes(apply: Any) -> None:
    body = "a = Transpose <perm = [1,0]> (x) y = ScatterND (a, front, v)"
    text = model("float[7,4] x, float[2,7] v", body, "float[4,7] y")
    assert apply(text, "infer_shapes", "concat_scatters", weights=WEIGHTS).ops == ["Transpose", "Slice", "Concat"]


def _boxes(x: torch.Tensor) -> torch.Tensor:
    """As detectors decode their boxes."""
    y = x.sigmoid().clone()
    y[..., :2] = y[..., :2] * 2 - 0.5
    y[..., 2:4] = (y[..., 2:4] * 2) ** 2
    y[..., -1] = 0
    return y


def _columns(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    y[:, 1:3, ::1, 0] += 1
    y[:, -1] *= y[:, 0]
    return y


@pytest.mark.filterwarnings("ignore")
def test_assignments_go_to_one_partition(tmp_path: Path) -> None:
    x, net = torch.randn(2, 5, 3, 7, generator=torch.Generator().manual_seed(0)), Net([_boxes, _columns]).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (x,), str(path), dynamo=True, input_names=["x"], output_names=["a", "b"], verbose=False)
    made = convert(path, tmp_path, to=("tflite",)).tflite
    assert made is not None
    loaded = LiteRTModel(str(made.path), 1)
    receipt = loaded.receipt()
    assert (receipt["partitions"], receipt["fallback"]) == (1, [])
    for feed in (x, torch.zeros_like(x), x * 30):
        got = loaded.run({"x": feed.numpy()})
        for name, want in zip("ab", net(feed.double()), strict=True):
            np.testing.assert_allclose(got[name], want.float().numpy(), rtol=2e-5, atol=1e-6)
