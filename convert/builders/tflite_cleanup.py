"""What is done to a function of TFL-dialect MLIR when MLIR has optimized it: what its rewriting leaves behind."""

from __future__ import annotations

from math import prod

import numpy as np
from litert_converter.mlir import ir

from ..forms import Forms
from .ranks import MOST_AXES
from .tfl_dialect import CONSTANTS, extents_of, int32s, is_constant, known_extents, reshaped, step
from .tflite_movement import pad_rows, swap_by_places

_BITS_OF_KERNELS = 8
"""Of integers that XNNPACK computes in."""
_MOVING = ("tfl.reshape", "tfl.slice", "tfl.transpose")


def tidy(block: ir.Block, forms: Forms) -> None:
    """Take out what does nothing, and give XNNPACK the forms that it takes."""
    _slice_out_of_splits(block)
    _narrow_products(block)
    if forms.takes("clamp_by_bounds"):
        _clamp_by_bounds(block)
    if forms.takes("log_softmax_in_steps"):
        _log_softmax_in_steps(block)
    if forms.takes("pad_in_rows"):
        pad_rows(block)
    if (bounds := forms.numbers("swap_by_places")) is not None:
        swap_by_places(block, parts=bounds["parts"], places=bounds["places"])
    _merge_reshapes(block)
    _drop_idle_reshapes(block)
    _factors_first(block)
    _integers_first(block)


def _merge_reshapes(block: ir.Block) -> None:
    """One reshape for two in a row; MLIR has merged its own, and these are of the forms that came since."""
    for op in list(block.operations):
        x = op.operands[0] if op.operation.name == "tfl.reshape" else None
        if x is None or isinstance(x.owner, ir.Block) or x.owner.operation.name != "tfl.reshape":
            continue
        before = x.owner.operation
        if extents_of(op.results[0]).count(-1) == 0 or 0 not in extents_of(before.operands[0]):
            op.operation.operands[0] = before.operands[0]
        if not any(True for _ in x.uses):
            before.erase()


def _drop_idle_reshapes(block: ir.Block) -> None:
    """Such as those of ``[-1]`` to ``[-1]`` that MLIR's own rewriting leaves before the ONE_HOT that it finds."""
    for op in list(block.operations):
        if op.operation.name != "tfl.reshape" or op.operands[0].type != op.results[0].type:
            continue
        kind = ir.RankedTensorType(op.results[0].type)
        dynamic = [kind.is_dynamic_dim(axis) for axis in range(kind.rank)]
        if sum(dynamic) == 0 or (sum(dynamic) == 1 and 0 not in known_extents(kind)):
            op.results[0].replace_all_uses_with(op.operands[0])
            op.operation.erase()


def _slice_out_of_splits(block: ir.Block) -> None:
    """Slices in the place of a SPLIT of which a part is not used: XNNPACK (LiteRT 2.3) fails on an int8 one."""
    for op in list(block.operations):
        used = [any(True for _ in result.uses) for result in op.operation.results]
        if op.operation.name != "tfl.split" or all(used):
            continue
        whole = op.operation.operands[1]
        extents = known_extents(ir.RankedTensorType(whole.type))
        for index in np.flatnonzero(used).tolist():
            part = op.operation.results[index]
            size = known_extents(ir.RankedTensorType(part.type))
            begin = [0 if kept == of else index * kept for kept, of in zip(size, extents, strict=True)]
            with ir.InsertionPoint(op), op.location:
                cut = ir.Operation.create("tfl.slice", [part.type], [whole, int32s(begin), int32s(size)])
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
            operands = [reshaped(op.operands[0], matrix), *list(op.operands)[1:]]
            narrow = ir.Operation.create("tfl.fully_connected", [product], operands, attributes)
            op.results[0].replace_all_uses_with(reshaped(narrow.result, result))
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
                axis = int32s([kind.rank - 1])
            most = step(op, "reduce_max", row, [x, axis], last)
            below = step(op, "sub", kind, [x, most], kept)
            powers = step(op, "exp", kind, [below])
            size = step(op, "log", row, [step(op, "sum", row, [powers, axis], last)])
            made = ir.Operation.create("tfl.sub", [kind], [below, size], kept, loc=op.location)
            op.results[0].replace_all_uses_with(made.result)
        op.operation.erase()


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
            once = step(op, "mul", ir.RankedTensorType(factor.type), [factor, scale], kept)
            made = ir.Operation.create("tfl.mul", [op.results[0].type], [x, once], attributes, loc=op.location)
        op.results[0].replace_all_uses_with(made.result)
        op.operation.erase()
        inner.erase()


def _scaled(op: ir.Operation) -> tuple[ir.Operation, ir.Value, ir.Value, ir.Value] | None:
    """The first of two products, and what is multiplied: x, the factor, and the scale that is constant."""
    for product, scale in (op.operands, reversed(op.operands)):
        inner = None if isinstance(product.owner, ir.Block) else product.owner.operation
        if inner is None or inner.name != "tfl.mul" or not is_constant(scale) or len(list(product.uses)) != 1:
            continue
        if ir.StringAttr(inner.attributes["fused_activation_function"]).value != "NONE":
            continue
        for x, factor in (inner.operands, reversed(inner.operands)):
            if _is_deviation(factor) and extents_of(factor) != extents_of(x) and _goes_into(scale, factor):
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
        return any(is_constant(b) and _is_deviation(a) for a, b in (op.operands, reversed(op.operands)))
    return bool(op.name == "tfl.rsqrt")


def _goes_into(small: ir.Value, large: ir.Value) -> bool:
    """Whether what is broadcast of both has the extents of the second."""
    ours, theirs = extents_of(small), extents_of(large)
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
        if operation.name in CONSTANTS:
            continue
        computed = [v for v in operation.operands if v in ready]
        given = all(v in ready or is_constant(v) for v in operation.operands)
        if given and not len(operation.regions) and any(map(_is_whole, [*computed, *operation.results])):
            ready.update(operation.results)
            ahead.append(operation)
        else:
            others.append(operation)
    for operation in ahead if others else []:
        for value in filter(is_constant, operation.operands):
            if not value.owner.operation.is_before_in_block(others[0]):
                value.owner.operation.move_before(others[0])
        operation.move_before(others[0])


def _is_whole(value: ir.Value) -> bool:
    kind = value.type.element_type if isinstance(value.type, ir.RankedTensorType) else None
    return isinstance(kind, ir.IntegerType) and kind.width != _BITS_OF_KERNELS
