"""A pass that changes what the model computes is caught, and one that doesn't is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgeworthy.errors import CheckFailed
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.pipeline.pass_check import PassCheck, _change


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


def other_dtype(model: ir.Model) -> None:
    y = model.graph.outputs[0]
    cast = ir.node("Cast", [y], {"to": int(ir.DataType.DOUBLE)})
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(ir.DataType.DOUBLE), ir.Shape([2])
    y.name, cast.outputs[0].name = "z", "y"
    model.graph.append(cast)
    model.graph.outputs[0] = cast.outputs[0]


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (nothing, None),
        (other_value, "by 0.0049 of the largest element|by 0.005 of the largest element"),
        (not_a_number, "1 of 2 elements are NaN where the reference has another value"),
        (other_dtype, "dtype is float64, and float32 was expected"),
    ],
)
def test_changes(model: ir.Model, tmp_path: Path, change: Callable[[ir.Model], None], caught: str | None) -> None:
    check = PassCheck(describe(tmp_path / "model.onnx"), {"x": np.array([1, 3], np.float32)})
    change(model)
    if caught:
        with pytest.raises(CheckFailed, match="the pass my_pass changed") as error:
            check(model, "my_pass")
        assert re.match(f"output 'y': ({caught})", error.value.details[0])
    else:
        check(model, "my_pass")
        assert check.changes == {"my_pass": 0.0}


def test_an_integer_is_the_same_or_it_is_not() -> None:
    many = np.full(100_000, 10_000)
    other = many.copy()
    other[7] += 1  # 1e-4 of the largest, and one of 1e5
    assert _change(many, many) == (0.0, "0.00% of the elements differ")
    assert _change(other, many)[0] == np.inf
    assert _change(many > 0, many > 0)[0] == 0
