"""TFLite files as sources whose names don't tell their inputs and outputs: refused, with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper

from edgeworthy.convert import convert
from edgeworthy.errors import BadInput
from edgeworthy.source.load import load_source
from edgeworthy.source.model_files import read
from edgeworthy.targets.tflite import TFLite


@pytest.fixture(scope="module")
def difference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """d = a - b and n = -a, of a[2, 3] and b[2, 3]."""
    folder = tmp_path_factory.mktemp("difference")
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "abdn"}
    nodes = [helper.make_node("Sub", ["a", "b"], ["d"]), helper.make_node("Neg", ["a"], ["n"])]
    graph = helper.make_graph(nodes, "g", [values["a"], values["b"]], [values["d"], values["n"]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "m.onnx")
    made = convert(folder / "m.onnx", folder, to=["tflite"]).tflite
    assert made is not None
    return made.path


def changed(path: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    model = flatbuffer_utils.read_model(str(path))
    change(model)
    flatbuffer_utils.write_model(model, str(folder / "changed.tflite"))
    return folder / "changed.tflite"


def rename_tensors(model: Any, name: bytes = b"same") -> None:
    for tensor in model.subgraphs[0].tensors:
        tensor.name = name


def bare(model: Any) -> None:
    rename_tensors(model, b"")
    model.signatureDefs = []


def twins(model: Any) -> None:
    for entry in model.signatureDefs[0].inputs:
        entry.name = b"x"


def fewer(model: Any) -> None:
    model.signatureDefs[0].outputs = model.signatureDefs[0].outputs[:1]


def keyless(model: Any) -> None:
    model.signatureDefs[0].signatureKey = b""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (bare, "several inputs or outputs have one name: ''"),
        (twins, "several inputs or outputs have one name: 'x'"),
        (fewer, "the signature 'serving_default' leaves out inputs or outputs of the graph"),
        (keyless, "the file's signature has no key"),
    ],
)
def test_names_that_tell_nothing_apart(difference: Path, tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read(changed(difference, tmp_path, change))
    assert "signature" in (caught.value.remedy or "") and caught.value.exit_code == 2


@pytest.mark.parametrize("names", [("a:0", "x/y z"), ('it\'s "q" ü,{b}', " "), ("日本\n", "")])
def test_names_of_a_signature_are_any(difference: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    """Whatever their tensors are called, all of them the same."""

    def change(model: Any) -> None:
        rename_tensors(model)
        for entry, name in zip(sorted(model.signatureDefs[0].inputs, key=lambda e: e.name), names, strict=True):
            entry.name = name.encode()

    file = read(changed(difference, tmp_path, change))
    assert {spec.name for spec in file.inputs} == set(names)
    a, b = np.array([[[0, 1.5, -2], [3, -0.0, 7]], [[1, -1, 0.25], [0, 2, 7]]], np.float32)
    found = TFLite().load(file.artifact).run({names[0]: a, names[1]: b})
    np.testing.assert_array_equal(found["d"], a - b)
    np.testing.assert_array_equal(found["n"], -a)


def test_a_model_without_inputs_is_told_as_one(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    constant = helper.make_tensor("c", TensorProto.FLOAT, [2], [1.0, 2.0])
    graph = helper.make_graph([helper.make_node("Neg", ["c"], ["y"])], "g", [], [value], [constant])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(BadInput, match="the model takes no inputs"):
        load_source(str(tmp_path / "m.onnx"))
