"""What edits a block of TFL-dialect MLIR that is built already: its values as they are read, and new operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from litert_converter.mlir import ir

CONSTANTS = ("arith.constant", "tfl.pseudo_const", "tfl.no_value")
"""Operators that hold a constant."""


def is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name in CONSTANTS


def int32s_of(value: ir.Value) -> list[int] | None:
    """The elements of a constant, in order; None: it is computed."""
    if not is_constant(value) or "value" not in value.owner.operation.attributes:
        return None
    held = ir.DenseIntElementsAttr(value.owner.operation.attributes["value"])
    return [int(held[index]) for index in range(len(held))]


def extents_of(value: ir.Value) -> list[int]:
    """Each axis's extent, -1 where it is dynamic."""
    return _extents(ir.RankedTensorType(value.type))


def known_extents(kind: ir.RankedTensorType) -> list[int]:
    return [extent for extent in _extents(kind) if extent >= 0]


def _extents(kind: ir.RankedTensorType) -> list[int]:
    return [-1 if kind.is_dynamic_dim(axis) else kind.get_dim_size(axis) for axis in range(kind.rank)]


def type_of(extents: Sequence[int], like: ir.Value) -> ir.RankedTensorType:
    """The type of a tensor of the elements of another; -1 is a dynamic extent."""
    dynamic = ir.ShapedType.get_dynamic_size()
    element = ir.RankedTensorType(like.type).element_type
    return ir.RankedTensorType.get([dynamic if extent < 0 else extent for extent in extents], element)


def int32s(values: Sequence[int] | Sequence[Sequence[int]]) -> ir.Value:
    """A constant, where operators are inserted."""
    held = ir.DenseElementsAttr.get(np.array(values, np.int32))
    return ir.Operation.create("arith.constant", results=[held.type], attributes={"value": held}).result


def reshaped(x: ir.Value, kind: ir.RankedTensorType) -> ir.Value:
    return ir.Operation.create("tfl.reshape", results=[kind], operands=[x, int32s(_extents(kind))]).result


def step(
    of: ir.OpView,
    name: str,
    kind: ir.RankedTensorType,
    operands: Sequence[ir.Value],
    attributes: Mapping[str, ir.Attribute] | None = None,
) -> ir.Value:
    """An operator on the way to the result of another, and called after both."""
    base: str | None = getattr(of.location, "name_str", None)  # what MLIR has fused has several
    called = of.location if base is None else ir.Location.name(f"{base}/{name}")
    return ir.Operation.create(f"tfl.{name}", [kind], operands, attributes, loc=called).result
