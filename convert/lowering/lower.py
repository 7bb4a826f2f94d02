"""Walks a prepared ONNX graph and lowers it node by node; the preflight does the same with nothing built."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import onnx
import onnx_ir as ir

from ...errors import InternalFault, UnsupportedNode, UnsupportedNodes
from ...formats.onnx.names import called
from ...vocabulary import FUSED_DOMAIN, MODULE_KEY, NHWC_DOMAIN, SOURCE_KEY
from ..builders.builder import Builder, DryBuilder
from ..builders.tensor import Spec, Tensor, Unsupported, format_shape
from ..forms import Forms, choose
from ..graph.reading import nodes_below, schema
from . import registry
from .context import DTYPES, Context, NotLowered, spec
from .operands import check_operands

_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a handler may raise by mistake; the node it was at is the first thing to know."""


def graph_inputs(model: ir.Model) -> list[tuple[str, Spec]]:
    """Name and spec of the graph's inputs that aren't initializers."""
    initializers = model.graph.initializers
    return [(str(v.name), spec(v)) for v in model.graph.inputs if v.name not in initializers]


def preflight(model: ir.Model, *, forms: Forms | None = None) -> list[UnsupportedNode]:
    """All nodes that can't be lowered, those in bodies too; runs every handler on a builder that builds nothing."""
    unsupported: list[UnsupportedNode] = []

    def walk(context: Context, graph: ir.Graph) -> None:
        for node in graph:
            try:
                _lower_node(context, node)
            except Unsupported as problem:
                if not isinstance(problem, NotLowered):
                    unsupported.append(_row(problem, node.op_type, _called(node), context, node))
                _bind_by_type(context, node)

    builder = DryBuilder()
    builder.forms = forms or choose()
    context = Context(builder, model.opset_imports, walk)
    for value in model.graph.inputs:
        try:
            found = spec(value)
        except Unsupported as problem:
            unsupported.append(_row(problem, "input", str(value.name), context))
            continue
        context.bind(value, Tensor(None, found.dtype, found.shape))
    walk(context, model.graph)
    for value in model.graph.outputs:
        try:
            spec(value)
            context.tensor(value)
        except NotLowered:
            continue  # the node that makes it is in the list
        except Unsupported as problem:
            unsupported.append(_row(problem, "output", str(value.name), context))
    return unsupported


def lower(
    model: ir.Model,
    builder: Builder,
    inputs: Sequence[Tensor],
    *,
    release: bool = False,
    forms: Forms | None = None,
    where: str | None = None,
) -> list[tuple[str, Tensor]]:
    """Lower the main graph into ``builder``; returns the outputs by name.

    ``forms``: which of several equal forms are written; None: those for both CPUs.

    With ``release`` each weight leaves ``model`` after its last use, which halves the memory that large models take.

    Raises:
        UnsupportedNodes: a node can't be lowered (run :func:`preflight` first: it finds all of them).
    """
    builder.forms = forms or choose()
    last_uses = _last_uses(model) if release else {}

    def walk(context: Context, graph: ir.Graph) -> None:
        for node in graph:
            with builder.scope(str(node.outputs[0].name)):
                try:
                    _lower_node(context, node)
                except Unsupported as problem:
                    row = _row(problem, node.op_type, _called(node), context, node)
                    raise UnsupportedNodes([row], where=where) from problem
            for value in last_uses.get(node, ()):
                context.forget(value)
                value.const_value = None

    context = Context(builder, model.opset_imports, walk)
    names = {name for name, _ in graph_inputs(model)}
    graph_values = [v for v in model.graph.inputs if v.name in names]
    for value, tensor in zip(graph_values, inputs, strict=True):
        context.bind(value, tensor)
    walk(context, model.graph)
    try:
        return [(str(value.name), context.tensor(value)) for value in model.graph.outputs]
    except Unsupported as problem:
        raise InternalFault(f"an output was not computed: {problem.reason}", where=where) from problem


def operator_version(node: ir.Node, opset: int) -> int:
    """The opset in which ``node``'s operator last changed, at ``opset``; 1 for domains that aren't ONNX's.

    Operators with channels-last activations are ONNX's of that name.
    """
    if node.domain not in ("", "ai.onnx", NHWC_DOMAIN):
        return 1
    found = schema(node.op_type, opset)
    return found.since_version if found else opset


def _called(node: ir.Node) -> str:
    return called(node.name, (value.name for value in node.outputs))


def _lower_node(context: Context, node: ir.Node) -> None:
    version = operator_version(node, context.version(node))
    entry = registry.find(node.domain, node.op_type, version)
    if entry is None:
        raise _not_registered(node, context.version(node), version)
    check_operands(node)
    try:
        result = entry.handler(context, node)
    except _FAULTS as error:
        raise InternalFault(
            f"the lowering of {node.op_type} (opset {context.version(node)}) failed: {type(error).__name__}: {error}",
            where=_called(node),
            remedy="please report this with the model, or the part of it that holds this node",
        ) from error
    results = result if isinstance(result, tuple) else (result,)
    for value, tensor in zip(node.outputs, results, strict=False):
        _check(value, tensor)
        context.bind(value, tensor)
        if tensor.value is None and value.name:
            context.b.rename(tensor, value.name)


def _not_registered(node: ir.Node, opset: int, version: int) -> Unsupported:
    # Our own domains have operators of ONNX's names, and mean nothing to the reader.
    ours = node.domain in (FUSED_DOMAIN, NHWC_DOMAIN)
    name = node.op_type if ours or not node.domain else f"{node.domain}::{node.op_type}"
    if ours or onnx.defs.has(node.op_type, opset, node.domain):
        remedy = rewrites().get(name, "compute it by other operations in the model")
        return Unsupported(f"no lowering for {name} version {version}", remedy)
    if node.domain:
        reason = f"no lowering for {name}, and ONNX doesn't know what it computes"
        return Unsupported(reason, "export the model with ONNX's own operators, or with a function body for this one")
    return Unsupported(f"ONNX has no operator {name} in opset {opset}", "export the model with ONNX's own operators")


@cache
def rewrites() -> dict[str, str]:
    """ONNX operator without a lowering → what to write in PyTorch instead."""
    return tomllib.loads(Path(__file__).with_name("rewrites.toml").read_text(encoding="utf-8"))


def _check(value: ir.Value, tensor: Tensor) -> None:
    """A handler's result must have the type that ONNX's inference found."""
    if value.dtype is not None and DTYPES.get(value.dtype) != tensor.dtype:
        raise Unsupported(
            f"the lowering gives {tensor.dtype} where ONNX has {value.dtype.name}",
            "please report this with the model, or the part of it that holds this node",
        )
    if value.shape is None:
        return
    known = [d if isinstance(d, int) else None for d in value.shape]
    mismatch = len(known) != tensor.rank or any(
        a is not None and b is not None and a != b for a, b in zip(known, tensor.shape, strict=True)
    )
    if mismatch:
        raise Unsupported(
            f"the lowering gives {format_shape(tensor.shape)} where ONNX has {format_shape(tuple(known))}",
            "please report this with the model, or the part of it that holds this node",
        )


def _last_uses(model: ir.Model) -> dict[ir.Node, list[ir.Value]]:
    """Node of the main graph → the weights that no later node needs, in a body or outside."""
    last = {
        value: node
        for node in model.graph
        for inner in (node, *nodes_below(node))
        for value in inner.inputs
        if value is not None and value.const_value is not None and not value.is_graph_output()
    }
    result: dict[ir.Node, list[ir.Value]] = {}
    for value, node in last.items():
        result.setdefault(node, []).append(value)
    return result


def _bind_by_type(context: Context, node: ir.Node) -> None:
    """Let the preflight go on behind a node that failed, with the types that ONNX inferred."""
    for value in node.outputs:
        try:
            found = spec(value)
        except Unsupported:
            continue
        context.bind(value, Tensor(None, found.dtype, found.shape))


def _row(problem: Unsupported, op: str, name: str, context: Context, node: ir.Node | None = None) -> UnsupportedNode:
    metadata = node.metadata_props if node is not None else {}
    return UnsupportedNode(
        op=op,
        opset=context.version(node) if node is not None else context.opsets.get("", 0),
        node=name,
        module=metadata.get(MODULE_KEY, ""),
        source=metadata.get(SOURCE_KEY, ""),
        reason=problem.reason,
        remedy=problem.remedy,
    )
