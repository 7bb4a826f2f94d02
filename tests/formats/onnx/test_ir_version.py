"""The version of ONNX's format that a model needs, whatever its file says."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgeworthy.formats.onnx.ir_version import OLDEST, needed, restamped, stamped

from .onnx_models import build, write


def cast(to: int, *, nested: bool = False) -> onnx.ModelProto:
    """x as another element type, with ``nested`` in the branch of an If."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=to),
        helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
    ]
    if nested:
        branch = helper.make_graph(nodes, "branch", [], [y])
        nodes = [helper.make_node("If", ["b"], ["y"], then_branch=branch, else_branch=branch)]
    b = helper.make_tensor_value_info("b", TensorProto.BOOL, [])
    return helper.make_model(helper.make_graph(nodes, "g", [x, b], [y]), ir_version=14)


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (build(), OLDEST),
        (cast(TensorProto.FLOAT16), OLDEST),
        (cast(TensorProto.FLOAT4E2M1), 11),
        (cast(TensorProto.INT2, nested=True), 13),
        (cast(TensorProto.FLOAT6E2M3), 14),
    ],
)
def test_what_is_in_it_tells(model: onnx.ModelProto, version: int) -> None:
    assert needed(model) == version


def test_the_types_of_inputs_and_weights_count() -> None:
    model = build()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT8E8M0
    assert needed(model) == 12
    model = build()
    model.graph.initializer[0].data_type = TensorProto.UINT2
    assert needed(model) == 13
    model = build()
    model.graph.value_info.add(name="h").type.opaque_type.name = "thing"
    assert needed(model) == 14


def test_only_the_stamp_changes_wherever_it_is_in_the_file(tmp_path: Path) -> None:
    model = build()
    model.ir_version = 14
    path = write(tmp_path / "m.onnx", model)
    before = path.read_bytes()
    assert before[:2] == b"\x08\x0e" and stamped(path) == 14
    model.ir_version = OLDEST
    for content in (before, before[2:] + before[:2]):
        path.write_bytes(content)
        assert onnx.ModelProto.FromString(restamped(path) or b"") == model
        assert path.read_bytes() == content, "the user's file is left as it is"


def test_a_stamp_that_is_no_newer_is_left(tmp_path: Path) -> None:
    assert restamped(write(tmp_path / "m.onnx", build())) is None
    assert restamped(write(tmp_path / "new.onnx", cast(TensorProto.FLOAT6E3M2))) is None
