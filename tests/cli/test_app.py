"""The command line as a user meets it: tables, JSON and files, each command in a process of its own."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]

from edgeworthy.validate.results import Report

from .conftest import edgeworthy


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


def test_samples(tmp_path: Path) -> None:
    listed = json.loads(edgeworthy("samples", "--json").stdout)
    assert "sample:digits_cnn" in {s["name"] for s in listed}
    ran = edgeworthy("samples", "linear_regression", "-o", tmp_path / "line")
    assert ran.returncode == 0
    assert {p.name for p in (tmp_path / "line").iterdir()} == {"calibration.npz", "edgeworthy.toml"}


def test_targets_and_doctor() -> None:
    found = {t["name"]: t for t in json.loads(edgeworthy("targets", "--json").stdout)}
    assert found["tflite"]["available"]
    assert found["onnxruntime:cuda"]["available"] or found["onnxruntime:cuda"]["why"]
    assert found["android"]["available"] or found["android"]["why"]
    assert "android" in edgeworthy("targets").stdout
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
