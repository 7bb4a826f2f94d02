"""Of a model with scales of its own: what is rounded to them in float arithmetic, as no kernel takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from ...artifact import FloatOp
from ...formats.onnx.names import called
from ...formats.tflite import edit as fb
from ...vocabulary import FUSED_DOMAIN
from ..graph.quantization import MOVING
from .rules import RULES, Scales

_CASTS = ("QUANTIZE", "DEQUANTIZE", "CAST")
_MOVING = frozenset(kind for kind, rule in RULES.items() if rule.scales is Scales.KEPT) - {
    "MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN",
} | {"MAXIMUM", "MINIMUM"}  # fmt: skip
_MOVES = (*MOVING, "Split")
_ROUNDS = ("QuantizeLinear", "DequantizeLinear", "QuantizeDequantize")
_BOUNDS = ("Clip", "Max", "Min", "Relu")


def has_kernels(content: bytes) -> bool:
    """Whether an operator of a flatbuffer computes on quantized integers; casts, moves and bounds don't."""
    model = fb.read(content)
    return any(
        fb.op_name(model, op) not in _CASTS
        and fb.op_name(model, op) not in _MOVING
        and any(_in_steps(graph.tensors[int(i)]) for i in op.inputs if int(i) >= 0)
        for graph in model.subgraphs
        for op in graph.operators
    )


def _in_steps(tensor: object) -> bool:
    found = getattr(tensor, "quantization", None)
    steps = getattr(tensor, "type", None) in (fb.TensorType.INT8, fb.TensorType.INT16)
    return steps and found is not None and found.scale is not None and len(found.scale) > 0


def rounded_in_float(model: ir.Model, refused: Mapping[str, str]) -> tuple[FloatOp, ...]:
    """Each QuantizeLinear and DequantizeLinear that is left, and the operators that read or make what they do.

    Args:
        model: After the passes.
        refused: Node, as passes call it → why it was left alone.
    """
    found: dict[str, FloatOp] = {}
    for node in (n for graph in model.graphs() for n in graph if _is(n, "QuantizeLinear", "DequantizeLinear")):
        origin = _origin(node)
        why = _why(node if origin is None else origin, refused)
        if origin is None:
            found[_output(node)] = FloatOp(node.op_type, _output(node), why)
        side = "operand" if node.op_type == "DequantizeLinear" else "result"
        for op in _beside(node):
            reason = f"its {side} has scales that are kept in float ({why})"
            found.setdefault(_output(op), FloatOp(op.op_type, _output(op), reason))
    return tuple(found.values())


def together(kernels: Iterable[FloatOp], rounded: Iterable[FloatOp]) -> tuple[FloatOp, ...]:
    """What stays float by a file and by its graph, each operator once; a file calls those that are one "a;b"."""
    kernels = tuple(kernels)
    known = {name.split("/")[0] for op in kernels for name in op.name.split(";")}
    return (*kernels, *(op for op in rounded if op.name not in known))


def _is(node: ir.Node, *kinds: str) -> bool:
    return node.op_type in kinds and node.domain in ("", FUSED_DOMAIN)


def _output(node: ir.Node) -> str:
    return node.outputs[0].name or ""


def _origin(node: ir.Node) -> ir.Node | None:
    """The QuantizeLinear whose integers a DequantizeLinear reads, moved or clipped."""
    maker = None if node.op_type == "QuantizeLinear" else _maker(node, *_MOVES, *_BOUNDS)
    return maker if maker is not None and _is(maker, "QuantizeLinear") else None


def _maker(node: ir.Node, *passed: str) -> ir.Node | None:
    """What makes the first operand of a node, before operators of these kinds."""
    maker: ir.Node | None = node
    while maker is not None and (maker is node or _is(maker, *passed)):
        maker = None if maker.inputs[0] is None else maker.inputs[0].producer()
    return maker


def _why(node: ir.Node, refused: Mapping[str, str]) -> str:
    """What the passes said, of the node or of what reads its integers."""
    around = [node, *_through(node, bounds=True)]
    readers = [r for n in around for r in n.outputs[0].consumers()]
    told = [refused[k] for n in (*around, *readers) if (k := called(n.name, [v.name for v in n.outputs])) in refused]
    if told:
        return told[0]
    if node.op_type == "DequantizeLinear":
        return "its integers aren't those of a QuantizeLinear"
    if any(n.outputs[0].is_graph_output() for n in around):
        return "its integers are an output of the model"
    others = sorted({r.op_type for r in readers if not _is(r, "DequantizeLinear", *_MOVES)})
    return (
        f"its integers are used by {' and '.join(others)}"
        if others
        else "its integers stand for other scales behind it"
    )


def _through(node: ir.Node, *, bounds: bool = False) -> Iterator[ir.Node]:
    """What moves, or also clips, the result of a node."""
    for reader in node.outputs[0].consumers():
        if _is(reader, *_MOVES, *(_BOUNDS if bounds else ())):
            yield reader
            yield from _through(reader, bounds=bounds)


def _beside(node: ir.Node) -> Iterator[ir.Node]:
    """Operators that compute on what a DequantizeLinear gives, or make what a QuantizeLinear rounds."""
    if node.op_type == "DequantizeLinear":
        for mover in (node, *_through(node)):
            yield from (n for n in mover.outputs[0].consumers() if not _is(n, *_MOVES, *_ROUNDS))
        return
    maker = _maker(node, *_MOVES)
    if maker is not None and not _is(maker, *_ROUNDS):
        yield maker
