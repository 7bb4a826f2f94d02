"""A pass that changes what the model computes is caught, and one that doesn't is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgeworthy.errors import CheckFailed
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.pipeline.pass_check import PassCheck


@pytest.fixture
def model(tmp_path: Path) -> ir.Model:
    """y = x * 2, saved as model.onnx."""
    x = ir.val("x", ir.DataType.FLOAT, [2])
    two = ir.node("Constant", [], {"value": ir.tensor(np.array([2, 2], np.float32))})
    product = ir.node("Mul", [x, two.outputs[0]])
    product.outputs[0].name, product.outputs[0].shape = "y", ir.Shape([2])
    product.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph([x], product.outputs, nodes=[two, product], opset_imports={"": 20}, name="g")
    made = ir.Model(graph, ir_version=10)
    ir.save(made, tmp_path / "model.onnx")
    return made


def nothing(model: ir.Model) -> None:
    pass


def other_value(model: ir.Model) -> None:
    model.graph[0].attributes["value"] = ir.AttrTensor("value", ir.tensor(np.array([2, 2.01], np.float32)))


def not_a_number(model: ir.Model) -> None:
    model.graph[0].attributes["value"] = ir.AttrTensor("value", ir.tensor(np.array([2, np.nan], np.float32)))


@pytest.mark.parametrize(("change", "caught"), [(nothing, False), (other_value, True), (not_a_number, True)])
def test_changes(model: ir.Model, tmp_path: Path, change: Callable[[ir.Model], None], caught: bool) -> None:
    check = PassCheck(describe(tmp_path / "model.onnx"), {"x": np.array([1, 3], np.float32)})
    change(model)
    if caught:
        with pytest.raises(CheckFailed, match="the pass my_pass changed"):
            check(model, "my_pass")
    else:
        check(model, "my_pass")
        assert check.changes == {"my_pass": 0.0}
