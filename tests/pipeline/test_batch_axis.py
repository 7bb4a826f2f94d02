"""Files with an axis of extent 1 that the model lacks, or without one that it has: aligned, and held to the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgeworthy
from edgeworthy.pipeline.comparing import compare
from edgeworthy.settings import load_config
from edgeworthy.validate.routes import RouteComparison, RouteRow

from . import other_converters as others

PLAIN, BATCH = (3, 8, 6), (1, 3, 8, 6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain.py takes an image, net.py a batch of one."""
    folder = tmp_path_factory.mktemp("batch")
    others.save(folder, "plain", PLAIN)
    others.save(folder, "net", BATCH)
    return folder


def compared(source: Path, out: Path, *names: str, int8: bool = False) -> RouteComparison:
    tables = {
        "model": {"source": f"{source}:make"},
        "output": out,
        "targets": ["pytorch", "onnxruntime", "tflite"],
        "bench": {"seconds": 0.05},
        "artifacts": {"jobs": 1},
    }
    more = {"quantize": {"calibration": "random", "samples": 8}} if int8 else {}
    return compare(load_config(None, tables | more), routes=names)


def row(found: RouteComparison, name: str) -> RouteRow:
    return next(row for row in found.rows if row.route == name)


def test_routes_that_add_a_batch(package: Path, made: Path, tmp_path: Path) -> None:
    """In either layout, timed and quantized too; what computes more than one image is another model."""
    found = compared(made / "plain.py", tmp_path / "out", "batched", "last", "wider", "doubled", int8=True)
    assert {r.route: r.status for r in found.rows} == {
        "batched": "pass", "last": "pass", "wider": "error", "doubled": "fail",
    }  # fmt: skip
    more = "which has an axis of extent 1 more (the first)"
    assert row(found, "batched").notes == [
        f"input image is the file's image, by name, {more}", f"output output is the file's output, by name, {more}",
    ]  # fmt: skip
    assert [note.endswith(f"{more}, its channels last") for note in row(found, "last").notes] == [True, True]
    for name in ("batched", "last"):
        assert row(found, name).p50_ms and (row(found, name).int8_sqnr_db or 0) > 20, name
    assert "doesn't go with the file's image:float32[2,3,8,6] in any layout" in row(found, "wider").cause
    assert "shape" in row(found, "doubled").cause
    page = (tmp_path / "out/compare.html").read_text()
    assert "batched: input image is the file&#39;s image, by name, which has an axis of extent 1 more" in page


def test_a_route_that_drops_the_batch(package: Path, made: Path, tmp_path: Path) -> None:
    found = compared(made / "net.py", tmp_path / "out", "direct", "unbatched")
    assert [r.status for r in found.rows] == ["pass", "pass"]
    lacks = "which lacks an axis of extent 1 (the first)"
    assert [note.partition(", by name, ")[2] for note in row(found, "unbatched").notes] == [lacks, lacks]
    assert row(found, "direct").notes == []


def test_a_file_that_is_given(made: Path, tmp_path: Path) -> None:
    """TensorFlow's file of a batch, channels last, beside the model of an image; one of other weights fails."""
    images = (1, 8, 6, 3)
    for name, seed in (("theirs", 0), ("wrong", 7)):
        others.convert(tmp_path, name, others.tensorflow(others.module(PLAIN, seed), images), others.images(images))
    given = ("theirs.tflite", "theirs_int8.tflite", "theirs", "wrong.tflite")
    report = edgeworthy.run(
        f"{made / 'plain.py'}:make",
        tmp_path / "out",
        stages=("validate",),
        artifacts={"files": [str(tmp_path / name) for name in given]},
        targets=["pytorch", "onnxruntime", "tensorflow", "tflite"],
    )
    assert report.parity
    hops = {name: report.parity.hop(name) for name in given}
    assert {name: hop and hop.status for name, hop in hops.items()} == {
        "theirs.tflite": "pass", "theirs_int8.tflite": "pass", "theirs": "pass", "wrong.tflite": "fail",
    }  # fmt: skip
    assert any("theirs.tflite: input image is the file's x" in n and "extent 1 more" in n for n in report.notes)
    # By hand: the interpreter, fed a batch of one, channels last.
    from ai_edge_litert.interpreter import Interpreter

    image = others.module(PLAIN).example_inputs["image"]
    interpreter = Interpreter(str(tmp_path / "theirs.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.numpy().transpose(1, 2, 0)[None])
    interpreter.invoke()
    theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].transpose(2, 0, 1)
    ours = others.module(PLAIN)(image).detach().numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
