"""What OUT holds after a run: what this run vouches for, and the user's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.pipeline.plan import ALL

from .quick_runs import QUICK, run, visible

ARTIFACTS = {"model.onnx", "model_float32.tflite", "model_int8.tflite", "model_int8.recipe.json"}
REPORT = {"report.json", "report.md", "report.html", "junit.xml", "manifest.json"}


def test_files_of_other_weights_go_and_the_users_stay(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(net, out)
    (out / "notes.txt").write_text("mine")
    assert visible(out) == ARTIFACTS | REPORT | {"notes.txt"}
    (net / "net.py").write_text((net / "net.py").read_text().replace("scale = 1.0", "scale = 2.0"))
    report = run(net, out, quantize={"schemes": ["float16"]})
    left = {"model.onnx", "model_float32.tflite", "model_float16.tflite"}
    assert visible(out) == left | REPORT | {"notes.txt", "model_float16.recipe.json"}
    assert {a.path for a in report.artifacts} == left


def test_a_single_stage_takes_back_pages_and_what_other_weights_made(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(net, out)
    run(net, out, stages=("export",))
    assert visible(out) == ARTIFACTS | {"report.json"}, "files made from the same model.onnx are as good as they were"
    (net / "net.py").write_text((net / "net.py").read_text().replace("scale = 1.0", "scale = 2.0"))
    run(net, out, stages=("export",))
    assert visible(out) == {"model.onnx", "report.json"}


def test_a_scheme_that_fails_leaves_no_file_of_an_earlier_run(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(net, out, stages=("quantize",))
    assert "model_int8.tflite" in visible(out)
    (net / "helper.py").write_text("WIDTH = 5\n")
    with pytest.raises(BadInput):
        run(net, out, stages=("quantize",), quantize={"calibration": str(net / "none.npz")})
    assert "model_int8.tflite" in visible(out), "bad input changes nothing"


@pytest.mark.parametrize("name", ["model.onnx", "model_int8.tflite", "report.html", "junit.xml"])
def test_the_users_files_are_not_overwritten(net: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(BadInput, match="would be overwritten") as caught:
        run(net, out)
    assert caught.value.details == (str(out / name),)
    assert "--force" in str(caught.value)
    assert visible(out) == {name}
    assert (out / name).read_text() == "mine"


def test_what_a_user_changed_is_the_users_and_can_be_forced(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(net, out, stages=("convert",))
    (out / "model_float32.tflite").write_bytes(b"mine")
    with pytest.raises(BadInput, match="would be overwritten"):
        run(net, out, stages=("convert",))
    assert (out / "model_float32.tflite").read_bytes() == b"mine"
    run(net, out, stages=("convert",), force=True)
    assert (out / "model_float32.tflite").read_bytes() != b"mine"


def test_a_source_in_its_own_output_folder_is_safe(net: Path, tmp_path: Path) -> None:
    """Ours or the user's, it is read where it lies, stays byte by byte, and stays whose it was."""
    out, quick = (
        tmp_path / "out",
        {k: v for k, v in QUICK.items() if k != "targets"} | {"quantize": {"schemes": ["float16"]}},
    )
    run(net, out, stages=("export",))
    source = (out / "model.onnx").read_bytes()
    report = edgeworthy.run(str(out / "model.onnx"), out, **quick)
    assert report.gate and report.gate.status == "pass"
    assert (out / "model.onnx").read_bytes() == source
    assert {a.path for a in report.artifacts} == {"model.onnx", "model_float32.tflite", "model_float16.tflite"}
    run(net, out, stages=("export",))  # it is ours, so it may be written again

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.onnx").write_bytes(source)
    for stages in (("convert",), ("export",), ALL, ("quantize",)):
        edgeworthy.run(str(mine / "model.onnx"), mine, stages=stages, **quick)
        assert (mine / "model.onnx").read_bytes() == source
        assert "model_float32.tflite" in visible(mine), stages
    with pytest.raises(BadInput, match="would be overwritten"):
        run(net, mine, stages=("export",))
    assert (mine / "model.onnx").read_bytes() == source
