"""An ONNX file's summary: what it says, and that the file is read once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy import files
from edgeworthy.errors import BadInput
from edgeworthy.formats.onnx.summary import describe, summarize


def write(path: Path, *ops: str, external: bool = False) -> Path:
    """A chain of operators on x[2,3], whose first is a MatMul with 3×3 weights."""
    names = ["h", *(f"h{i}" for i in range(1, len(ops))), "y"]
    nodes = [helper.make_node("MatMul", ["x", "w"], [names[0]])]
    nodes += [helper.make_node(op, [a], [b]) for op, a, b in zip(ops, names, names[1:], strict=False)]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in ("x", nodes[-1].output[0])]
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def test_what_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "Relu", "Relu", "Neg", external=True)
    summary = summarize(path)
    assert [str(s) for s in (*summary.model.inputs, *summary.model.outputs)] == ["x:float32[2,3]", "y:float32[2,3]"]
    assert list(summary.op_counts.items()) == [("Relu", 2), ("MatMul", 1), ("Neg", 1)]
    assert summary.files == (path, tmp_path / "m.onnx.data")
    assert summary.size == path.stat().st_size + 36
    assert describe(path) is summary.model


@pytest.mark.parametrize("replace", [True, False], ids=["replaced", "written to"])
def test_a_changed_file_is_read_again(tmp_path: Path, replace: bool) -> None:
    path, other = write(tmp_path / "m.onnx", "Relu"), write(tmp_path / "other.onnx", "Neg", "Neg")
    before, digest = summarize(path), files.sha256(path)
    assert summarize(path) is before
    if replace:
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
    assert summarize(path).op_counts == {"Neg": 2, "MatMul": 1}
    assert files.sha256(path) != digest
    path.unlink()
    with pytest.raises(BadInput, match="no such file"):
        summarize(path)


COUNT = """
import os, sys
opened = []
def hook(event, args):
    if event == "open" and os.path.basename(str(args[0])) == "model.onnx":
        opened.append(args[0])
sys.addaudithook(hook)
import edgeworthy
quick = dict(convert={"to": ["tflite"]}, quantize={"schemes": ["float16"]}, bench={"seconds": 0.05},
             validate={"samples": 2}, targets=["onnxruntime", "tflite"])
for _ in range(2):
    edgeworthy.run(sys.argv[1], sys.argv[2], **quick)
    print(len(opened))
    opened.clear()
"""


def test_a_run_opens_the_file_seven_times(tmp_path: Path) -> None:
    """Three of them look at its first bytes before it is mapped: for the summary, for conversion, which reads the
    weights, and for the analysis, which asks for modules and lines. One hashes it. A run that takes all over from an
    earlier one opens it to hash it. Workers have their own.
    """
    source = write(tmp_path / "source.onnx", "Relu")
    command = [sys.executable, "-c", COUNT, str(source), str(tmp_path / "out")]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    first, second = map(int, ran.stdout.split()[-2:])
    assert first <= 7
    assert second <= 3
