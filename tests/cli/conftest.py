"""The command line in a process of its own, and the folder of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from edgeworthy import files
from edgeworthy.validate import report as reports
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import Report


def edgeworthy(
    *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeworthy", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture
def out(report: Report, tmp_path: Path) -> Path:
    """A folder with the report of a run, and files of the sizes that it speaks of."""
    folder, artifacts = tmp_path / "out", []
    for artifact in report.artifacts:
        path = folder / artifact.path
        if artifact.kind == "onnx":
            path.parent.mkdir()
            nodes = [onnx.helper.make_node("Relu", ["x"], ["y"])]
            x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
            onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], [y])), path)
        else:
            if artifact.kind == "saved_model":
                path.mkdir()
                path = path / "saved_model.pb"
            with path.open("wb") as file:
                file.truncate(artifact.size_bytes)
        there = folder / artifact.path
        facts = {"sha256": files.sha256(there), "size_bytes": files.size(there)}
        artifacts.append(artifact.model_copy(update=facts))
    report = report.model_copy(update={"artifacts": artifacts})
    report = report.model_copy(update={"gate": evaluate(report, folder=folder)})
    reports.write(report, folder)
    return folder
