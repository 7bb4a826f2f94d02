"""The package as a wheel, installed without torch and TensorFlow into an environment of its own (`make test-base`).

What the README promises of `pip install edgeworthy`: ONNX to TFLite, quantization, and both runtimes.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.base

ABSENT = ("torch", "tensorflow", "transformers", "sklearn")


@pytest.fixture(scope="module")
def base() -> Path:
    """Folder of the programs of the base environment."""
    return Path(os.environ["EDGEWORTHY_BASE"]).resolve() / "bin"


@pytest.fixture
def command(base: Path, tmp_path: Path) -> Any:
    """Run ``edgeworthy`` of the base environment in an empty folder; gives the finished process."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [base / "edgeworthy", *map(str, arguments)],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution, a pool and a matrix, with seeded weights."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(8, 3, 3, 3)),
        "bias": random.normal(size=8),
        "matrix": random.normal(size=(8, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    np.savez(tmp_path / "data.npz", image=random.normal(size=(16, 3, 16, 16)).astype(np.float32))
    return path


def test_nothing_optional_is_installed(base: Path) -> None:
    code = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
    found = subprocess.run([base / "python", "-c", code, *ABSENT], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_converts_without_torch_and_tensorflow(command: Any, model: Path, tmp_path: Path) -> None:
    done = command("convert", model, "-o", "out", "--to", "tflite")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model_float32.tflite").stat().st_size > 1000


def test_quantizes_and_validates(command: Any, model: Path, tmp_path: Path) -> None:
    done = command("run", model, "-o", "out", "--scheme", "int8", "--calibration", "data.npz", "--seconds", "0.1")
    assert done.returncode == 4, done.stdout + done.stderr  # what could not be made here is inconclusive
    report = json.loads((tmp_path / "out/report.json").read_text())
    hops = {hop["name"]: hop["status"] for hop in report["parity"]["hops"]}
    assert hops["TFLite float32"] == "pass"
    assert hops["TFLite int8"] == "pass"
    assert (tmp_path / "out/report.html").is_file()
    assert any("TensorFlow is not installed" in warning for warning in report["warnings"])


def test_passes_where_no_saved_model_is_asked_for(command: Any, model: Path) -> None:
    done = command("run", model, "-o", "out", "--to", "tflite", "--scheme", "float16", "--seconds", "0.1")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("doctor",), ("targets",), ("samples",), ("--help",), ("inspect", "net.onnx")])
def test_looks_around(command: Any, model: Path, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("convert", "net.onnx", "-o", "out", "--to", "saved_model"), "TensorFlow"),
        (("export", "net.py:make", "-o", "out"), "PyTorch"),
        (("bench", "net.onnx", "-o", "out", "--target", "tensorflow"), "tensorflow"),
    ],
)
def test_what_is_missing_is_said_with_exit_3(
    command: Any, model: Path, tmp_path: Path, arguments: tuple[str, ...], missing: str
) -> None:
    (tmp_path / "net.py").write_text("import torch\ndef make():\n    return torch.nn.Identity()\n")
    done = command(*arguments)
    assert done.returncode == 3, done.stdout + done.stderr
    assert missing in done.stderr
    assert "pip install" in done.stderr
    assert not (tmp_path / "out").exists()
