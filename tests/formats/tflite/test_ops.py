"""The table of TFLite operators, against the schema."""

from __future__ import annotations

from edgeworthy.formats.tflite import ops
from edgeworthy.formats.tflite.summary import DTYPE_NAMES, OP_NAMES


def test_every_operator_has_one_row() -> None:
    assert len(ops.OPS) == len(ops._ROWS)


def test_every_operator_and_dtype_is_one_of_the_schema() -> None:
    assert {row.builtin for row in ops.OPS.values()} <= set(OP_NAMES.values())
    assert {dtype for row in ops.OPS.values() for dtype in row.dtypes or ()} <= set(DTYPE_NAMES.values())


def test_a_row_of_what_is_emitted_is_full() -> None:
    for row in ops.OPS.values():
        assert row.is_emitted == (row.tensorflow is not None) == bool(row.dtypes), row.name
        # What nobody emits has a row for the sake of the quantizer.
        assert row.is_emitted or row.int8 not in (ops.Int8.FLOAT, ops.Int8.LISTED), row.name
