"""The command line as a user meets it: help, tables, JSON, errors and exit codes, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import onnx
import pytest

from edgeworthy import files
from edgeworthy.config import GateTable
from edgeworthy.validate import report as reports
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import Report

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "run", "export", "convert", "quantize", "validate", "bench", "init", "gate", "report", "inspect", "samples",
    "targets", "doctor",
)  # fmt: skip


def edgeworthy(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeworthy", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
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


def test_help_answers_at_once() -> None:
    """CPU time, so that a busy machine doesn't fail it; 0.3 s is what a user may wait."""
    best = 10.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = edgeworthy("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert ran.returncode == 0
    assert best < 0.3


def test_help_lists_every_command() -> None:
    text = edgeworthy("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\s+\S.*[^.]\.$", text, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str) -> None:
    text = edgeworthy(command, "--help").stdout
    assert "--json" in text
    assert re.search(rf"Examples:\n +edgeworthy {command}", text)


def test_flags_mean_the_same_everywhere() -> None:
    flags = {}
    for command in ("export", "convert", "quantize", "validate", "bench"):
        flags[command] = set(re.findall(r"--[a-z][a-z-]+", edgeworthy(command, "--help").stdout))
    assert "--scheme" not in flags["export"]
    assert flags["export"] < flags["convert"] < flags["quantize"] < flags["validate"] < flags["bench"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage"),
        (("run", "x", "--exportr", "y"), "--exporter"),
        (("nonsense",), "No such command"),
        (("run",), "no model was given"),
        (("run", "sample:digits_cnn"), "no output folder was given"),
        (("run", "none.py:make", "-o", "out"), "no such file"),
        (("run", "none.onnx", "-o", "out"), "error:"),
        (("run", "none.toml"), "doesn't exist"),
        (("run", "sample:none", "-o", "out"), "none"),
        (("run", "sample:digits_cnn", "-o", "out", "--scheme", "int9"), "there is no quantization scheme"),
        (("run", "sample:digits_cnn", "-o", "out", "--target", "tpu"), "there is no target 'tpu'"),
        (("run", "sample:digits_cnn", "-o", "out", "--exporter", "onnx"), "'dynamo' or 'torchscript'"),
        (("run", "sample:digits_cnn", "-o", "out", "--threads", "two"), "--threads = 'two'"),
        (("run", "sample:digits_cnn", "-o", "out", "--atol", "x:y"), "holds no number"),
        (("run", "sample:digits_cnn", "-o", "out", "--set", "seed=x"), "seed = 'x'"),
        (("run", "sample:digits_cnn", "-o", "out", "--threads", "1,100000"), "100000 threads"),
        (("run", "sample:digits_cnn", "-o", "out", "--baseline", "TFLite int9"), "- TFLite int8"),
        (("bench", "sample:digits_cnn", "-o", "out", "--to", "tflite", "--baseline", "SavedModel"), "no row"),
        (("init",), "no model was given"),
        (("init", "none.py:make"), "no such file"),
        (("gate", "nowhere"), "no report here"),
        (("report",), "no folder was given"),
        (("inspect", "none.tflite"), "no such"),
        (("samples", "none"), "there is no sample"),
    ],
)
def test_wrong_usage_says_what_and_exits_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = edgeworthy(*arguments, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_target_exits_with_3(tmp_path: Path) -> None:
    for name, said in (("onnxruntime-cuda", "pip install"), ("litert:npu", "compiler plugin")):
        ran = edgeworthy("run", "sample:simple_net", "-o", tmp_path / "out", "--target", name)
        assert ran.returncode == 3
        assert said in ran.stderr


def test_errors_are_json_under_json(tmp_path: Path) -> None:
    ran = edgeworthy("run", "none.py:make", "-o", "out", "--json", cwd=tmp_path)
    error = json.loads(ran.stdout)
    assert (error["error"], error["exit_code"], ran.returncode) == ("BadInput", 2, 2)
    assert error["remedy"]


def test_a_fault_of_ours_is_one_line_and_70(out: Path) -> None:
    """A report whose folder is no folder any more: an error that nobody foresaw."""
    broken = "import sys, edgeworthy.validate.gate as g\ng.evaluate = lambda *a, **k: 1 / 0\n"
    broken += "from edgeworthy.cli import main\nsys.argv = ['edgeworthy', 'gate', sys.argv[1], *sys.argv[2:]]\nmain()"
    for flags, traceback in (((), False), (("--debug",), True)):
        ran = subprocess.run([sys.executable, "-c", broken, out, *flags], capture_output=True, text=True, check=False)
        assert ran.returncode == 70
        assert "a fault of edgeworthy: ZeroDivisionError: division by zero" in ran.stderr
        assert "--debug" in ran.stderr
        assert ("Traceback" in ran.stderr) == traceback


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


def test_report_is_written_again(out: Path) -> None:
    (out / "report.html").unlink()
    ran = edgeworthy("report", out)
    assert ran.returncode == 0
    assert "TFLite int8" in ran.stdout
    assert "98.33 %" in ran.stdout
    assert (out / "report.html").exists()
    assert "\x1b" not in ran.stdout, "no colours on a pipe"


def test_summary_is_markdown_for_a_pull_request(out: Path, tmp_path: Path) -> None:
    ran = edgeworthy("summary", "out", "--baseline", out / "report.json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^\| TFLite int8 \| 98\.33 % \| 40\.3 dB \| 42\.6 kB \| 12\.1 µs \| ✓ pass \|$", ran.stdout, re.M)
    assert "In brackets: against the report of 2026-11-21 09:30 UTC." in ran.stdout
    assert edgeworthy("summary", out, "--baseline", tmp_path / "none").returncode == 2


def test_report_as_json_fits_the_schema(out: Path) -> None:
    schema = json.loads(edgeworthy("report", "--schema").stdout)
    jsonschema.validate(json.loads(edgeworthy("report", out, "--json").stdout), schema)


def test_quiet_prints_nothing(out: Path) -> None:
    ran = edgeworthy("gate", out, "--quiet")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


def test_a_reader_that_goes_away_is_no_error(out: Path) -> None:
    ran = subprocess.run(
        f"'{sys.executable}' -m edgeworthy report '{out}' --json | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""


def test_samples(tmp_path: Path) -> None:
    listed = json.loads(edgeworthy("samples", "--json").stdout)
    assert "sample:digits_cnn" in {s["name"] for s in listed}
    ran = edgeworthy("samples", "linear_regression", "-o", tmp_path / "line")
    assert ran.returncode == 0
    assert {p.name for p in (tmp_path / "line").iterdir()} == {"calibration.npz", "edgeworthy.toml"}


def test_targets_and_doctor() -> None:
    found = {t["name"]: t for t in json.loads(edgeworthy("targets", "--json").stdout)}
    assert found["tflite"]["available"]
    assert found["onnxruntime-cuda"]["available"] or found["onnxruntime-cuda"]["why"]
    assert not found["android"]["built"]
    assert "not built yet" in found["android"]["why"]
    assert "not built yet" in edgeworthy("targets").stdout
    ran = edgeworthy("doctor")
    assert ran.returncode == 0
    assert "litert-converter" in ran.stdout


def test_a_run_on_the_command_line(tmp_path: Path) -> None:
    """From stage to stage, then what is in the files; stdout under --json is the report and nothing else."""
    out, common = tmp_path / "out", ("--to", "tflite", "--target", "onnxruntime,tflite")
    ran = edgeworthy("quantize", "sample:linear_regression", "-o", out, "--to", "tflite", "--scheme", "float16,int8")
    assert ran.returncode == 0, ran.stderr
    assert "model_int8.tflite" in ran.stdout
    assert ran.stderr == ""
    ran = edgeworthy("validate", "sample:linear_regression", "-o", out, *common, "--scheme", "int8", "--json")
    shown = Report.model_validate_json(ran.stdout)
    assert shown.parity
    assert {h.artifact for h in shown.parity.hops} >= {"onnx", "tflite_float32", "tflite_static_wi8_ai8"}
    assert ran.returncode == (0 if shown.parity.status == "pass" else 1)
    for name, kind in (("model.onnx", "onnx"), ("model_int8.tflite", "tflite")):
        found = json.loads(edgeworthy("inspect", out / name, "--json").stdout)
        assert (found["kind"], found["size_bytes"]) == (kind, (out / name).stat().st_size)
        assert found["ops"]


def test_a_toml_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "edgeworthy.toml").write_text(
        'output = "out"\n[model]\nsource = "sample:linear_regression"\n[convert]\nto = ["tflite"]\n'
    )
    ran = edgeworthy("convert", tmp_path / "edgeworthy.toml")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "model_float32.tflite").exists()


NET = """
import torch

def make():
    net = torch.nn.Linear(3, 2)
    net.example_inputs = {"input": torch.ones(4, 3)}
    return net
"""


def test_init_writes_a_file_that_runs(tmp_path: Path) -> None:
    """The inputs are the source's, paths hold from the file's folder, and a file that is there stays."""
    (tmp_path / "net.py").write_text(NET)
    ran = edgeworthy("init", "net.py:make", "-o", "ci/edgeworthy.toml", "--seed", "7", cwd=tmp_path)
    assert (ran.returncode, ran.stdout.strip()) == (0, "ci/edgeworthy.toml"), ran.stderr
    text = (tmp_path / "ci" / "edgeworthy.toml").read_text()
    table = tomllib.loads(text)
    assert table["model"] == {"source": "../net.py:make", "inputs": ["input:float32[4,3]"]}
    assert (table["output"], table["seed"]) == ("out", 7)
    assert '# to = ["tflite", "saved_model"]' in text
    ran = edgeworthy("convert", "ci/edgeworthy.toml", "--set", "convert.to=tflite", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert {p.name for p in (tmp_path / "ci" / "out").iterdir()} >= {"model_float32.tflite", "report.json"}
    assert not (tmp_path / "ci" / "out" / "saved_model").exists()

    again = edgeworthy("init", "net.py:make", "-o", "ci/edgeworthy.toml", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert (tmp_path / "ci" / "edgeworthy.toml").read_text() == text
    assert edgeworthy("init", "net.py:make", "-o", "ci/edgeworthy.toml", "--force", cwd=tmp_path).returncode == 0
    assert "seed" not in tomllib.loads((tmp_path / "ci" / "edgeworthy.toml").read_text())


def test_the_users_files_are_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model_float32.tflite").write_text("mine")
    ran = edgeworthy("convert", "sample:linear_regression", "-o", "out", "--to", "tflite", cwd=tmp_path)
    assert ran.returncode == 2
    assert "- out/model_float32.tflite" in ran.stderr
    assert (tmp_path / "out" / "model_float32.tflite").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 1
    ran = edgeworthy("convert", "sample:linear_regression", "-o", "out", "--to", "tflite", "--force", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "out" / "report.json").write_text((tmp_path / "out" / "report.json").read_text() + "\n")
    ran = edgeworthy("report", "out", cwd=tmp_path)
    assert (ran.returncode, "- out/report.json" in ran.stderr) == (2, True)
    assert edgeworthy("report", "out", "--force", cwd=tmp_path).returncode == 0
    assert edgeworthy("report", "out", cwd=tmp_path).returncode == 0, "what it wrote is ours"
