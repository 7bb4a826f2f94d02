"""SavedModels: names of inputs that TensorFlow can't take as they are, and what of a folder is the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeworthy.convert import convert
from edgeworthy.formats.saved_model import argument_names
from edgeworthy.targets.tflite import TFLite
from edgeworthy.targets.worker import Worker

NAMES = [
    "x", "input:0", "Input:0", "input_0", "INPUT_0", "0", "_hidden", "/a/b.c", "a b", "ü", "日本", "class", "self",
    "name", "None", "input_", ":", "input",
]  # fmt: skip


def test_arguments_are_unique_and_fit_names_stay() -> None:
    made = argument_names(NAMES)
    assert list(made) == NAMES
    assert len({n.lower() for n in made.values()}) == len(NAMES)
    assert all(n.isascii() and n.isidentifier() and n[0].isalpha() for n in made.values())
    assert made["x"] == "x" and made["input_0"] == "input_0" and made["input:0"] == "input_0_1"
    assert argument_names(["b", "a"]) == {"b": "b", "a": "a"}
    assert argument_names([""]) == {"": "input"}
    again = argument_names(made.values())
    assert list(again.values()) == list(made.values())


@pytest.mark.parametrize("outputs", [["y:0", "Y:0"], ["9", "_y"], ["ö", "a/b"]])
def test_a_model_with_such_names_runs_by_its_own(tmp_path: Path, outputs: list[str]) -> None:
    value = helper.make_tensor_value_info
    weights = {f"w{i}": np.float32(i + 1) for i in range(len(NAMES))}
    nodes = [helper.make_node("Mul", [n, w], [f"m{w}"]) for n, w in zip(NAMES, weights, strict=True)]
    nodes += [helper.make_node("Sum", [f"m{w}" for w in weights], [outputs[0]])]
    nodes += [helper.make_node("Neg", [outputs[0]], [outputs[1]])]
    graph = helper.make_graph(
        nodes,
        "g",
        [value(n, TensorProto.FLOAT, [2]) for n in NAMES],
        [value(n, TensorProto.FLOAT, [2]) for n in outputs],
        [onnx.numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    feeds = {n: np.array([i, i * i + 1], np.float32) for i, n in enumerate(NAMES)}
    want = sum((i + 1) * feeds[n] for i, n in enumerate(NAMES))
    made = convert(tmp_path / "m.onnx", tmp_path)
    assert made.saved_model is not None and made.tflite is not None
    assert [s.name for s in made.saved_model.inputs] == NAMES
    with Worker("tensorflow", made.saved_model) as worker:
        results = [worker.run(feeds), TFLite().load(made.tflite).run(feeds)]
    for result in results:
        assert list(result) == outputs
        np.testing.assert_allclose(result[outputs[0]], want, rtol=1e-6)
        np.testing.assert_allclose(result[outputs[1]], -want, rtol=1e-6)


def test_what_lies_in_its_folder_is_not_of_the_model(tmp_path: Path) -> None:
    """onnx2tf writes its .tflite files, and fetches data, into the folder of its SavedModel."""
    value = helper.make_tensor_value_info
    ends = [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", *ends)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "m.onnx")
    saved = convert(tmp_path / "m.onnx", tmp_path, to=["saved_model"]).saved_model
    assert saved is not None
    before = saved.size, saved.sha256
    assert before[0] == sum(path.stat().st_size for path in saved.path.rglob("*") if path.is_file())
    (saved.path / "model_float32.tflite").write_bytes(bytes(10_000))
    (saved.path / "data").mkdir()
    (saved.path / "data" / "samples.npy").write_bytes(bytes(10_000))
    assert (saved.size, saved.sha256) == before
    (saved.path / "assets").mkdir(exist_ok=True)
    (saved.path / "assets" / "words.txt").write_text("a")
    assert saved.size == before[0] + 1
    assert saved.sha256 != before[1]
