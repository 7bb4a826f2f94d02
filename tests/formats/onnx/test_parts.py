"""Sequences among the outputs of a file become their tensors, whose values are ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.onnx.parts import take_apart
from edgeworthy.formats.onnx.summary import summarize
from edgeworthy.source.load import load_source
from edgeworthy.targets.tflite import TFLite

from ...conformance.adapters import RUNNERS

X = np.arange(15, dtype=np.float32).reshape(3, 5)


def write(path: Path, inputs: str, body: str, outputs: str = "seq(float[a,b]) s", stored: str = "") -> Path:
    text = f'<ir_version: 8, opset_import: ["": 18]> g ({inputs}) => ({outputs}) {stored} {{ {body} }}'
    onnx.save(onnx.parser.parse_model(text), path)
    return path


MODELS = [
    ("float[n,5] x", "s = SplitToSequence <axis = 1> (x)", 5),
    ("float[3,5] x", "s = SplitToSequence <axis = -1, keepdims = 0> (x)", 5),
    ("float[n,5] x, int64[3] sizes", "s = SplitToSequence <axis = 1> (x, sizes)", 3),
    ("float[n,5] x", "size = Constant <value_int = 2> () s = SplitToSequence <axis = 1> (x, size)", 3),
    ("float[n,5] x", "size = Constant <value = int64 {5}> () s = SplitToSequence <axis = -1> (x, size)", 1),
    ("float[n,5] x", "z = Neg (x) e = SequenceConstruct (x, z) i = Identity (e) s = SequenceInsert (i, x)", 3),
    (
        "float[n,5] x, bool c",
        "s, y = If (c) <then_branch = t () => (seq(float[p,q]) a, float[p,q] u)"
        " { u = Neg (x) a = SequenceConstruct (u, x) },"
        " else_branch = e () => (seq(float[p,q]) b, float[p,q] v) { v = Abs (x) b = SequenceConstruct (x, v) }>",
        2,
    ),
]


@pytest.mark.parametrize(
    ("inputs", "body", "count"), MODELS, ids=["axis", "dropped", "sizes", "size", "all", "inserted", "branches"]
)
def test_its_tensors_one_by_one(inputs: str, body: str, count: int, tmp_path: Path) -> None:
    branches = "c)" in body
    outputs = "seq(float[a,b]) s" + (", float[e,f] y" if branches else "")
    path = write(tmp_path / "m.onnx", inputs, body, outputs)
    assert "is a sequence" in " ".join(summarize(path).notes)
    (out := tmp_path / "out").mkdir()
    made = convert(path, out)
    session = ort.InferenceSession(path)
    more = [{"sizes": np.array(sizes)} for sizes in ([1, 2, 2], [0, 5, 0])] if "sizes" in inputs else []
    more += [{"c": np.array(value)} for value in (True, False)] if branches else []
    for feeds in [{"x": X} | extra for extra in more or [{}]]:
        want = session.run(["s"], feeds)[0]
        assert len(want) == count
        for artifact, run in RUNNERS.items():
            if artifact == "tflite" and 0 in feeds.get("sizes", ()):
                continue  # LiteRT's interpreter hands out no tensor without elements
            got = run(getattr(made, artifact).path, feeds)
            assert {name for name in got if name != "y"} == {f"s_{index}" for index in range(count)}
            for index, part in enumerate(want):
                np.testing.assert_array_equal(got[f"s_{index}"], part)


def test_all_stages_know_them(tmp_path: Path) -> None:
    """The copy of the file that is exported has them, so that ONNX Runtime gives them as well."""
    path = write(tmp_path / "m.onnx", "float[3,5] x", "s = SplitToSequence <axis = 1, keepdims = 0> (x) s_1 = Neg (x)",
                 "seq(float[3]) s, float[3,5] s_1")  # fmt: skip
    source = load_source(str(path))
    exported = export_onnx(source, tmp_path / "out" / "model.onnx")
    names = [spec.name for spec in exported.model.outputs]
    assert names == ["s_0", "s_1_", "s_2", "s_3", "s_4", "s_1"]
    assert "is a sequence" in " ".join((*exported.notes, *source.notes))
    session = ort.InferenceSession(exported.model.path)
    want = dict(zip(names, session.run(names, {"x": X}), strict=True))
    np.testing.assert_array_equal(want["s_1_"], X[:, 1])
    made = convert(exported.model, tmp_path / "out", to=("tflite",)).tflite
    assert made is not None
    loaded = TFLite().load(made)
    got = loaded.run({"x": X})
    assert list(got) == names
    for name in names:
        np.testing.assert_array_equal(got[name], want[name])


def test_a_sequence_of_branches_that_another_branch_reads(tmp_path: Path) -> None:
    """It stays where it is, and its tensors are taken out of it."""
    path = write(
        tmp_path / "m.onnx", "float[n,5] x, bool c",
        "s = If (c) <then_branch = t () => (seq(float[p,q]) a) { u = Neg (x) a = SequenceConstruct (u, x) },"
        " else_branch = e () => (seq(float[p,q]) b) { v = Abs (x) b = SequenceConstruct (x, v) }>"
        " y = If (c) <then_branch = f () => (float[p,q] w) { i = Constant <value_int = 1> () w = SequenceAt (s, i) },"
        " else_branch = g () => (float[p,q] z) { z = Identity (x) }>",
        "seq(float[a,b]) s, float[a,b] y",
    )  # fmt: skip
    model = onnx.load(path)
    assert len(take_apart(model)) == 1
    before, after = ort.InferenceSession(path), ort.InferenceSession(model.SerializeToString())
    for value in (True, False):
        feeds = {"x": X, "c": np.array(value)}
        (parts, y), got = before.run(None, feeds), after.run(["s_0", "s_1", "y"], feeds)
        for want, found in zip([*parts, y], got, strict=True):
            np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    "body",
    [
        "s = SplitToSequence <axis = 1> (x, size)",
        "s = If (c) <then_branch = t () => (seq(float[p,q]) a) { a = SplitToSequence <axis = 1> (x, size) },"
        " else_branch = e () => (seq(float[p,q]) b) { b = SequenceConstruct (x, x, x) }>",
    ],
)
def test_a_size_that_is_stored(body: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "float[n,5] x, bool c", body, stored="<int64 size = {2}>")
    assert summarize(path).notes[0].endswith("the outputs s_0, s_1, s_2")


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ("float[n,5] x", "s = SplitToSequence <axis = 0> (x)"),
        ("float[3,5] x, int64 size", "s = SplitToSequence <axis = 1> (x, size)"),
    ],
)
def test_a_number_that_is_computed(inputs: str, body: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", inputs, body)
    assert summarize(path).notes == ()
    with pytest.raises(UnsupportedNodes, match="sequence"):
        convert(path, tmp_path, to=("tflite",))
