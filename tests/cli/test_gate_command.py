"""`edgeworthy gate`, in a process of its own: the limits that hold, the verdict, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeworthy.config import GateTable
from edgeworthy.validate import report as reports
from edgeworthy.validate.gate import evaluate

from .conftest import edgeworthy


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ("parity = true", 0, "✓ The gate passes"),
        ("size_ratio = {int8 = 0.1}", 1, "✗ size_ratio: model_static_wi8_ai8.tflite"),
        ("latency_ratio = {int8 = 0.42}", 4, "? latency_ratio: TFLite int8"),
        ("size_ration = 1", 2, "did you mean 'size_ratio'?"),
    ],
)
def test_gate(out: Path, tmp_path: Path, rules: str, code: int, said: str) -> None:
    (tmp_path / "ci.toml").write_text(f"[gate]\n{rules}\n")
    ran = edgeworthy("gate", "out", "-c", "ci.toml", cwd=tmp_path)
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr
    assert "ci.toml" in ran.stdout + ran.stderr, "whose limits they are"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def failed_run(out: Path) -> None:
    """The report as of a run that failed its own limits."""
    report = reports.read(out)
    report = report.model_copy(update={"limits": GateTable.model_validate({"size_bytes": 1})})
    reports.write(report.model_copy(update={"gate": evaluate(report, folder=out)}), out)


def test_a_failed_run_stays_failed_wherever_and_however_it_is_gated(out: Path, tmp_path: Path) -> None:
    """Neither an edgeworthy.toml that lies around nor a laxer --config leaves a trace in the run's own files."""
    failed_run(out)
    before = contents(out)
    (tmp_path / "edgeworthy.toml").write_text("[gate]\nparity = false\n")
    (tmp_path / "lax.toml").write_text("[gate]\nparity = true\n")
    for _ in range(2):
        own = edgeworthy("gate", "out", cwd=tmp_path)
        assert own.returncode == 1
        assert "size_bytes" in own.stdout
        assert "Limits: the run's own limits" in own.stdout
        lax = edgeworthy("gate", "out", "-c", "lax.toml", cwd=tmp_path)
        assert lax.returncode == 0, lax.stdout
        assert "The run's own verdict stays: fail" in lax.stdout
    assert edgeworthy("report", "out", cwd=tmp_path).returncode == 0
    assert contents(out) == before
    assert b"failures=" in before["junit.xml"] and b'failures="0"' not in before["junit.xml"]


def test_gate_writes_its_result_only_where_it_is_told(out: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text("[gate]\nsqnr_db = 100\n")
    for name in ("gate.json", "gate.xml"):
        assert edgeworthy("gate", "out", "-c", "strict.toml", "-o", name, cwd=tmp_path).returncode == 1
        assert "sqnr_db" in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "gate.json").read_text())["origin"] == "strict.toml"
    for name, said in (("out/report.json", "own verdict"), ("out/junit.xml", "own verdict"), ("gate.txt", ".json")):
        ran = edgeworthy("gate", "out", "-c", "strict.toml", "-o", name, cwd=tmp_path)
        assert (ran.returncode, said in ran.stderr) == (2, True)


@pytest.mark.parametrize("change", ["other", "gone"])
def test_gate_looks_at_the_files_themselves(out: Path, change: str) -> None:
    assert edgeworthy("gate", out).returncode == 0
    path = out / "model_static_wi8_ai8.tflite"
    if change == "other":
        path.write_bytes(b"\1" + path.read_bytes()[1:])
    else:
        path.unlink()
    ran = edgeworthy("gate", out)
    assert ran.returncode == 1
    assert "✗ files: model_static_wi8_ai8.tflite" in ran.stdout


def test_gate_against_an_earlier_report(out: Path, tmp_path: Path) -> None:
    old = reports.read(out)
    smaller = [a.model_copy(update={"size_bytes": a.size_bytes - 1}) for a in old.artifacts]
    old = old.model_copy(update={"artifacts": smaller})
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(old.model_dump_json())
    for limit, code in (("1.0", 1), ("1.1", 0)):
        (tmp_path / "ci.toml").write_text(f"[gate.regression]\nsize_bytes = {{ int8 = {limit} }}\n")
        ran = edgeworthy("gate", "out", "-c", "ci.toml", "--baseline", "old/report.json", cwd=tmp_path)
        assert ran.returncode == code, ran.stdout
    assert edgeworthy("gate", "out", "-c", "ci.toml", cwd=tmp_path).returncode == 4, "without a baseline it can't say"
    for baseline, said in (("out", "own baseline"), ("none", "no report here")):
        ran = edgeworthy("gate", "out", "-c", "ci.toml", "--baseline", baseline, cwd=tmp_path)
        assert (ran.returncode, said in ran.stderr) == (2, True)
    ran = edgeworthy("gate", "out", "--baseline", "old", cwd=tmp_path)
    assert (ran.returncode, "no limit that is held against it" in ran.stderr) == (2, True)


def test_gate_of_another_file_and_as_json(out: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text("[gate]\nsqnr_db = 100\n")
    ran = edgeworthy("gate", out / "report.json", "--config", tmp_path / "strict.toml", "--json")
    result = json.loads(ran.stdout)
    assert (ran.returncode, result["status"]) == (1, "fail")
    assert {line["check"] for line in result["lines"] if line["status"] == "fail"} == {"sqnr_db"}
