"""No constant that changes a value is lost on the way: however small it is, in every file that is made."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.artifact import Feeds
from edgeworthy.convert import convert
from edgeworthy.export.check import run_onnx
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.source.load import load_source
from edgeworthy.targets.worker import Worker

EPSILONS = (1e-45, 1e-40, 1e-30, 1e-12, 1e-9, 1e-7)
"""Subnormal in float32, and below and above 1e-8, within which PyTorch's exporter takes a number for 0."""

NETS = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def forward(self, x):
            outputs = {}
            for i, e in enumerate(EPSILONS):
                vector = torch.full((4,), e)
                outputs[f"l1_{i}"] = x / (x.abs().sum(-1, keepdim=True) + e)
                outputs[f"log_{i}"] = torch.log(x.abs() + e)
                outputs[f"left_{i}"] = torch.sqrt(e + x.abs())
                outputs[f"vector_{i}"] = torch.log(x.abs() + vector)
                outputs[f"minus_{i}"] = torch.sqrt((-x.abs() - e).neg())
                outputs[f"times_{i}"] = (x * 1e6) * (1 + e) - x * 1e6
                outputs[f"over_{i}"] = torch.sign(x) * e / e
                outputs[f"most_{i}"] = torch.log(torch.clamp(x, min=e))
            for i, c in enumerate((1.000001, 0.999999)):
                outputs[f"near_one_{i}"] = x * c - x
                outputs[f"near_one_over_{i}"] = x / c - x
            return outputs
"""

X = np.array([[0, 0, 0, 0], [1, -2, 3, 0], [1e-6, 1e-6, -1e-6, 1e-6], [7, 7, 7, 7]], np.float32)


def source(folder: Path) -> Any:
    (folder / "nets.py").write_text(f"EPSILONS = {EPSILONS}\n" + textwrap.dedent(NETS))
    return load_source(f"{folder}/nets.py:Net", inputs=["x:float32[4,4]"])


def normal(arrays: Feeds) -> dict[str, np.ndarray]:
    """Outputs with an epsilon of normal float32: runtimes may take others for 0, as most of TensorFlow's kernels do."""
    subnormal = {str(i) for i, e in enumerate(EPSILONS) if e < np.finfo(np.float32).tiny}
    return {n: a for n, a in arrays.items() if n.rpartition("_")[2] not in subnormal or n.startswith("near")}


def assert_same(got: Feeds, want: Feeds) -> None:
    for name, array in want.items():
        assert np.array_equal(np.isfinite(got[name]), np.isfinite(array)), name
        scale = np.abs(array[np.isfinite(array)]).max(initial=1e-30)
        relative = 0.15 if name.startswith("near") else 1e-6  # a difference of nearly equal numbers
        np.testing.assert_allclose(got[name], array, rtol=relative, atol=relative * scale, err_msg=name)


def test_small_constants_reach_every_file(tmp_path: Path) -> None:
    made = source(tmp_path)
    want = made.run({"x": X})
    assert np.isfinite(want["l1_0"][0]).all() and np.isfinite(want["log_4"]).all()
    exported = export_onnx(made, tmp_path / "m.onnx")
    (outputs,) = run_onnx(exported.model.path, [{"x": X}])
    assert_same(dict(zip(want, outputs, strict=True)), want)
    files = convert(exported.model, tmp_path)
    for target, artifact in (("tflite", files.tflite), ("tensorflow", files.saved_model)):
        assert artifact is not None
        with Worker(target, artifact) as worker:
            assert_same(worker.run({"x": X}), normal(want))


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_the_exporters_keep_their_constants(tmp_path: Path, exporter: Any) -> None:
    made = source(tmp_path)
    export_onnx(made, tmp_path / "m.onnx", exporter=exporter)
    (outputs,) = run_onnx(tmp_path / "m.onnx", [{"x": X}])
    want = made.run({"x": X})
    assert_same(dict(zip(want, outputs, strict=True)), want)


def test_a_program_keeps_its_constants(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / (x.abs().sum(-1, keepdim=True) + 1e-9)

    torch.export.save(torch.export.export(Net(), (torch.from_numpy(X),)), tmp_path / "m.pt2")
    export_onnx(load_source(str(tmp_path / "m.pt2")), tmp_path / "m.onnx")
    ((got,),) = run_onnx(tmp_path / "m.onnx", [{"x": X}])
    np.testing.assert_allclose(got, Net()(torch.from_numpy(X)), rtol=1e-6)
    assert (got[0] == 0).all()
