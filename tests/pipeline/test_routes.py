"""Converters of other packages: registered by entry points, run in processes, judged as files that the user gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy import files
from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.errors import FIX, BadInput, NotAvailable
from edgeworthy.validate.results import LatencyRow, Report

from . import converters
from . import other_converters as others

NCHW = (1, 3, 8, 6)
WHOLE = ("export", "convert", "quantize", "validate", "bench")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("net")
    others.save(folder, "net", NCHW)
    return folder / "net.onnx"


def measured(
    net: Path | str,
    out: Path,
    *names: str,
    stages: tuple[str, ...] = ("validate",),
    jobs: int | None = None,
    **tables: Any,
) -> Report:
    tables.setdefault("targets", ["onnxruntime", "tflite"])
    given = {"convert": {"to": ["tflite"]}, "quantize": {"schemes": []}, "bench": {"seconds": 0.05}}
    given["artifacts"] = {"files": [f"route:{name}" for name in names], "jobs": jobs}
    return edgeworthy.run(net, out, stages=stages, **given | tables)


def hop(report: Report, name: str) -> Any:
    assert report.parity
    found = report.parity.hop(name)
    assert found, name
    return found


def timed(report: Report, name: str) -> LatencyRow:
    assert report.latency
    (row,) = [row for row in report.latency.rows if row.name == name]
    return row


def litter(out: Path) -> list[Path]:
    return [p for p in (*out.glob(".*"), *(out / ".edgeworthy").glob(".*")) if p.name != ".edgeworthy"]


def test_its_file_is_judged_as_ours(package: Path, net: Path, tmp_path: Path) -> None:
    """TensorFlow's converter, whose file is channels-last: the matches, and a run by hand against ONNX Runtime."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    out = tmp_path / "out"
    source = f"{net.with_suffix('.py')}:make"
    report = measured(source, out, "flow", stages=WHOLE, targets=["pytorch", "onnxruntime", "tflite"])
    assert report.gate and report.gate.status == "pass", report.gate
    assert hop(report, "route:flow").status == "pass"
    assert timed(report, "route:flow").status == "pass"
    artifact = report.artifact("route:flow")
    assert artifact and not artifact.given
    assert artifact.path == "route_flow.tflite"
    assert artifact.made_by == "edge_converters 1.0, by edge-converters 1.0"
    assert [(m.model, m.axes) for m in artifact.matches] == [("image", [0, 2, 3, 1]), ("output", [0, 2, 3, 1])]
    assert artifact.seconds and artifact.seconds > 0
    assert any(n == f"route:flow: made by {artifact.made_by}" for n in report.notes)
    manifest = json.loads((out / "manifest.json").read_text())
    (kept,) = [a for a in manifest["artifacts"] if a["path"] == "route_flow.tflite"]
    assert kept["sha256"] == files.sha256(out / "route_flow.tflite") == artifact.sha256
    assert manifest["tools"]["route:flow"] == artifact.made_by

    image = np.random.default_rng(3).normal(size=NCHW).astype(np.float32)
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"image": image})
    interpreter = Interpreter(str(out / "route_flow.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
    interpreter.invoke()
    made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(made.transpose(0, 3, 1, 2), wanted, atol=1e-5)
    assert not litter(out)


def test_another_version_makes_it_again(package: Path, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def taken_over() -> bool:
        vars(CONVERTERS).pop("_found", None)
        artifact = measured(net, out, "plain").artifact("route:plain")
        assert artifact
        return artifact.cached

    assert [taken_over(), taken_over()] == [False, True]
    converters.install(package, "1.1")
    assert [taken_over(), taken_over()] == [False, True]
    (out / "route_plain.tflite").write_bytes(b"changed")
    with pytest.raises(BadInput, match="would be overwritten"):
        taken_over()


def test_a_whole_run_without_it_takes_its_file_back(package: Path, net: Path, tmp_path: Path) -> None:
    path = tmp_path / "out/route_plain.tflite"
    measured(net, tmp_path / "out", "plain")
    assert path.exists()
    measured(net, tmp_path / "out", stages=WHOLE)
    assert not path.exists()


def test_a_saved_model(package: Path, net: Path, tmp_path: Path) -> None:
    report = measured(net, tmp_path / "out", "saved", targets=["onnxruntime", "tensorflow"])
    assert hop(report, "route:saved").status == "pass"
    artifact = report.artifact("route:saved")
    assert artifact and (artifact.path, artifact.kind) == ("route_saved", "saved_model")
    assert files.sha256(tmp_path / "out/route_saved") == artifact.sha256


def test_it_touches_nothing_but_its_folder(
    package: Path, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    monkeypatch.setenv("EDGE_TOLD", str(tmp_path / "told"))
    source, out = tmp_path / "net/external.onnx", tmp_path / "out"
    source.parent.mkdir()
    proto = onnx.load(net)
    onnx.save(proto, source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = files.sha256(source.parent)
    report = measured(source, out, "tampers")
    assert hop(report, "route:tampers").status == "pass"
    folder, temporary = map(Path, (tmp_path / "told").read_text().splitlines())
    assert folder.is_relative_to(out) and not folder.exists()
    assert temporary.is_relative_to(out) and not temporary.exists()
    assert files.sha256(source.parent) == before and not litter(out)


FAILURES = {
    "raises": "ValueError: no rule for Conv",
    "refuses": "the graph is too wide",
    "aborts": "crashed with SIGABRT",
    "garbage": "not a TFLite flatbuffer",
    "damaged": "damaged or cut off",
    "nothing": "it made no file",
    "onnx": "is no tflite",
    "outside": "not in the folder that it was given",
    "number": "returned 'int'",
    "floods": "after 300 MB of output",
    "other": "doesn't go with the file's",
}


def test_what_goes_wrong_is_a_failed_row(package: Path, net: Path, tmp_path: Path) -> None:
    before, out = files.sha256(net), tmp_path / "out"
    report = measured(net, out, *FAILURES, "scaled", "plain", stages=WHOLE)
    for name, cause in FAILURES.items():
        row = hop(report, f"route:{name}")
        assert row.status == "error" and cause in row.failure, (name, row.failure)
        assert FIX in row.failure, name
        latency = timed(report, f"route:{name}")
        assert latency.status == "error" and latency.failure and cause in latency.failure
        assert report.artifact(f"route:{name}") is None
        assert not (out / f"route_{name}.tflite").exists()
    assert "about to abort" in hop(report, "route:aborts").failure
    assert "make it narrower" in hop(report, "route:refuses").failure
    assert hop(report, "route:scaled").status == "fail"
    assert hop(report, "route:plain").status == "pass"
    assert files.sha256(net) == before and not litter(out)
    verdict = edgeworthy.gate(out)
    assert verdict.exit_code == 1
    failing = {line.subject for line in verdict.failing if line.check == "parity"}
    assert failing == {f"route:{name}" for name in (*FAILURES, "scaled")}
    assert all(cause.partition("'")[0] in (out / "report.md").read_text() for cause in FAILURES.values())
    must = edgeworthy.gate(out, {"must_convert": ["route:plain", "route:raises"]})
    assert [line.status for line in must.lines if line.check == "must_convert"] == ["pass", "fail"]


def test_a_failure_is_never_hidden_by_an_earlier_result(package: Path, net: Path, tmp_path: Path) -> None:
    report = measured(net, tmp_path / "out")
    assert report.parity and report.parity.status == "pass"
    report = measured(net, tmp_path / "out", "raises")
    assert hop(report, "route:raises").status == "error"
    report = measured(net, tmp_path / "out")
    assert report.parity and report.parity.status == "pass"


def test_one_that_takes_too_much_memory_is_ended(package: Path, net: Path, tmp_path: Path) -> None:
    limit = {"files": ["route:grows"], "memory_gb": 0.5}
    row = hop(measured(net, tmp_path / "out", artifacts=limit), "route:grows")
    assert row.status == "error" and "took more memory than the 0.5 GB that it may" in row.failure
    assert not litter(tmp_path / "out")


def test_it_gets_what_it_takes(package: Path, net: Path, tmp_path: Path) -> None:
    """An older opset, and a program of PyTorch; what it cost is told."""
    targets = ["pytorch", "onnxruntime", "tflite"]
    report = measured(f"{net.with_suffix('.py')}:make", tmp_path / "out", "old", "program", targets=targets)
    for name in ("route:old", "route:program"):
        assert hop(report, name).status == "pass", hop(report, name).failure
        artifact = report.artifact(name)
        assert artifact and artifact.seconds and artifact.peak_bytes
        assert 0.1 < artifact.seconds < 120 and 20e6 < artifact.peak_bytes < 4e9
    with pytest.raises(BadInput, match="starts from PyTorch, and the source is none of it"):
        measured(net, tmp_path / "none", "program")


def test_one_that_hangs_is_ended(package: Path, net: Path, tmp_path: Path) -> None:
    report = measured(net, tmp_path / "out", "hangs", validate={"timeout_s": 8.0})
    row = hop(report, "route:hangs")
    assert row.status == "error" and "took more than 8 s (timeout)" in row.failure
    assert not litter(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "kind", "what", "remedy"),
    [
        ("plan", BadInput, "there is no converter 'plan'", "did you mean 'plain'"),
        ("absent", NotAvailable, "no_such_module is not installed", "pip install edge-converters"),
        ("broken", NotAvailable, "no licence", "uninstall edge-converters"),
        ("gone", NotAvailable, "edge_gone", ""),
        ("three", NotAvailable, "is no ConverterInfo", ""),
        ("again", NotAvailable, "there is a converter 'plain' already", ""),
        ("wrong", NotAvailable, "makes is 'pb'", ""),
        ("saved", BadInput, "none of the targets runs it", "--target tensorflow"),
    ],
)
def test_what_is_no_converter(
    package: Path, net: Path, tmp_path: Path, name: str, kind: type[Exception], what: str, remedy: str
) -> None:
    with pytest.raises(kind) as raised:
        measured(net, tmp_path / "out", name)
    assert what in str(raised.value) and remedy in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_one_name_twice_and_a_source_without_a_graph(package: Path, net: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="given twice"):
        measured(net, tmp_path / "out", "plain", "plain")
    made = measured(net, tmp_path / "made", stages=("convert",)).artifact("tflite_float32")
    assert made
    with pytest.raises(BadInput, match="converted already"):
        edgeworthy.validate(tmp_path / "made" / made.path, tmp_path / "out", artifacts={"files": ["route:plain"]})
    with pytest.raises(BadInput, match="no row 'route:raises'"):
        measured(net, tmp_path / "out", "plain", stages=("bench",), bench={"baseline": "route:raises"})


def test_the_command_line(package: Path, net: Path, tmp_path: Path) -> None:
    def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, wide = [sys.executable, "-m", "edgeworthy", *arguments], os.environ | {"COLUMNS": "300"}
        return subprocess.run(command, env=wide, capture_output=True, text=True, check=False)

    shown = json.loads(edge("doctor", "--json").stdout)["converters"]
    found = {state["name"]: state for state in shown}
    assert found["plain"]["available"] and found["plain"]["version"] == "1.0"
    assert "pip install edge-converters" in found["absent"]["why"]
    assert "no licence" in found["broken"]["why"] and not found["broken"]["available"]
    assert "for tests" in edge("doctor").stdout
    out = str(tmp_path / "out")
    options = ("--to", "tflite", "--target", "onnxruntime,tflite", "--scheme", "float16")
    failed = edge("validate", str(net), "-o", out, *options, "--artifact", "route:plain", "--artifact", "route:aborts")
    assert failed.returncode == 1, failed.stderr
    assert "✗ route:aborts: converter aborts crashed with SIGABRT" in failed.stdout
    assert edge("validate", str(net), "-o", out, *options, "--artifact", "route:plain").returncode == 0
    for name, code in (("none", 2), ("absent", 3)):
        assert edge("validate", str(net), "-o", out, *options, "--artifact", f"route:{name}").returncode == code
