"""Runs from beginning to end on a user's own model: files, report, what the second run redoes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy import files
from edgeworthy.errors import BadInput
from edgeworthy.pipeline.inputs import Inputs
from edgeworthy.pipeline.plan import ALL

from ..noops import noops
from .quick_runs import QUICK, redone, run, visible


def test_a_whole_run(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(net, out, validate={"labelled": str(net / "labelled.npz")})
    assert visible(out) == {
        "model.onnx", "model_float32.tflite", "model_int8.tflite", "model_int8.recipe.json", "report.json", "report.md",
        "report.html", "junit.xml", "manifest.json",
    }  # fmt: skip
    assert report.gate
    assert report.gate.status == "pass"
    assert [idle for path in out.glob("*.tflite") for idle in noops(path)] == []
    assert report.parity
    assert [h.name for h in report.parity.hops] == [
        "PyTorch float64", "PyTorch", "ONNX Runtime", "TFLite float32", "TFLite int8",
    ]  # fmt: skip
    assert report.accuracy
    assert report.accuracy.samples == 16
    assert report.latency
    assert {r.name for r in report.latency.rows} == {"PyTorch", "ONNX Runtime", "TFLite float32", "TFLite int8"}
    assert edgeworthy.read_report(out) == report

    manifest = json.loads((out / "manifest.json").read_text())
    hashes = {a["path"]: a["sha256"] for a in manifest["artifacts"]}
    assert hashes == {name: files.sha256(out / name) for name in hashes}
    assert set(hashes) == {"model.onnx", "model_float32.tflite", "model_int8.tflite"}
    assert {Path(i["path"]).name for i in manifest["inputs"]} == {"net.py", "calibration.npz", "labelled.npz"}
    assert not list((out / ".edgeworthy").glob("weights*"))


def test_the_second_run_does_only_what_changed(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quantized, measured = {"quantize.static_wi8_ai8", "analyze.static_wi8_ai8"}, {"parity", "bench"}
    assert redone(run(net, out)) == {"export", "convert", *quantized, *measured}
    assert redone(run(net, out)) == set()
    assert redone(run(net, out, bench={"seconds": 0.04})) == {"bench"}
    np.savez(net / "calibration.npz", image=np.zeros((4, 1, 4, 4), np.float32) + 0.5)
    assert redone(run(net, out)) == {*quantized, *measured}
    (out / "model_float32.tflite").write_bytes(b"damaged")
    assert redone(run(net, out, force=True)) == {"convert"}


@pytest.mark.parametrize("change", ["self.scale = 1.0", "torch.relu(", "torch.ones(1"])
def test_a_changed_model_is_noticed(net: Path, tmp_path: Path, change: str) -> None:
    """An attribute, the code of forward, and an input: none of them is among the weights."""
    other = {"self.scale = 1.0": "self.scale = 2.0", "torch.relu(": "torch.tanh(", "torch.ones(1": "torch.ones(2"}
    one = {"stages": ("export",)}
    assert redone(run(net, tmp_path / "out", **one)) == {"export"}
    assert redone(run(net, tmp_path / "out", **one)) == set()
    (net / "net.py").write_text((net / "net.py").read_text().replace(change, other[change]))
    assert redone(run(net, tmp_path / "out", **one)) == {"export"}


def test_single_stages_add_up(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(net, out, stages=("export",))
    assert visible(out) == {"model.onnx", "report.json"}
    report = run(net, out, stages=("export", "validate"))
    assert redone(report) == {"convert", "quantize.static_wi8_ai8", "parity"}
    assert report.latency is None
    report = run(net, out, stages=("export", "bench"))
    assert redone(report) == {"bench"}
    assert report.parity is not None, "measured on the same artifacts before"


def test_runs_are_byte_identical(net: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(net, tmp_path / name, stages=("export", "quantize"))
    for name in ("model.onnx", "model_float32.tflite", "model_int8.tflite"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_channels_last_inputs_compute_the_same(net: Path, tmp_path: Path) -> None:
    report = run(net, tmp_path / "out", convert={"io_layout": "nhwc"}, stages=("export", "validate"))
    artifact = report.artifact("tflite_float32")
    assert artifact
    assert artifact.inputs[0].shape == [1, 4, 4, 1]
    assert report.parity
    assert report.parity.status == "pass"


@pytest.mark.parametrize(("layout", "checked"), [("keep", True), ("nhwc", False)])
def test_passes_can_be_checked(net: Path, tmp_path: Path, layout: str, checked: bool) -> None:
    options = {"check_passes": True, "io_layout": layout}
    report = run(net, tmp_path / "out", convert=options, stages=("convert",))
    assert report.conversion
    changes = {p.name: p.max_abs for p in report.conversion.passes}
    assert ("layout" in changes) == checked
    ran = [p for p in report.conversion.passes if p.changes and p.name != "layout"]
    assert all(p.max_abs is not None and p.max_abs < 1e-4 for p in ran)


def test_random_calibration_is_stamped_on_the_report(net: Path, tmp_path: Path) -> None:
    report = run(net, tmp_path / "out", quantize={"calibration": "random"}, stages=("quantize",))
    assert any("unfit for deployment" in w for w in report.warnings)
    assert not report.quantization[0].fit_for_deployment


def test_without_data_int8_is_skipped_aloud_but_never_when_asked_for(net: Path, tmp_path: Path) -> None:
    spec, out = f"{net}/net.py:make", tmp_path / "out"
    report = edgeworthy.run(spec, out, stages=("quantize",), convert={"to": ["tflite"]})
    assert {q.scheme for q in report.quantization} == {"float16", "dynamic_wi8_afp32"}
    assert any("int8 was skipped" in w and "--calibration" in w for w in report.warnings)
    with pytest.raises(BadInput, match="needs calibration data"):
        edgeworthy.run(spec, tmp_path / "none", quantize={"schemes": ["int8"]})
    assert not (tmp_path / "none").exists()


def test_an_onnx_source_is_converted_where_it_lies(net: Path, tmp_path: Path) -> None:
    run(net, tmp_path / "first", stages=("export",))
    source = shutil.copy(tmp_path / "first" / "model.onnx", tmp_path / "mine.onnx")
    out = tmp_path / "out"
    edgeworthy.run(str(source), out, stages=("convert",), convert={"to": ["tflite"]})
    assert visible(out) == {"model_float32.tflite", "report.json"}
    report = edgeworthy.run(str(source), out, **(QUICK | {"quantize": {"schemes": ["float16"]}, "targets": None}))
    assert report.parity
    assert report.parity.truth == "ONNX Runtime, not optimised"
    assert report.gate
    assert report.gate.status == "pass"


@pytest.mark.parametrize(
    ("stages", "tables", "made"),
    [
        (("convert",), {}, True),
        (("quantize",), {}, False),
        (("validate",), {"targets": ["tflite"]}, False),
        (("validate",), {"targets": ["tflite", "tensorflow"]}, True),
        (ALL, {"targets": ["tflite"]}, False),
        (ALL, {"targets": ["tflite"], "gate": {"must_convert": ["saved_model"]}}, True),
        (ALL, {"targets": ["tflite"], "convert": {"to": ["saved_model", "tflite"]}}, True),
        (ALL, {}, True),
    ],
)
def test_a_saved_model_is_made_for_who_asks_or_runs_it(
    net: Path, stages: tuple[str, ...], tables: dict[str, Any], made: bool
) -> None:
    config = edgeworthy.load_config(None, {"model": {"source": f"{net}/net.py:make"}} | tables)
    assert ("saved_model" in Inputs(config, stages).to) == made


def test_a_saved_model_of_an_earlier_command_is_kept_up_to_date(net: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "saved_model").mkdir(parents=True)
    config = edgeworthy.load_config(None, {"model": {"source": f"{net}/net.py:make"}, "output": tmp_path / "out"})
    assert "saved_model" in Inputs(config, ("quantize",)).to


def test_threads_and_baseline_are_checked_before_work(net: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="99999 threads"):
        run(net, tmp_path / "out", bench={"threads": [1, 99999]})
    with pytest.raises(BadInput, match="no row 'SavedModel'") as caught:
        run(net, tmp_path / "out", bench={"baseline": "SavedModel"})
    assert caught.value.details == ("PyTorch", "ONNX Runtime", "TFLite float32", "TFLite int8")
    assert not (tmp_path / "out").exists()


def test_the_rows_that_a_baseline_may_name_are_those_that_are_timed(net: Path, tmp_path: Path) -> None:
    report = run(net, tmp_path / "out", stages=("bench",), bench={"baseline": "TFLite int8"})
    assert report.latency
    assert report.latency.baseline == "TFLite int8"


def test_a_generated_batch_is_timed_at_1_and_a_given_one_as_it_is(net: Path, tmp_path: Path) -> None:
    """Parity and export see two rows, so that a graph that holds one only is found."""
    text = (net / "net.py").read_text()
    (net / "net.py").write_text(text.replace('net.example_inputs = {"image": torch.ones(1, 1, 4, 4)}', "pass"))
    dynamic: dict[str, Any] = {
        "model": {"inputs": ["image:float32[batch,1,4,4]"]},
        "quantize": {"schemes": ["float16"], "calibration": None},  # else its samples are what is compared on
    }
    report = run(net, tmp_path / "out", stages=("validate", "bench"), **dynamic)
    assert report.latency and report.parity
    assert report.latency.fed == "image:float32[1,1,4,4]"
    assert report.parity.hops[-1].outputs[0].shapes == [[2, 3]]
    np.savez(net / "three.npz", image=np.ones((3, 1, 4, 4), np.float32))
    dynamic["model"] |= {"inputs_file": str(net / "three.npz")}
    report = run(net, tmp_path / "out", stages=("bench",), **dynamic)
    assert report.latency
    assert report.latency.fed == "image:float32[3,1,4,4]"


def test_a_target_alone_is_held_against_the_model_and_not_against_itself(net: Path, tmp_path: Path) -> None:
    alone = ["tflite,kernels=reference"]
    report = run(net, tmp_path / "out", targets=alone)
    assert report.parity and report.parity.truth == "PyTorch float64"
    found = {hop.name: hop for hop in report.parity.hops}
    row = found["TFLite (kernels=reference) float32"]
    assert row.status == "pass" and row.outputs[0].noise_ratio and row.outputs[0].passed
    onnx = edgeworthy.run(tmp_path / "out/model.onnx", tmp_path / "graph", stages=("validate",), targets=alone)
    lone = edgeworthy.run(tmp_path / "out/model_float32.tflite", tmp_path / "lone", stages=("validate",), targets=alone)
    for other in (onnx, lone):
        assert other.parity and not other.parity.truth.startswith("TFLite (kernels=reference)")
    assert onnx.parity and onnx.parity.truth.startswith("ON")
