"""The targets of the frameworks in whole runs: one model of several inputs and outputs, int64 ids and any batch."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy.artifact import OnnxModel, TensorSpec
from edgeworthy.pipeline.subjects import Cast

TOKENS = '''
    import torch
    from torch import nn


    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8)
            self.head = nn.Linear(8, 4)

        def forward(self, ids, scale):
            x = torch.tanh(self.embedding(ids) * scale)
            return self.head(x), x.sum(-1)


    class Refused(Tokens):
        """TorchScript has no keyword-only **kwargs."""

        def forward(self, ids, scale, **unused):
            return super().forward(ids, scale)
'''
INPUTS = ["ids:int64[batch,5]", "scale:float32[batch,5,8]"]


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tokens.py"
    path.write_text(textwrap.dedent(TOKENS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    random = np.random.default_rng(5)
    inputs = {"ids": random.integers(0, 20, (3, 5)), "scale": random.normal(size=(3, 5, 8)).astype(np.float32)}
    np.savez(tmp_path / "inputs.npz", **inputs)
    return path


def measured(tokens: Path, factory: str, targets: list[str]) -> Any:
    tables = {
        "model": {"source": f"{tokens}:{factory}", "inputs": INPUTS, "inputs_file": str(tokens.parent / "inputs.npz")},
        "output": tokens.parent / factory,
        "targets": targets,
        "convert": {"to": ["saved_model"]},
        "bench": {"seconds": 0.05},
    }
    return edgeworthy.run_config(edgeworthy.load_config(None, tables))


def test_every_framework_agrees_and_is_timed(tokens: Path) -> None:
    asked = ["pytorch", "torchscript", "onnxruntime", "tensorflow", "tensorflow:xla", "keras"]
    report = measured(tokens, "Tokens", asked)
    names = ["PyTorch", "TorchScript", "ONNX Runtime", "SavedModel", "SavedModel XLA", "Keras"]
    assert [hop.name for hop in report.parity.hops] == ["PyTorch float64", *names]
    assert {hop.name: hop.status for hop in report.parity.hops[2:]} == dict.fromkeys(names[1:], "pass")
    assert {row.name: row.status for row in report.latency.rows} == dict.fromkeys(names, "pass")
    assert {row.measured for row in report.latency.rows} == {"host"}
    receipts = {hop.name: hop.receipt for hop in report.parity.hops}
    assert receipts["ONNX Runtime"].nodes == receipts["ONNX Runtime"].delegated
    assert receipts["SavedModel XLA"].ran == "XLA" and receipts["SavedModel XLA"].delegated


def test_what_a_framework_cant_take_is_a_failed_row_with_its_reason(tokens: Path) -> None:
    report = measured(tokens, "Refused", ["pytorch", "torchscript", "onnxruntime"])
    rows = {hop.name: hop for hop in report.parity.hops}
    assert rows["TorchScript"].status == "error" and rows["ONNX Runtime"].status == "pass"
    assert "torch.jit.script can't take this module" in rows["TorchScript"].failure
    assert "method=trace" in rows["TorchScript"].failure


def test_less_than_float32_that_was_asked_for_is_not_judged_by_float32s_noise(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    spec = (TensorSpec("x", "float32", (1,)),)
    names = [
        "onnxruntime:openvino", "onnxruntime:openvino,precision=float32", "onnxruntime:openvino,precision=bfloat16",
        "onnxruntime:cuda,tf32=false", "onnxruntime:cuda,tf32=true",
    ]  # fmt: skip
    cast = Cast(None, {"onnx": OnnxModel(tmp_path / "m.onnx", spec, spec)}, names=names)
    schemes = {subject.runtime: subject.scheme for subject in cast.subjects()}
    assert list(schemes) == names
    assert list(schemes.values()) == ["float32", "float32", "float16", "float32", "float16"]
