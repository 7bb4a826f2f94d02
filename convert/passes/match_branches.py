"""Give what both branches of an If make one rank, where it is one number either way.

Before::

    c ── If { then: s (float[]);  else: t (float[1]) } ── y ── Mul(v, ·)          v of rank 1 or more

After::

    c ── If { then: s ── Reshape(1) (float[1]);  else: t (float[1]) } ── y ── Mul(v, ·)

Leaves alone: results of more elements; those that any other operator uses than one that spreads them over a tensor of
at least that rank, for it could tell the ranks apart.

ONNX knows no rank of such a result, nor of anything that is computed from it.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..graph.reading import rank, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import NO_LOCAL_FUNCTIONS, TYPED

_SPREADING = frozenset({"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean",
                        "Min", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"})  # fmt: skip


def match_branches(rw: Rewriter) -> None:
    for node in rw.nodes("If"):
        branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        for index, value in enumerate(node.outputs):
            results = [branch.outputs[index] for branch in branches]
            ranks = [rank(result) for result in results]
            if None in ranks or ranks[0] == ranks[1]:
                continue
            wanted = max(r or 0 for r in ranks)
            objection = _objection(value, results, wanted)
            if objection is not None:
                rw.refuse(node, objection)
                continue
            for branch in branches:
                _reshape(rw, node, branch, index, wanted)


def _objection(value: ir.Value, results: list[ir.Value], wanted: int) -> str | None:
    if any(shape is None or math.prod(shape) != 1 for shape in map(static_shape, results)):
        return "its branches give tensors of other ranks and more than one element"
    if value.is_graph_output():
        return "its branches give tensors of other ranks, and the graph gives them on"
    for user, index in value.uses():
        if user.domain != "" or not (_takes_type(user, index) or _spreads(user, index, wanted)):
            return f"its branches give tensors of other ranks, and {user.op_type} may tell them apart"
    return None


def _takes_type(user: ir.Node, index: int) -> bool:
    """Whether a node looks at the type of its input ``index`` alone."""
    return user.op_type == "CastLike" and index == 1


def _spreads(user: ir.Node, index: int, least: int) -> bool:
    """Whether a node spreads its input ``index`` over another of rank ``least`` or more."""
    others = [rank(value) or 0 for i, value in enumerate(user.inputs) if i != index]
    return user.op_type in _SPREADING and max(others, default=0) >= least


def _reshape(rw: Rewriter, node: ir.Node, branch: ir.Graph, index: int, wanted: int) -> None:
    result = branch.outputs[index]
    if rank(result) == wanted:
        return
    shape = rw.shape_constant(node, f"{node.name}/shape", [1] * wanted)
    reshaped = rw.node("Reshape", [result, shape], main=node)
    reshaped.outputs[0].name = rw.unique(f"{result.name}/reshaped")
    reshaped.outputs[0].type, reshaped.outputs[0].shape = result.type, ir.Shape([1] * wanted)
    branch.append(reshaped)
    branch.outputs[index] = reshaped.outputs[0]
    rw.changed += 1


PASS = Pass(
    name="match_branches",
    run=match_branches,
    requires=frozenset({NO_LOCAL_FUNCTIONS, TYPED}),
    must_follow=("infer_shapes",),
)
