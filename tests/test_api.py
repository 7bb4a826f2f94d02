"""The Python API: the command line's verbs, and modules that are in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.validate import report as reports
from edgeworthy.validate.results import Report

ROOT = Path(__file__).parents[1]
VERBS = (
    "export",
    "convert",
    "quantize",
    "recommend",
    "validate",
    "bench",
    "gate",
    "report",
    "inspect",
    "run",
    "export_android",
)
QUICK: dict[str, Any] = {
    "convert": {"to": ["tflite"]},
    "quantize": {"schemes": ["float16"]},
    "bench": {"seconds": 0.05},
    "validate": {"samples": 2},
}


class Net(nn.Module):
    """Dropout, a buffer and two inputs: what has to come out right of a copy in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("shift", torch.arange(3.0))

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.drop(self.linear(x)) * scale + self.shift


def inputs(batch: int = 2) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {"x": torch.randn(batch, 4, generator=random), "scale": torch.tensor([2.0, 0.0, -1.0])}


def test_the_verbs_are_there_before_and_after_their_rooms_are_loaded() -> None:
    code = "import edgeworthy as e\n"
    code += f"print(all(callable(getattr(e, v)) for v in {VERBS}))\n"
    code += "import edgeworthy.validate.gate as g, edgeworthy.export.errors\nfrom edgeworthy.convert import convert\n"
    code += f"print(all(callable(getattr(e, v)) for v in {VERBS}), g.evaluate is not None)\n"
    code += "print(set(e.__all__) <= set(dir(e)))\n"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True"] * 4
    with pytest.raises(AttributeError):
        edgeworthy.evaluate  # noqa: B018


def test_a_module_goes_through_the_whole_pipeline(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net()
    out = tmp_path / "out"
    report = edgeworthy.run(net, str(out), example_inputs=inputs(), **QUICK)
    assert net.training, "the module itself is left as it is"
    assert report.gate and report.gate.status == "pass"
    assert report.parity and report.latency
    assert [h.name for h in report.parity.hops][:3] == ["PyTorch float64", "PyTorch", "ONNX Runtime"]
    assert {r.status for r in report.latency.rows if r.runtime == "pytorch"} == {"pass"}
    assert report.latency.fed == "x:float32[2,4], scale:float32[3]"

    feeds = {name: tensor.numpy() for name, tensor in inputs().items()}
    got = onnxruntime.InferenceSession(str(out / "model.onnx")).run(None, feeds)[0]
    with torch.no_grad():
        want = net.eval()(**inputs()).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)

    again = edgeworthy.run(net, out, example_inputs=inputs(), **QUICK)
    assert again.notes, "nothing changed: all is taken over"
    with torch.no_grad():
        net.shift.add_(1)
    edgeworthy.export(net, out, example_inputs=inputs(), **QUICK)
    other = onnxruntime.InferenceSession(str(out / "model.onnx")).run(None, feeds)[0]
    np.testing.assert_allclose(other, want + 1, rtol=1e-5, atol=1e-6)


def test_named_dimensions_of_a_module_are_dynamic(tmp_path: Path) -> None:
    specs = ["x:float32[batch,4]", "scale:float32[3]"]
    model = {"inputs": specs}
    report = edgeworthy.convert(Net(), tmp_path, example_inputs=inputs(1), model=model, **QUICK)
    assert [str(t) for t in report.model.inputs] == specs
    artifact = report.artifact("tflite_float32")
    assert artifact and isinstance(artifact.inputs[0].shape[0], str)


def test_a_module_of_a_script_needs_no_file_of_its_own(tmp_path: Path) -> None:
    """Its class lives in ``__main__`` and closes over a lambda: nothing of it could be pickled."""
    script = f"""
import torch, edgeworthy
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.act = lambda x: x.relu() + 1
    def forward(self, x):
        return self.act(x)
report = edgeworthy.validate(Net(), "out", example_inputs=torch.tensor([[-1.0, 0.0, 2.0]]), **{QUICK})
print(report.parity.status)
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.split()[-1:] == ["pass"], ran.stderr


@pytest.mark.parametrize("kinds", [["tflite"], ["tflite", "saved_model"]])
def test_a_script_prints_what_it_prints_and_nothing_else(tmp_path: Path, kinds: list[str]) -> None:
    """TensorFlow logs from C++, torch.export warns; the user's own lines come through, from forward too."""
    script = f"""
import sys, torch, edgeworthy
class Net(torch.nn.Linear):
    def forward(self, x):
        torch.compiler.is_compiling() or print("forward", file=sys.stderr)
        return super().forward(x)
options = {{"convert": {{"to": {kinds}}}, "quantize": {{"schemes": ["float16"]}}}}
edgeworthy.quantize(Net(4, 3), "out", example_inputs=torch.rand(2, 4), **options)
print(edgeworthy.inspect("out/model_float16.tflite").kind, *["out" for _ in range(2)])
print("mine", file=sys.stderr)
import os
os.write(2, b"native\\n")
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "tflite out out\n"
    lines = ran.stderr.splitlines()
    assert set(lines) == {"forward", "mine", "native"} and lines[-2:] == ["mine", "native"], ran.stderr


def test_what_native_code_says_is_told_when_nobody_foresaw_the_error(tmp_path: Path) -> None:
    script = """
import os, sys
from edgeworthy.errors import BadInput, InternalFault
from edgeworthy.workers.native import hushed
for error in (BadInput("foreseen"), InternalFault("not foreseen"), ValueError("not foreseen")):
    try:
        with hushed():
            os.write(2, f"native before {error.args[0]}\\n".encode())
            raise error
    except Exception:
        pass
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines() == ["native before not foreseen"] * 2


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (Branches(), {"example_inputs": torch.ones(3)}, "file.py:factory need not"),
        (Net(), {}, "not described"),
        (Net(), {"example_inputs": {"x": torch.ones(1, 4), "y": torch.ones(1)}}, "no input named 'y'"),
        (Net(), {"example_inputs": inputs(), "model": {"weights": "w.pt"}}, "has its own"),
        ("sample:simple_net", {"example_inputs": inputs()}, "go with a module"),
    ],
)
def test_what_cannot_be_had_is_said_and_nothing_is_left(
    tmp_path: Path, module: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        edgeworthy.run(module, tmp_path / "deep" / "out", **options)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_gate_and_report(report: Report, tmp_path: Path) -> None:
    reports.write(report, tmp_path)
    assert edgeworthy.read_report(str(tmp_path)) == report == edgeworthy.report(tmp_path)
    assert edgeworthy.gate(report).status == "pass"
    gone = edgeworthy.gate(tmp_path)
    assert {line.check for line in gone.failing} == {"files"}, "the files that it speaks of are not there"
    failed = edgeworthy.gate(report, {"size_ratio": {"int8": 0.1}})
    assert (failed.status, failed.exit_code) == ("fail", 1)
    (tmp_path / "strict.toml").write_text("[gate]\nsize_bytes = 1\n")
    assert edgeworthy.gate(str(tmp_path / "report.json"), config=tmp_path / "strict.toml").status == "fail"
    assert edgeworthy.read_report(tmp_path) == report, "gate writes nothing"


def test_the_snippet_of_the_readme_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(snippets) == 1
    ran = subprocess.run([sys.executable, "-c", snippets[0]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["pass", "model_float16.tflite", "fail"]
