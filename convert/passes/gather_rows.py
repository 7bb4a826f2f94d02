"""Let gathers of windows take whole rows, where they take single elements.

Before (windows of a sequence, by ``torch.nn.functional.unfold``, of tokens whose channels come last)::

    x [N,L,C] ── Transpose ── Unsqueeze ── Pad ── [N,C,L',1] ── Gather(axis 2, places [k,L]) ── y [N,C,k,L,1]

After::

    x [N,L,C] ── Reshape ── Pad ── [L',N,C,1] ── Gather(axis 0, places [k,L]) ── Transpose ── y [N,C,k,L,1]

TFLite's GATHER copies what lies behind its axis at once, and a Transpose goes to whatever comes next.

Leaves alone: gathers of four elements or more at once, or with few of them; places that are computed, or a vector;
extents that aren't numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from ..graph.reading import constant, permutation, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_MOST_AT_ONCE, _LEAST_ROWS = 3, 8


def gather_rows(rw: Rewriter) -> None:
    for node in rw.nodes("Gather"):
        x, places = node.inputs[0], node.inputs[1]
        extents, windows, made = static_shape(x), static_shape(places), static_shape(node.outputs[0])
        if x is None or places is None or not extents or not windows or made is None or constant(places) is None:
            continue
        axis = int(rw.attribute(node, "axis") or 0) % len(extents)
        rows = prod(extents[:axis])
        if len(windows) < 2 or prod(extents[axis + 1 :]) > _MOST_AT_ONCE or rows < _LEAST_ROWS or 0 in made:
            continue
        before = range(len(windows), len(windows) + axis)
        turned = _turned(rw, node, x, [axis, *(at for at in range(len(extents)) if at != axis)])
        taken = rw.value_before(node, "Gather", [turned, places], [*windows, *(made[at] for at in range(axis)),
                                                             *extents[axis + 1 :]], {"axis": 0})  # fmt: skip
        rw.become(node, "Transpose", [taken], {"perm": [*before, *range(len(windows)), *range(before.stop, len(made))]})
        rw.changed += 1
    rw.drop_replaced()


def _turned(rw: Rewriter, main: ir.Node, value: ir.Value, perm: Sequence[int]) -> ir.Value:
    """``value`` transposed, before ``main``: above a Pad and axes of extent 1, with what transposes there."""
    extents = static_shape(value) or ()
    wanted = [extents[at] for at in perm]
    node = value.producer()
    x = None if node is None or node.domain != "" else node.inputs[0]
    source = static_shape(x)
    if node is not None and x is not None and source is not None:
        order = permutation(node) if node.op_type == "Transpose" else None
        if order is not None:
            return _turned(rw, main, x, [order[at] for at in perm])
        if sole_consumer(value) is main and node.op_type == "Pad":
            pads = constant(node.inputs[1])
            if pads is not None and len(node.inputs) < 4:
                inner = _turned(rw, node, x, perm)
                moved = rw.constant(node, f"{node.name}/pads", pads.reshape(2, -1)[:, perm].reshape(-1))
                return rw.value_before(
                    main, "Pad", [inner, moved, *filter(None, node.inputs[2:])], wanted, dict(node.attributes)
                )
        if node.op_type in ("Reshape", "Squeeze", "Unsqueeze") and _wide(source, source) == _wide(extents, extents):
            axes = iter([at for at, extent in enumerate(source) if extent != 1])
            names = {at: next(axes) for at, extent in enumerate(extents) if extent != 1}
            units = [at for at, extent in enumerate(source) if extent == 1]
            inner = _turned(rw, main, x, [*units, *(names[at] for at in perm if at in names)])
            return _reshaped(rw, main, inner, wanted)
    if _wide(perm, wanted) == sorted(_wide(perm, wanted)):
        return _reshaped(rw, main, value, wanted)
    return rw.value_before(main, "Transpose", [value], wanted, {"perm": list(perm)})


def _wide(values: Sequence[int], extents: Sequence[int]) -> list[int]:
    """The values at axes whose extent isn't 1."""
    return [value for value, extent in zip(values, extents, strict=True) if extent != 1]


def _reshaped(rw: Rewriter, main: ir.Node, x: ir.Value, extents: Sequence[int]) -> ir.Value:
    if static_shape(x) == tuple(extents):
        return x
    return rw.value_before(main, "Reshape", [x, rw.shape_constant(main, f"{main.name}/extents", extents)], extents)


PASS = Pass(
    name="gather_rows",
    run=gather_rows,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "straighten_gathers", "fuse_pad"),
)
