"""Files of TensorFlow's own converter: beside a model (``--artifact``), and as sources."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy import files
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, UnsupportedNodes
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.source.load import load_source
from edgeworthy.targets.worker import Worker
from edgeworthy.validate.results import Report

from . import other_converters as others

NCHW, NHWC, CUBE = (1, 3, 8, 6), (1, 8, 6, 3), (1, 3, 3, 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.py, net.onnx and theirs (SavedModel, .tflite, int8); wrong: other weights; cube: all extents are 3."""
    folder = tmp_path_factory.mktemp("theirs")
    others.save(folder, "net", NCHW)
    others.convert(folder, "theirs", others.tensorflow(others.module(NCHW), NHWC), others.images(NHWC))
    others.without_signature(folder / "theirs.tflite", folder / "bare.tflite")
    others.convert(folder, "wrong", others.tensorflow(others.module(NCHW, seed=7), NHWC), others.images(NHWC))
    others.save(folder, "cube", CUBE, outputs=3)
    others.convert(folder, "cubes", others.tensorflow(others.module(CUBE, outputs=3), CUBE))
    others.convert(folder, "wrong_cubes", others.tensorflow(others.module(CUBE, seed=7, outputs=3), CUBE))
    (folder / "text.tflite").write_text("this is no flatbuffer, whatever its name says")
    return folder


def measured(
    made: Path, out: Path, source: str, *artifacts: str, stages: tuple[str, ...] = ("validate",), **tables: Any
) -> Report:
    given = {"artifacts": {"files": [str(made / a) for a in artifacts]} | tables.pop("artifacts", {})}
    if source.endswith(".onnx") or ":" in source:
        given |= {"convert": {"to": ["tflite"]}, "quantize": {"schemes": ["float16"]}}
    return edgeworthy.run(str(made / source), out, stages=stages, **given | tables)


def matches(report: Report, name: str) -> list[tuple[str, str, str, list[int], str]]:
    artifact = report.artifact(name)
    assert artifact
    return [(m.model, m.file, m.by, m.axes, m.file_dtype) for m in artifact.matches]


def status(report: Report, name: str) -> str:
    assert report.parity
    hop = report.parity.hop(name)
    assert hop
    return hop.status


def test_beside_an_onnx_file(made: Path, tmp_path: Path) -> None:
    names = ("theirs.tflite", "bare.tflite", "theirs_int8.tflite", "theirs")
    before = {name: files.sha256(made / name) for name in names}
    out = tmp_path / "out"
    report = measured(made, out, "net.onnx", *names, targets=["onnxruntime", "tensorflow", "tflite"])
    assert [status(report, name) for name in names] == ["pass"] * 4
    last, first = [0, 2, 3, 1], "serving_default_x:0"
    assert matches(report, "theirs.tflite") == [
        ("image", "x", "shape", last, ""),
        ("map", "output_0", "shape", last, ""),
    ]
    assert matches(report, "bare.tflite")[0] == ("image", first, "shape", last, "")
    assert matches(report, "theirs_int8.tflite")[1] == ("map", "output_0", "shape", last, "int8")
    assert any("theirs.tflite: input image is the file's x, by shape, its channels last" in n for n in report.notes)
    assert report.parity
    assert [h.name for h in report.parity.hops][-4:] == [
        "theirs.tflite", "bare.tflite", "theirs_int8.tflite (int8)", "theirs",
    ]  # fmt: skip
    hop = report.parity.hop("theirs_int8.tflite")
    assert hop and "SQNR" in hop.outputs[0].limit
    kept = {a.name: a for a in report.artifacts if a.given}
    assert {name: kept[name].sha256 for name in names} == before == {name: files.sha256(made / name) for name in names}
    assert {(out / a.path).resolve() for a in kept.values()} == {made / name for name in names}
    assert not (out / "theirs.tflite").exists()


def test_the_numbers_are_those_of_the_interpreter(made: Path, tmp_path: Path) -> None:
    """PyTorch in NCHW, and the interpreter fed by hand in NHWC, give the SQNR that the report has for one sample."""
    import torch
    from ai_edge_litert.interpreter import Interpreter

    report = measured(made, tmp_path / "out", "net.onnx", "theirs_int8.tflite", validate={"samples": 1})
    feed = load_source(str(made / "net.onnx")).examples["image"]
    net = others.module(NCHW).double()
    with torch.no_grad():
        truth = net(torch.from_numpy(feed).double()).numpy()
    interpreter = Interpreter(str(made / "theirs_int8.tflite"))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = into["quantization"]
    steps = np.clip(np.rint(feed.transpose(0, 2, 3, 1).astype(np.float64) / scale) + zero, -128, 127)
    interpreter.set_tensor(into["index"], steps.astype(np.int8))
    interpreter.invoke()
    scale, zero = out["quantization"]
    theirs = ((interpreter.get_tensor(out["index"]).astype(np.float64) - zero) * scale).transpose(0, 3, 1, 2)
    sqnr = 10 * np.log10(np.sum(truth**2) / np.sum((theirs - truth) ** 2))
    assert report.parity
    hop = report.parity.hop("theirs_int8.tflite")
    assert hop and hop.outputs[0].vs_truth and hop.outputs[0].vs_truth.sqnr_db == pytest.approx(sqnr, abs=0.01)


def test_other_weights_fail(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = measured(made, out, "net.py:make", "theirs.tflite", "wrong.tflite", "wrong_int8.tflite")
    names = ("theirs.tflite", "wrong.tflite", "wrong_int8.tflite")
    assert [status(report, name) for name in names] == ["pass", "fail", "fail"]
    verdict = edgeworthy.gate(out)
    assert verdict.exit_code == 1
    assert {line.subject for line in verdict.failing} == {"wrong.tflite", "wrong_int8.tflite (int8)"}


def test_the_gate_looks_at_the_file_again(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "theirs.tflite", tmp_path / "copy.tflite")
    measured(made, tmp_path / "out", "net.onnx", str(tmp_path / "copy.tflite"))
    assert edgeworthy.gate(tmp_path / "out").status == "pass"
    shutil.copy(made / "wrong.tflite", tmp_path / "copy.tflite")
    verdict = edgeworthy.gate(tmp_path / "out")
    assert [(line.check, line.subject) for line in verdict.failing] == [("files", "../copy.tflite")]


def test_of_equal_extents_the_layout_that_agrees_is_taken(made: Path, tmp_path: Path) -> None:
    report = measured(made, tmp_path / "out", "cube.onnx", "cubes.tflite", "wrong_cubes.tflite")
    assert [m[3] for m in matches(report, "cubes.tflite")] == [[0, 2, 3, 1]] * 2
    artifact = report.artifact("cubes.tflite")
    assert artifact and "only this one agrees with the model" in artifact.notes[0]
    assert status(report, "cubes.tflite") == "pass"
    assert status(report, "wrong_cubes.tflite") == "fail"
    artifact = report.artifact("wrong_cubes.tflite")
    assert artifact and "none agrees with the model" in artifact.notes[0]


def test_where_several_agree_the_user_says_which(tmp_path: Path) -> None:
    """An elementwise model computes the same in every layout."""
    import onnx
    import tensorflow as tf

    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, CUBE) for n in ("image", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["image"], ["y"])], "g", value[:1], value[1:])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "relu.onnx")
    module = tf.Module()
    module.call = tf.function(tf.nn.relu, input_signature=[tf.TensorSpec(CUBE, tf.float32, name="x")])
    others.convert(tmp_path, "relu", module)
    with pytest.raises(BadInput, match="of them agree with the model") as raised:
        measured(tmp_path, tmp_path / "out", "relu.onnx", "relu.tflite")
    assert "--artifact-layout" in raised.value.remedy
    for layout, axes in (("keep", []), ("nhwc", [0, 2, 3, 1]), ("nchw", [0, 3, 1, 2])):
        report = measured(tmp_path, tmp_path / layout, "relu.onnx", "relu.tflite", artifacts={"layout": layout})
        assert [m[3] for m in matches(report, "relu.tflite")] == [axes] * 2
        assert status(report, "relu.tflite") == "pass"


@pytest.mark.parametrize(
    ("artifact", "what"),
    [
        ("none.tflite", "no such"),
        ("text.tflite", "not a TFLite flatbuffer"),
        ("net.py", "neither a .tflite file nor"),
        ("none", "no such file"),
        ("cubes.tflite", "doesn't go with the file's"),
    ],
)
def test_what_is_no_file_of_the_model(made: Path, tmp_path: Path, artifact: str, what: str) -> None:
    with pytest.raises(BadInput, match=what) as raised:
        measured(made, tmp_path / "out", "net.onnx", artifact)
    assert raised.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_one_that_no_target_runs_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none of the targets runs it"):
        measured(made, tmp_path / "out", "net.onnx", "theirs.tflite", targets=["onnxruntime"])


def test_a_tflite_file_is_a_source(made: Path, tmp_path: Path) -> None:
    report = edgeworthy.run(
        made / "theirs.tflite", tmp_path / "out", quantize={"schemes": ["float16"]}, bench={"seconds": 0.05}
    )
    assert report.gate and report.gate.status == "pass"
    assert (report.export, report.conversion, report.model.kind) == (None, None, "tflite")
    assert report.parity
    assert [(h.name, h.status) for h in report.parity.hops] == [
        ("TFLite float32, reference kernels", "reference"),
        ("TFLite float32, builtin kernels", "reference"),
        ("TFLite float32", "pass"),
        ("TFLite float16", "pass"),
    ]
    assert report.latency
    assert [r.name for r in report.latency.rows] == ["TFLite float32", "TFLite float16"]
    assert summarize(tmp_path / "out/model_float16.tflite").scheme == "float16"
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [Path(i["path"]).name for i in manifest["inputs"]] == ["theirs.tflite"]


def test_an_int8_source_takes_floats(made: Path, tmp_path: Path) -> None:
    source = made / "theirs_int8.tflite"
    report = edgeworthy.run(source, tmp_path / "out", stages=("validate", "bench"), bench={"seconds": 0.05})
    assert report.parity and report.parity.status == "pass"
    assert [str(i) for i in report.model.inputs] == ["x:float32[1,8,6,3]"]
    assert any("values are quantized for it" in note for note in report.model.notes)
    assert report.latency and report.latency.status == "pass"
    with pytest.raises(BadInput, match="quantized already"):
        edgeworthy.quantize(source, tmp_path / "again")


def test_a_saved_model_is_a_source(made: Path, tmp_path: Path) -> None:
    report = measured(made, tmp_path / "out", "theirs", "theirs.tflite", "wrong.tflite", stages=("validate", "bench"))
    assert [status(report, name) for name in ("theirs.tflite", "wrong.tflite")] == ["pass", "fail"]
    assert report.parity and report.parity.truth == "SavedModel, without oneDNN"
    assert matches(report, "theirs.tflite")[0] == ("x", "x", "name", [], "")


@pytest.mark.parametrize(
    ("source", "stage", "what"),
    [
        ("theirs.tflite", "export", "nothing to export"),
        ("theirs.tflite", "convert", "nothing to convert"),
        ("theirs", "convert", "nothing to convert"),
        ("theirs", "quantize", "this is a SavedModel"),
        ("theirs", "validate", "nothing to compare"),
        ("text.tflite", "validate", "not a TFLite flatbuffer"),
        ("none.tflite", "bench", "no such"),
    ],
)
def test_stages_that_make_no_sense(made: Path, tmp_path: Path, source: str, stage: str, what: str) -> None:
    with pytest.raises(BadInput, match=what) as raised:
        edgeworthy.run(made / source, tmp_path / "out", stages=(stage,))
    assert raised.value.remedy
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "tables",
    [{"convert": {"to": ["tflite"]}}, {"targets": ["onnxruntime"]}, {"model": {"bind": {"x": 1.0}}},
     {"model": {"weights": "w.safetensors"}}],
    ids=["to", "target", "bind", "weights"],
)  # fmt: skip
def test_options_that_make_no_sense(made: Path, tmp_path: Path, tables: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        edgeworthy.run(made / "theirs.tflite", tmp_path / "out", stages=("validate",), **tables)


def test_of_several_signatures_the_main_graphs_is_used(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = [tf.TensorSpec((2, 3), tf.float32, name="x")]
    module.twice = tf.function(lambda x: {"twice": 2 * x}, input_signature=spec)
    module.square = tf.function(lambda x: {"square": x * x}, input_signature=spec)
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"twice": module.twice, "square": module.square})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "two"), signature_keys=["twice", "square"])
    path = tmp_path / "two.tflite"
    path.write_bytes(converter.convert())
    summary = summarize(path)
    assert set(summary.signatures) == {"twice", "square"} and summary.signature in summary.signatures
    x = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
    with Worker("tflite", TFLiteModel(path, summary.inputs, summary.outputs)) as worker:
        ((name, y),) = worker.run({"x": x}).items()
    assert name == summary.signature
    assert np.array_equal(y, {"twice": 2 * x, "square": x * x}[name])
    report = edgeworthy.validate(path, tmp_path / "out")
    assert any(f"the signature {summary.signature!r} is used, of " in note for note in report.model.notes)


# -- a model that we need not convert ---------------------------------------------------------------------


def pooled(folder: Path) -> None:
    """An ONNX file with an operator that edgeworthy refuses, and TensorFlow's file of the same function."""
    import onnx
    import tensorflow as tf

    shapes = {"x": (1, 1, 4, 4), "y": (1, 1, 2, 2)}
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes.items())
    whole = onnx.numpy_helper.from_array(np.array([[0, 0, 0, 3, 3]], np.float32), "whole")
    node = onnx.helper.make_node("MaxRoiPool", ["x", "whole"], ["y"], pooled_shape=[2, 2])
    graph = onnx.helper.make_graph([node], "g", [x], [y], [whole])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "roi.onnx")

    def call(x: Any) -> Any:
        return tf.transpose(tf.nn.max_pool2d(tf.transpose(x, (0, 2, 3, 1)), 2, 2, "VALID"), (0, 3, 1, 2))

    module = tf.Module()
    module.call = tf.function(call, input_signature=[tf.TensorSpec((1, 1, 4, 4), tf.float32, name="x")])
    others.convert(folder, "roi", module)


def test_what_we_cannot_convert_can_be_compared(tmp_path: Path) -> None:
    pooled(tmp_path)
    with pytest.raises(UnsupportedNodes):
        edgeworthy.convert(tmp_path / "roi.onnx", tmp_path / "own")
    given: dict[str, Any] = {"artifacts": {"files": [str(tmp_path / "roi.tflite")]}, "bench": {"seconds": 0.05}}
    out = tmp_path / "out"
    report = edgeworthy.run(tmp_path / "roi.onnx", out, stages=("validate", "bench"), **given)
    assert report.parity and report.latency and report.conversion is None
    assert [(h.name, h.status) for h in report.parity.hops] == [
        ("ONNX Runtime, not optimised", "reference"), ("ONNX Runtime", "reference"), ("roi.tflite", "pass"),
    ]  # fmt: skip
    assert [r.name for r in report.latency.rows] == ["ONNX Runtime", "roi.tflite"]
    assert [a.name for a in report.artifacts] == ["onnx", "roi.tflite"]
    assert any("was not converted" in note for note in report.notes)
    with pytest.raises(UnsupportedNodes):
        edgeworthy.validate(tmp_path / "roi.onnx", out, convert={"to": ["tflite"]}, **given)


def test_ours_are_compared_too_where_they_are_asked_for_or_there(made: Path, tmp_path: Path) -> None:
    def rows(out: Path, **tables: Any) -> list[str]:
        given = {"artifacts": {"files": [str(made / "theirs.tflite")]}}
        report = edgeworthy.validate(made / "net.onnx", out, **given, **tables)
        assert report.parity
        return [h.name for h in report.parity.hops if h.status != "reference" and "ONNX" not in h.name]

    assert rows(tmp_path / "none") == ["theirs.tflite"]
    assert not list((tmp_path / "none").glob("*.tflite"))
    both = ["TFLite float32", "TFLite float16", "theirs.tflite"]
    tflite = {"convert": {"to": ["tflite"]}}
    assert rows(tmp_path / "to", **tflite) == ["TFLite float32", "TFLite float16", "TFLite dynamic", "theirs.tflite"]
    assert rows(tmp_path / "scheme", quantize={"schemes": ["float16"]}, targets=["onnxruntime", "tflite"]) == both
    edgeworthy.convert(made / "net.onnx", tmp_path / "before", **tflite)
    assert "TFLite float32" in rows(tmp_path / "before", targets=["onnxruntime", "tflite"])
