"""Compute shapes that are known, wholly or but for one dimension.

Before::

    x:[N,197,768] ── Shape ── Gather(0) ── Concat(·, 197, 12, 64) ── Reshape(x, ·) ── y

After::

    x:[N,197,768] ── Reshape(x, [-1,197,12,64]) ── y

With two unknown dimensions, those that the input has at the same place become 0 (ONNX: take over). An Expand may keep
unknown dimensions that the input has already (as 1), and a Slice up to the very end of its axis goes.

Leaves alone: shapes with more unknown dimensions than Reshape can tell from its input; the refusal says which.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import is_constant
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED
from .shape_values import NamedDim, ShapeValues, is_number, shape_value


def fold_shapes(rw: Rewriter) -> None:
    values = ShapeValues(rw.opset)
    for node in rw.nodes():
        result = values.evaluate(node)
        if result is not None and all(is_number(e) for e in result.reshape(-1)):
            _replace_by_numbers(rw, node, result)
        elif node.domain == "" and node.op_type in _TARGETS and not is_constant(node.inputs[1]):
            dims = values.get(node.inputs[1])
            if dims is not None and dims.ndim == 1:
                _TARGETS[node.op_type](rw, node, dims)
        elif node.domain == "" and node.op_type == "Slice" and len(node.inputs) >= 3:
            _drop_full_slice(rw, node, values)


def _replace_by_numbers(rw: Rewriter, node: ir.Node, numbers: Array) -> None:
    old = node.outputs[0]
    if old.dtype is None or old.is_graph_output() or all(is_constant(v) for v in node.inputs):
        return  # constant folding's business, or an output, which must be made by a node
    rw.replace(node, rw.constant(node, f"{old.name}/folded", numbers.astype(old.dtype.numpy())))


def _reshape(rw: Rewriter, node: ir.Node, target: Array) -> None:
    source = shape_value(node.inputs[0])
    dims = list(target)
    unknown = [i for i, d in enumerate(dims) if not is_number(d)]
    may_copy = 0 not in dims or not rw.attribute(node, "allowzero")
    if len(unknown) > 1 or -1 in dims:
        for i in list(unknown):
            if (
                may_copy
                and source is not None
                and i < source.size
                and isinstance(dims[i], NamedDim)
                and source[i] == dims[i]
            ):
                dims[i] = 0
                unknown.remove(i)
    if len(unknown) > (0 if -1 in dims else 1):
        rw.refuse(node, f"{len(unknown)} dimensions of the new shape {_text(target)} are unknown")
        return
    for i in unknown:
        dims[i] = -1
    if may_copy:
        node.attributes.pop("allowzero", None)
    _set_target(rw, node, dims)


def _expand(rw: Rewriter, node: ir.Node, target: Array) -> None:
    source = shape_value(node.inputs[0])
    if source is None:
        return
    dims = list(target)
    offset = len(dims) - source.size
    for i, dim in enumerate(dims):
        if isinstance(dim, NamedDim) and i >= offset and source[i - offset] == dim:
            dims[i] = 1
    if all(is_number(d) for d in dims):
        _set_target(rw, node, dims)
    else:
        rw.refuse(node, f"the new shape {_text(target)} depends on the inputs")


def _set_target(rw: Rewriter, node: ir.Node, dims: list[int]) -> None:
    old = node.inputs[1]
    node.replace_input_with(1, rw.shape_constant(node, f"{node.name}/shape", dims))
    maker = None if old is None else old.producer()
    if maker is not None:
        rw.remove_dead([maker])
    rw.changed += 1


def _drop_full_slice(rw: Rewriter, node: ir.Node, values: ShapeValues) -> None:
    """Take out a Slice from 0 to the named extent of each axis it cuts."""
    source = shape_value(node.inputs[0])
    starts, ends = values.get(node.inputs[1]), values.get(node.inputs[2])
    axes = values.get(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
    steps = values.get(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else np.ones(1, int)
    if source is None or starts is None or ends is None or steps is None or axes is None:
        return
    if any(bound.ndim != 1 for bound in (starts, ends, axes, steps)):
        return
    if any(s != 0 for s in starts) or any(s != 1 for s in steps) or not all(is_number(a) for a in axes):
        return
    if all(isinstance(end, NamedDim) and source[axis] == end for axis, end in zip(axes, ends, strict=True)):
        rw.bypass(node)


def _text(dims: Array) -> str:
    return "[" + ",".join(d.name if isinstance(d, NamedDim) else str(d) if is_number(d) else "?" for d in dims) + "]"


_TARGETS: dict[str, Callable[[Rewriter, ir.Node, Array], None]] = {"Reshape": _reshape, "Expand": _expand}

PASS = Pass(
    name="fold_shapes",
    run=fold_shapes,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("infer_shapes", "fold_constants"),
)
