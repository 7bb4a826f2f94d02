"""NCHW → NHWC as a minimum cut.

TFLite has convolutions, pools, resizing and the like for channels-last activations only. Here such nodes move to
the domain ``edgeworthy.nhwc`` (see :mod:`.functions`), everything else follows or stays as costs the fewest bytes
moved by transposes, and the graph remains one that ONNX Runtime can run.

===================== ==========================================================================
:mod:`.layouts`       permutations, and what changing a layout costs
:mod:`.reshapes`      what a Reshape does to axes
:mod:`.placement`     what a rule says: the layouts in which an operator reads and writes; the rules themselves are
                      by family in ``spatial``, ``elementwise``, ``axes``, ``movement``
:mod:`.partition`     the minimum cut, on integers
:mod:`.plan`          graph → nets → labels
:mod:`.apply`         labels → graph, with :mod:`.edit` and :mod:`.cleanup`
===================== ==========================================================================
"""

from __future__ import annotations

import onnx_ir as ir

from ...errors import BadInput
from ...vocabulary import MODULE_KEY, SOURCE_KEY
from ..graph.reading import permutation
from .apply import apply_plan
from .cleanup import clean_up
from .edit import LayoutEditor
from .functions import define
from .layouts import dims_of, nbytes
from .placement import LayoutRules
from .plan import make_plan
from .report import OWN, LayoutReport, Remaining

__all__ = ["LayoutReport", "Remaining", "to_channels_last"]


def to_channels_last(model: ir.Model, rules: LayoutRules, *, io_layout: str = "keep") -> LayoutReport:
    """Lay out ``model`` channels-last where that pays, in place. A model with nothing that needs it is left alone.

    Args:
        model: Types and shapes must be inferred; dimensions may be dynamic. If and Loop bodies are laid out each
            on its own, with natural inputs and outputs.
        rules: The rule of every operator that has one: the lowering's, which knows what it can take.
        io_layout: ``keep`` the inputs and outputs of the graph as they are, or make those of rank 4 and 5
            channels-last (``nhwc``); names are kept, shapes change.

    Raises:
        BadInput: ``io_layout`` is something else.
    """
    if io_layout not in ("keep", "nhwc"):
        raise BadInput(f"unknown layout {io_layout!r}", where="io_layout", remedy="use keep or nhwc")
    report = LayoutReport()
    _lay_out(model, model.graph, rules, report, nhwc=io_layout == "nhwc")
    return report


def _lay_out(model: ir.Model, graph: ir.Graph, rules: LayoutRules, report: LayoutReport, *, nhwc: bool) -> None:
    """Lay out one graph, its subgraphs first; adds to ``report``."""
    for node in graph:
        for attribute in node.attributes.values():
            if not attribute.is_ref() and attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
                inner = [attribute.value] if isinstance(attribute.value, ir.Graph) else attribute.value
                for body in inner:
                    _lay_out(model, body, rules, report, nhwc=False)
    plan = make_plan(graph, model.graph.opset_imports.get("", 1), rules, nhwc=nhwc)
    before = _transposes(graph)
    edit = LayoutEditor(model, graph)
    if not plan.is_empty:
        apply_plan(plan, edit)
        clean_up(edit)
        define(model, edit.private)
    layouts = edit.layouts
    required = sum(unit.placement.required for unit in plan.units)
    remaining = _transposes(graph)
    report.transposes += tuple(_remaining(node, edit.reasons.get(node, OWN)) for node in remaining)
    report.avoided += len(before) + 2 * required - len(remaining)
    is_last = [any(v in layouts for v in (*node.inputs, *node.outputs)) for node in graph]
    report.channels_last += sum(is_last)
    report.natural += len(is_last) - sum(is_last)
    report.layouts |= {str(v.name): layouts[v] for v in _values(graph) if v in layouts}
    if graph is model.graph:
        report.permutations = {str(v.name): layouts.get(v, ()) for v in (*graph.inputs, *graph.outputs)}


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)]


def _transposes(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.op_type == "Transpose" and node.domain == ""]


def _remaining(node: ir.Node, why: str) -> Remaining:
    value = node.inputs[0]
    return Remaining(
        str(node.outputs[0].name),
        str(value.name if value is not None else ""),
        nbytes(dims_of(value) or (), node.outputs[0].dtype),
        permutation(node) or (),
        why,
        node.metadata_props.get(MODULE_KEY, ""),
        node.metadata_props.get(SOURCE_KEY, ""),
    )
