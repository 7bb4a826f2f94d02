"""Inputs that are made constants: of ONNX files, modules and exported programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeworthy.convert import convert
from edgeworthy.errors import EdgeworthyError
from edgeworthy.export.check import run_onnx
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.source.load import load_source
from edgeworthy.targets.pytorch import PyTorch, PyTorchModel
from edgeworthy.targets.tflite import TFLite

X = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 3)

    def forward(self, sr, x, scale=1.0):
        y = self.lin(x)
        if sr == 16000:
            return y * scale
        return y[:, :sr] - scale
"""


def with_if(path: Path, shape: list[int]) -> Path:
    """y = x·2 if sr == 16000 else -x."""
    value = helper.make_tensor_value_info
    branches = {
        name: helper.make_graph([node], name, [], [value("b", TensorProto.FLOAT, None)])
        for name, node in (
            ("then_branch", helper.make_node("Mul", ["x", "two"], ["b"])),
            ("else_branch", helper.make_node("Neg", ["x"], ["b"])),
        )
    }
    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["same"]),
        helper.make_node("If", ["same"], ["y"], **branches),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["n", 6]), value("sr", TensorProto.INT64, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32(2), "two"), numpy_helper.from_array(np.int64(16000), "rate")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("shape", [[], [1]])
@pytest.mark.parametrize(("rate", "factor"), [(16000, 2.0), (8000, -1.0)])
def test_an_onnx_file(tmp_path: Path, shape: list[int], rate: int, factor: float) -> None:
    path = with_if(tmp_path / "m.onnx", shape)
    source = load_source(str(path), bind={"sr": rate}, inputs=["x:float32[2,6]"])
    assert [s.name for s in source.inputs] == ["x"] and list(source.examples) == ["x"]
    exported = export_onnx(source, tmp_path / "out.onnx")
    assert [s.name for s in exported.model.inputs] == ["x"]
    assert f"the input 'sr' is bound to {rate}" in exported.notes
    ((y,),) = run_onnx(exported.model.path, [{"x": X}])
    np.testing.assert_array_equal(y, X * np.float32(factor))
    made = convert(exported.model, tmp_path, to=["tflite"]).tflite
    assert made is not None and [s.name for s in made.inputs] == ["x"]
    np.testing.assert_array_equal(TFLite().load(made).run({"x": X})["y"], X * np.float32(factor))


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("bind", [{"sr": 16000, "scale": 0.5}, {"sr": 2}])
def test_a_module(tmp_path: Path, exporter: Any, bind: dict[str, Any]) -> None:
    (tmp_path / "net.py").write_text(NET)
    spec = f"{tmp_path}/net.py:Net"
    source = load_source(spec, bind=bind, inputs=["x:float32[n,6]"])
    assert [s.name for s in source.inputs] == ["x"]
    plain: Any = load_source(spec, inputs=["x:float32[n,6]", "sr:int64[]"]).module
    want = plain(bind["sr"], torch.from_numpy(X), bind.get("scale", 1.0)).detach().numpy()
    exported = export_onnx(source, tmp_path / "m.onnx", exporter=exporter)
    ((y,),) = run_onnx(exported.model.path, [{"x": X}])
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    model = PyTorchModel.of(spec, source.inputs, exported.model.outputs, bind=source.bound)
    np.testing.assert_array_equal(PyTorch().load(model).run({"x": X})["output"], want)
    assert source.module is not None and list(source.module.state_dict()) == ["lin.weight", "lin.bias"]


class Shifted(nn.Module):
    def forward(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return x * 3 + by


def test_an_exported_program(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(Shifted(), (torch.from_numpy(X), torch.tensor(1.0))), path)
    source = load_source(str(path), bind={"by": 2.5}, inputs=["x:float32[2,6]"])
    exported = export_onnx(source, tmp_path / "m.onnx")
    assert [s.name for s in exported.model.inputs] == ["x"]
    ((y,),) = run_onnx(exported.model.path, [{"x": X}])
    np.testing.assert_allclose(y, X * 3 + 2.5, rtol=1e-6)


def test_what_cannot_be_bound(tmp_path: Path, refused: Callable[..., EdgeworthyError]) -> None:
    path = with_if(tmp_path / "m.onnx", [])
    assert "no input named 'rate' to bind" in refused(path, bind={"rate": 1}).what
    assert "can't be 0.5" in refused(path, bind={"sr": 0.5}).what
    assert "no input named 'sr'" in refused(path, bind={"sr": 1}, inputs=["sr:int64[]"]).what
    torch.jit.save(torch.jit.script(Shifted()), tmp_path / "m.ts.pt")  # type: ignore[no-untyped-call]
    assert "TorchScript" in refused(tmp_path / "m.ts.pt", bind={"by": 1}, inputs=["x:float32[2,6]"]).what
