"""``--for`` on the command line: what it prints, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product, and a sine of it, which no integer accelerator takes."""
    path = tmp_path_factory.mktemp("for") / "net.onnx"
    weights = numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"], "product"), helper.make_node("Sin", ["m"], ["y"], "sine")]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, d]) for n, d in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def edgeworthy(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeworthy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_inspect(model: Path) -> None:
    ran = edgeworthy("inspect", model, "--for", "ethos-u:85-256,android-gpu", "--for", "tflite-2.14")
    assert ran.returncode == 1, ran.stderr
    said = " ".join(ran.stdout.split())
    assert "✗ ethos-u:85-256 would refuse: QUANTIZE x: it converts from or to float32" in said
    assert "SIN y: the quantizer has no int8 form of it: it stays float32; compute it after the model" in said
    assert "✓ android-gpu takes every node ✓ tflite-2.14 takes every node" in said
    ran = edgeworthy("inspect", model, "--for", "android-gpu", "--json")
    assert (ran.returncode, json.loads(ran.stdout)["refused"]) == (0, {"android-gpu": []})
    assert edgeworthy("inspect", model, "--for", "phone").returncode == 2


def test_convert(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("convert", model, "-o", out, "--to", "tflite", "--for", "edgetpu", "--allow", "QUANTIZE|DEQUANTIZE")
    ran = edgeworthy(*asked)
    assert ran.returncode == 1
    assert "1 node would be refused by edgetpu" in ran.stderr
    assert "edgetpu: SIN y: the quantizer has no int8 form of it" in ran.stderr
    assert not (out / "model_float32.tflite").exists()
    ran = edgeworthy(*asked, "--allow", "SIN")
    assert ran.returncode == 0, ran.stderr
    assert (out / "model_float32.tflite").exists()
