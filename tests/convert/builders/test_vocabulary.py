"""Every TFLite op that the code can emit, found in its syntax, has a full row in the table of operators."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

import edgeworthy
from edgeworthy.convert.builders.builder import Builder, DryBuilder
from edgeworthy.convert.builders.elementwise import BINARY, COMPARE, UNARY
from edgeworthy.convert.builders.kernels import working_dtype
from edgeworthy.convert.builders.reductions import REDUCTIONS
from edgeworthy.errors import InternalFault
from edgeworthy.formats.tflite.ops import HANDLER, OPS
from edgeworthy.formats.tflite.summary import OP_NAMES

CONVERT = Path(str(edgeworthy.__file__)).parent / "convert"
EMITTERS = {"_same", "emit", "emit_one", "working_dtype"}
"""Functions of the builders whose first argument is the op."""
PASSED_ON = {"unary", "binary", "compare", "reduce", "pool_2d", "resize", "arg_extreme", "segment"}
"""Methods of the builders that take the op from the lowering."""
BUILTINS = {name.lower() for name in OP_NAMES.values()}


def _calls(folder: str) -> Iterator[ast.Call]:
    for path in sorted((CONVERT / folder).rglob("*.py")):
        yield from (
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        )


def _function(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _strings(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


@cache
def emitted() -> frozenset[str]:
    """The ops that the builders name, those that the lowering names to them, and the sets of the elementwise ones."""
    found = set(UNARY | BINARY | COMPARE | REDUCTIONS)
    for call in _calls("builders"):
        if _function(call) in EMITTERS and call.args and isinstance(call.args[0], ast.Constant):
            found.add(str(call.args[0].value))
    tables = {n for path in (CONVERT / "lowering").rglob("*.py") for n in _strings(ast.parse(path.read_text()))}
    return frozenset(found | (tables & _chosen_by_the_lowering()))


def _chosen_by_the_lowering() -> set[str]:
    """Ops that only exist as an argument of a method: windows, resizing, extremes, segments."""
    families = ("_pool_2d", "resize_", "arg_", "unsorted_segment_")
    return {name for name in BUILTINS if any(family in f"_{name}" for family in families)}


def test_the_syntax_names_the_ops() -> None:
    assert {"conv_2d", "max_pool_2d", "resize_bilinear", "arg_min", "unsorted_segment_prod", "cast", "add"} <= emitted()
    methods = {_function(call) for call in _calls("lowering")}
    assert methods >= PASSED_ON and all(callable(getattr(Builder, name)) for name in PASSED_ON)


def test_every_op_that_is_emitted_has_a_full_row_and_no_other() -> None:
    assert emitted() == {name for name, row in OPS.items() if row.is_emitted}


@pytest.mark.parametrize("op", ["squeeze", "hashtable_find", "no_such_op"])
def test_an_op_without_a_full_row_is_a_fault_of_ours(op: str) -> None:
    b = DryBuilder()
    with pytest.raises(InternalFault, match=op):
        b.emit_one(op, [b.const(np.zeros(3, np.float32))], "float32", (3,))
    with pytest.raises(InternalFault, match=op):
        working_dtype(op, "float32")


def test_every_op_has_its_tensorflow_form() -> None:
    import tensorflow as tf

    from edgeworthy.convert.builders.tensorflow_ops import HANDLERS

    assert set(HANDLERS) == {name for name, row in OPS.items() if row.tensorflow == HANDLER}
    for row in OPS.values():
        if row.tensorflow not in (None, HANDLER):
            assert callable(attrgetter(str(row.tensorflow))(tf)), row.name
