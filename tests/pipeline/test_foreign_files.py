"""Files that were made elsewhere: what is said of them has to be of use to who can't make them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.pipeline.subjects import to_artifact
from edgeworthy.validate.results import Hop, Report

from . import other_converters as others

NHWC = (1, 8, 6, 3)
_OPTIONS = ("--calibration", "--exclude", "--check-passes", "--repair")
"""Of ours, that only who makes the file has."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.py and theirs, of other weights: SavedModel, .tflite, int8."""
    folder = tmp_path_factory.mktemp("foreign")
    others.save(folder, "net", (1, 3, 8, 6))
    others.convert(folder, "theirs", others.tensorflow(others.module((1, 3, 8, 6), seed=7), NHWC), others.images(NHWC))
    return folder


def hop(report: Report, name: str) -> Hop:
    assert report.parity
    found = report.parity.hop(name)
    assert found
    return found


def test_advice_is_for_who_only_has_the_file(made: Path, tmp_path: Path) -> None:
    files = [str(made / name) for name in ("theirs.tflite", "theirs_int8.tflite")]
    tables: dict[str, Any] = {"artifacts": {"files": files}, "convert": {"to": ["tflite"]}}
    report = edgeworthy.validate(made / "net.onnx", tmp_path / "out", **tables)
    for name in ("theirs.tflite", "theirs_int8.tflite (int8)"):
        row = hop(report, name)
        assert row.status == "fail"
        assert not [option for option in _OPTIONS if option in row.remedy]
    assert "have it made again" in hop(report, "theirs_int8.tflite (int8)").remedy


def test_our_own_file_keeps_our_advice(made: Path, tmp_path: Path) -> None:
    source = f"{made / 'net.py'}:make"
    tables: dict[str, Any] = {
        "quantize": {"schemes": ["dynamic_wi8_afp32"], "floor_db": 200},
    }
    report = edgeworthy.run(
        source, tmp_path / "out", stages=("quantize", "validate"), convert={"to": ["tflite"]}, **tables
    )
    (row,) = [row for row in report.parity.hops if row.status == "fail"] if report.parity else []
    assert "--exclude" in row.remedy


def test_paths_are_clean_wherever_the_file_is(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    lone = tmp_path / "lone.tflite"
    lone.write_bytes((made / "theirs.tflite").read_bytes())
    monkeypatch.chdir(work)
    report = edgeworthy.bench("../../lone.tflite", "o", bench={"seconds": 0.05})
    (artifact,) = report.artifacts
    assert (work / "o" / artifact.path).resolve() == lone and artifact.given
    assert to_artifact(artifact, Path("o")).path == lone
    inside = work / "mine.tflite"
    inside.write_bytes(lone.read_bytes())
    report = edgeworthy.bench("mine.tflite", "p", bench={"seconds": 0.05})
    assert to_artifact(report.artifacts[0], Path("p")).path == Path("mine.tflite")
    inside.write_bytes(b"1234TFL3")
    lines = edgeworthy.gate("p", {"must_convert": ["tflite"]}).lines
    assert not [line for line in lines if "p/../" in str(line)]


# -- SavedModels ----------------------------------------------------------------------------------------


class _Nets:
    """SavedModels of one function each, by name."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.folder, self.tf = folder, tf

    def save(self, name: str, call: Any, spec: Any, key: str = "serving_default", **more: Any) -> Path:
        module, path = self.tf.Module(), self.folder / name
        module.state = more.pop("state", None)
        module.call = self.tf.function(call, input_signature=[spec])
        self.tf.saved_model.save(module, str(path), signatures={key: module.call, **more})
        return path

    def spec(self, shape: Any, dtype: str = "float32", name: str = "x") -> Any:
        return self.tf.TensorSpec(shape, self.tf.as_dtype(dtype), name=name)


@pytest.fixture
def nets(tmp_path: Path) -> _Nets:
    return _Nets(tmp_path)


def test_another_signature_is_made_the_usual_one_by_what_is_said(nets: _Nets, tmp_path: Path) -> None:
    path = nets.save("sm", lambda x: {"y": x * 2}, nets.spec([1, 3]), key="predict")
    with pytest.raises(BadInput, match="no signature serving_default") as raised:
        edgeworthy.inspect(path)
    command = (raised.value.remedy or "").partition("save it with ")[2]
    loaded, again = nets.tf.saved_model.load(str(path)), str(tmp_path / "again")
    exec(command, {"tf": nets.tf, "loaded": loaded, "FOLDER": again})
    assert [str(i) for i in edgeworthy.inspect(Path(again)).outputs]


def test_what_cannot_be_fed_says_so(nets: _Nets) -> None:
    text = nets.save("text", lambda x: {"n": nets.tf.strings.length(x)}, nets.spec([None], "string"))
    found = edgeworthy.inspect(text)
    assert set(found.runs_on) >= {"tensorflow", "keras"}
    assert all("x:string[batch]" in why for why in found.runs_on.values())
    free = nets.save("free", lambda x: {"y": x * 2}, nets.spec(None))
    with pytest.raises(BadInput, match="no known rank") as raised:
        edgeworthy.inspect(free)
    assert raised.value.where == str(free)


def test_a_keyword_as_an_input_is_named_as_the_cause(nets: _Nets, tmp_path: Path) -> None:
    v1, path = nets.tf.compat.v1, tmp_path / "v1"
    with nets.tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(nets.tf.float32, [1, 4])
        v1.saved_model.simple_save(session, str(path), {"in": x}, {"out": x * 2})
    with pytest.raises(BadInput) as raised:
        edgeworthy.inspect(path)
    assert "no keyword" in raised.value.remedy


def test_several_signatures_are_told(nets: _Nets, tmp_path: Path) -> None:
    other = nets.tf.function(lambda x: {"z": x + 1}, input_signature=[nets.spec([1, 3])])
    path = nets.save("two", lambda x: {"y": x * 2}, nets.spec([1, 3]), other=other)
    report = edgeworthy.bench(path, tmp_path / "out", bench={"seconds": 0.05})
    assert any("'serving_default' is used, of" in note and "'other'" in note for note in report.model.notes)


def test_what_draws_at_random_is_told(nets: _Nets, tmp_path: Path) -> None:
    tf = nets.tf
    path = nets.save("random", lambda x: {"y": x + tf.random.normal([4])}, nets.spec([4]))
    steady = nets.save("steady", lambda x: {"y": x * 2}, nets.spec([4]))
    for source, told in ((path, True), (steady, False)):
        theirs = tmp_path / f"{source.name}.tflite"
        theirs.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(steady)).convert())
        report = edgeworthy.validate(source, tmp_path / f"out_{source.name}", artifacts={"files": [str(theirs)]})
        assert report.parity
        assert any("is another on the same inputs" in note for note in report.parity.notes) == told


@pytest.mark.parametrize("stage", ["convert", "quantize"])
def test_what_a_saved_model_needs_first(made: Path, tmp_path: Path, stage: str) -> None:
    with pytest.raises(BadInput) as raised:
        edgeworthy.run(made / "theirs", tmp_path / "out", stages=(stage,))
    assert "TFLiteConverter.from_saved_model" in raised.value.remedy
    assert not (tmp_path / "out").exists()
