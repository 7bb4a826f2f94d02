"""Inline the functions a model brings along.

Before::

    x ── my.domain::Block(alpha) ── y          function Block(X) <alpha> { t = Mul(X, alpha); Y = Relu(t) }

After::

    x ── Mul ── Relu ── y                      (no function left)

Leaves alone: functions of the private domain (see ``private_ops``), which are there to be lowered as one operator.

The nodes of a body keep their own metadata (PyTorch module and line) and take those of the call where they have none.

Raises:
    BadInput: functions call each other in a circle, or a function needs an opset that the model's doesn't agree with.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import PreconditionError
from onnx_ir.passes.common import InlinePass

from ...errors import BadInput
from ...vocabulary import FUSED_DOMAIN
from ..graph.reading import opset, schema
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def inline_functions(rw: Rewriter) -> None:
    model = rw.model
    foreign = [f for f in model.functions.values() if f.domain != FUSED_DOMAIN]
    if not foreign:
        return
    for function in foreign:
        _agree_on_opset(function, opset(model))
        _separate_outputs(function)
    inliner = InlinePass(criteria=lambda function: function.domain != FUSED_DOMAIN)
    try:
        rw.changed += sum(inliner(model).id_count.values())  # type: ignore[attr-defined]
    except (PreconditionError, ValueError) as error:
        raise BadInput(
            f"the model's functions can't be inlined: {error}",
            remedy="export the model again, without functions that call each other in a circle",
        ) from error
    for function in foreign:
        if model.functions.pop(function.identifier(), None) is not None:
            rw.changed += 1


def _agree_on_opset(function: ir.Function, version: int) -> None:
    """Let a function import the model's opset where all operators of its body mean the same in both."""
    own = function.opset_imports.get("", version)
    for node in function.all_nodes():
        if node.domain == "" and own != version:
            mine, models = schema(node.op_type, own), schema(node.op_type, version)
            if mine is None or models is None or mine.since_version != models.since_version:
                raise BadInput(
                    f"the function {function.domain}::{function.name} is written for opset {own}, "
                    f"the model for {version}, and {node.op_type} differs between them",
                    where=f"{function.domain}::{function.name}, {node.name or node.op_type}",
                    remedy="export the model again with one opset for all of it",
                )
    if "" in function.opset_imports:
        function.opset_imports[""] = version


def _separate_outputs(function: ir.Function) -> None:
    """Give each output of a function a node of its own: an input, or a value twice, can't be renamed to two names."""
    seen: set[ir.Value] = set(function.inputs)
    for index, value in enumerate(function.outputs):
        if value in seen:
            copy = ir.node("Identity", [value], name=f"{value.name}/Identity")
            function.append(copy)
            function.outputs[index] = copy.outputs[0]
        seen.add(value)


PASS = Pass(
    name="inline_functions",
    run=inline_functions,
    ensures=frozenset({NO_LOCAL_FUNCTIONS}),
    breaks=frozenset({CONSTANTS_LIFTED, TYPED}),
)
