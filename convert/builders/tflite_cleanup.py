"""What is done to a function of TFL-dialect MLIR when MLIR has optimized it: what its rewriting leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from litert_converter.mlir import ir

from ..forms import Forms
from .ranks import MOST_AXES

_CONSTANTS = ("arith.constant", "tfl.pseudo_const", "tfl.no_value")
_BITS_OF_KERNELS = 8
"""Of integers that XNNPACK computes in."""
_MOVING = ("tfl.reshape", "tfl.slice", "tfl.transpose")


def tidy(block: ir.Block, forms: Forms) -> None:
    """Take out what does nothing, and give XNNPACK the forms that it takes."""
    _drop_idle_reshapes(block)
    _slice_out_of_splits(block)
    _narrow_products(block)
    if forms.takes("clamp_by_bounds"):
        _clamp_by_bounds(block)
    if forms.takes("log_softmax_in_steps"):
        _log_softmax_in_steps(block)
    _factors_first(block)
    _integers_first(block)


def _drop_idle_reshapes(block: ir.Block) -> None:
    """MLIR's own rewriting leaves reshapes of ``[-1]`` to ``[-1]``, such as before the ONE_HOT that it finds."""
    for op in list(block.operations):
        if op.operation.name != "tfl.reshape" or op.operands[0].type != op.results[0].type:
            continue
        kind = ir.RankedTensorType(op.results[0].type)
        dynamic = [kind.is_dynamic_dim(axis) for axis in range(kind.rank)]
        if sum(dynamic) == 0 or (sum(dynamic) == 1 and 0 not in _known_extents(kind)):
            op.results[0].replace_all_uses_with(op.operands[0])
            op.operation.erase()


def _slice_out_of_splits(block: ir.Block) -> None:
    """Slices in the place of a SPLIT of which a part is not used: XNNPACK (LiteRT 2.3) fails on an int8 one."""
    for op in list(block.operations):
        used = [any(True for _ in result.uses) for result in op.operation.results]
        if op.operation.name != "tfl.split" or all(used):
            continue
        whole = op.operation.operands[1]
        extents = _known_extents(ir.RankedTensorType(whole.type))
        for index in np.flatnonzero(used).tolist():
            part = op.operation.results[index]
            size = _known_extents(ir.RankedTensorType(part.type))
            begin = [0 if kept == of else index * kept for kept, of in zip(size, extents, strict=True)]
            with ir.InsertionPoint(op), op.location:
                cut = ir.Operation.create("tfl.slice", [part.type], [whole, _bounds(begin), _bounds(size)])
            part.replace_all_uses_with(cut.result)
        op.operation.erase()


def _narrow_products(block: ir.Block) -> None:
    """MLIR merges the reshapes around a FULLY_CONNECTED with it, also where XNNPACK takes fewer axes."""
    for op in list(block.operations):
        if op.operation.name != "tfl.fully_connected":
            continue
        x, result = (ir.RankedTensorType(value.type) for value in (op.operands[0], op.results[0]))
        if x.rank <= MOST_AXES:
            continue
        rows = prod(x.shape[:-1]) if x.has_static_shape else ir.ShapedType.get_dynamic_size()
        matrix, product = (ir.RankedTensorType.get([rows, t.shape[-1]], t.element_type) for t in (x, result))
        attributes = {name: op.attributes[name] for name in op.attributes}
        attributes["keep_num_dims"] = ir.BoolAttr.get(False)
        with ir.InsertionPoint(op), op.location:
            operands = [_reshape(op.operands[0], matrix), *list(op.operands)[1:]]
            narrow = ir.Operation.create("tfl.fully_connected", [product], operands, attributes)
            op.results[0].replace_all_uses_with(_reshape(narrow.result, result))
        op.operation.erase()


def _clamp_by_bounds(block: ir.Block) -> None:
    """MAXIMUM and MINIMUM in the place of the RELU_0_TO_1 that MLIR makes of them."""
    for op in list(block.operations):
        if op.operation.name != "tfl.relu_0_to_1":
            continue
        kind = ir.RankedTensorType(op.results[0].type)
        with ir.InsertionPoint(op), op.location:
            value = op.operands[0]
            for name, bound in (("tfl.maximum", 0.0), ("tfl.minimum", 1.0)):
                limit = ir.DenseElementsAttr.get(np.array(bound, np.float32))
                constant = ir.Operation.create("arith.constant", results=[limit.type], attributes={"value": limit})
                value = ir.Operation.create(name, [kind], [value, constant.result]).result
            op.results[0].replace_all_uses_with(value)
        op.operation.erase()


def _log_softmax_in_steps(block: ir.Block) -> None:
    """y = x - max(x) and y - log(sum(exp(y))) in the place of the LOG_SOFTMAX that MLIR makes of them.

    Floats alone, and not what a QUANTIZE follows: the model has scales of its own, for the int8 kernel.
    """
    for op in list(block.operations):
        if op.operation.name != "tfl.log_softmax" or _to_int8(op.results[0]):
            continue
        x = op.operands[0]
        kind = ir.RankedTensorType(op.results[0].type)
        if not isinstance(kind.element_type, ir.F32Type):
            continue
        extents = [ir.ShapedType.get_dynamic_size() if kind.is_dynamic_dim(a) else kind.get_dim_size(a)
                   for a in range(kind.rank - 1)]  # fmt: skip
        row = ir.RankedTensorType.get([*extents, 1], kind.element_type)
        last, kept = {"keep_dims": ir.BoolAttr.get(True)}, {"fused_activation_function": ir.StringAttr.get("NONE")}
        with ir.InsertionPoint(op):
            with op.location:
                axis = _bounds([kind.rank - 1])
            most = _step(op, "reduce_max", row, [x, axis], last)
            below = _step(op, "sub", kind, [x, most], kept)
            powers = _step(op, "exp", kind, [below])
            size = _step(op, "log", row, [_step(op, "sum", row, [powers, axis], last)])
            made = ir.Operation.create("tfl.sub", [kind], [below, size], kept, loc=op.location)
            op.results[0].replace_all_uses_with(made.result)
        op.operation.erase()


def _step(
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


def _to_int8(value: ir.Value) -> bool:
    """Whether a value is quantized, also behind what moves its elements."""
    for use in value.uses:
        reader = use.owner.operation
        if reader.name == "tfl.quantize" or (reader.name in _MOVING and _to_int8(reader.results[0])):
            return True
    return False


def _factors_first(block: ir.Block) -> None:
    """x · (factor · scale) for (x · factor) · scale, where a factor made by RSQRT is smaller than x, and stays so.

    PyTorch writes the trained scale of a group norm as a product behind it: a pass over the image that isn't needed.
    """
    for op in list(block.operations):
        found = _scaled(op.operation) if op.operation.name == "tfl.mul" else None
        if found is None:
            continue
        inner, x, factor, scale = found
        kept = {"fused_activation_function": ir.StringAttr.get("NONE")}
        attributes = {name: op.attributes[name] for name in op.attributes}
        with ir.InsertionPoint(op):
            once = _step(op, "mul", ir.RankedTensorType(factor.type), [factor, scale], kept)
            made = ir.Operation.create("tfl.mul", [op.results[0].type], [x, once], attributes, loc=op.location)
        op.results[0].replace_all_uses_with(made.result)
        op.operation.erase()
        inner.erase()


def _scaled(op: ir.Operation) -> tuple[ir.Operation, ir.Value, ir.Value, ir.Value] | None:
    """The first of two products, and what is multiplied: x, the factor, and the scale that is constant."""
    for product, scale in (op.operands, reversed(op.operands)):
        inner = None if isinstance(product.owner, ir.Block) else product.owner.operation
        if inner is None or inner.name != "tfl.mul" or not _is_constant(scale) or len(list(product.uses)) != 1:
            continue
        if ir.StringAttr(inner.attributes["fused_activation_function"]).value != "NONE":
            continue
        for x, factor in (inner.operands, reversed(inner.operands)):
            if _is_deviation(factor) and _extents(factor) != _extents(x) and _goes_into(scale, factor):
                return inner, x, factor, scale
    return None


def _is_deviation(value: ir.Value) -> bool:
    """Whether RSQRT made a value, which then is no large number, or it was multiplied by constants since."""
    if isinstance(value.owner, ir.Block):
        return False
    op = value.owner.operation
    if op.name == "tfl.reshape":
        return _is_deviation(op.operands[0])
    if op.name == "tfl.mul":
        return any(_is_constant(b) and _is_deviation(a) for a, b in (op.operands, reversed(op.operands)))
    return bool(op.name == "tfl.rsqrt")


def _extents(value: ir.Value) -> list[int]:
    """Each axis's extent, -1 where it is dynamic."""
    kind = ir.RankedTensorType(value.type)
    return [-1 if kind.is_dynamic_dim(axis) else kind.get_dim_size(axis) for axis in range(kind.rank)]


def _goes_into(small: ir.Value, large: ir.Value) -> bool:
    """Whether what is broadcast of both has the extents of the second."""
    ours, theirs = _extents(small), _extents(large)
    aligned = zip(reversed(ours), reversed(theirs), strict=False)
    return len(ours) <= len(theirs) and all(a in (1, b) for a, b in aligned)


def _integers_first(block: ir.Block) -> None:
    """Put first what reads or makes integers or truths and needs nothing that is computed of floats.

    The first operator that is ready decides who has the first part of the graph. XNNPACK takes none of these, which
    look up tokens and make masks: behind a part of floats (the picture of CLIP) they divide it from the words.
    """
    ready: set[ir.Value] = set(block.arguments)
    ahead, others = [], []
    for op in block.operations:
        operation = op.operation
        if operation.name in _CONSTANTS:
            continue
        computed = [v for v in operation.operands if v in ready]
        given = all(v in ready or _is_constant(v) for v in operation.operands)
        if given and not len(operation.regions) and any(map(_is_whole, [*computed, *operation.results])):
            ready.update(operation.results)
            ahead.append(operation)
        else:
            others.append(operation)
    for operation in ahead if others else []:
        for value in filter(_is_constant, operation.operands):
            if not value.owner.operation.is_before_in_block(others[0]):
                value.owner.operation.move_before(others[0])
        operation.move_before(others[0])


def _is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name in _CONSTANTS


def _is_whole(value: ir.Value) -> bool:
    kind = value.type.element_type if isinstance(value.type, ir.RankedTensorType) else None
    return isinstance(kind, ir.IntegerType) and kind.width != _BITS_OF_KERNELS


def _reshape(x: ir.Value, kind: ir.RankedTensorType) -> ir.Value:
    extents = [-1 if kind.is_dynamic_dim(a) else kind.get_dim_size(a) for a in range(kind.rank)]
    return ir.Operation.create("tfl.reshape", results=[kind], operands=[x, _bounds(extents)]).result


def _bounds(values: Sequence[int]) -> ir.Value:
    bounds = ir.DenseElementsAttr.get(np.array(values, np.int32))
    return ir.Operation.create("arith.constant", results=[bounds.type], attributes={"value": bounds}).result


def _known_extents(kind: ir.RankedTensorType) -> list[int]:
    return [kind.get_dim_size(axis) for axis in range(kind.rank) if not kind.is_dynamic_dim(axis)]
