"""What a lowering handler sees of the graph: its node's inputs, attributes and output types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from ...artifact import Array
from ...vocabulary import FUSED_DOMAIN, NHWC_DOMAIN
from ..builders.builder import Builder
from ..builders.legality import check_extents
from ..builders.tensor import Shape, Spec, Tensor, Unsupported
from ..graph.reading import attribute, schema

DTYPES: dict[ir.DataType, str] = {
    ir.DataType[name.upper() if name != "float32" else "FLOAT"]: name
    for name in (
        ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32"]
    )
} | {ir.DataType.DOUBLE: "float64"}
"""The ONNX element types that TFLite knows, and their numpy names."""


class NotLowered(Unsupported):
    """An input is missing because the node that makes it can't be lowered itself."""


class Context:
    """The lowering of one graph: ONNX value → tensor of the builder.

    Attributes:
        b: The builder.
        opsets: Domain → opset version of the model.
    """

    def __init__(
        self,
        builder: Builder,
        opsets: dict[str, int],
        walk: Callable[[Context, ir.Graph], None],
        around: Context | None = None,
    ) -> None:
        """``walk`` lowers the nodes of a graph; a body sees the tensors of the graph ``around`` it."""
        self.b = builder
        self.opsets = opsets
        self._walk = walk
        self._around = around
        self._tensors: dict[ir.Value, Tensor] = {}

    def lower_body(self, body: ir.Graph, inputs: Sequence[Tensor] = ()) -> list[Tensor]:
        """Lower the nodes of a subgraph where the builder is; its outputs.

        Raises:
            NotLowered: an output isn't computed (the node that makes it is reported on its own).
        """
        inner = Context(self.b, self.opsets, self._walk, self)
        for value, tensor in zip(body.inputs, inputs, strict=True):
            inner.bind(value, tensor)
        self._walk(inner, body)
        return [inner.tensor(value) for value in body.outputs]

    def bind(self, value: ir.Value, tensor: Tensor) -> None:
        """Let ``tensor`` stand for ``value`` from here on."""
        self._tensors[value] = tensor

    def tensor(self, value: ir.Value) -> Tensor:
        """The tensor of ``value``; constants come into being when first asked for."""
        found = self._bound(value)
        if found is None:
            if value.const_value is None:
                raise NotLowered(f"{value.name!r} has no value; the node that makes it was not lowered")
            spec(value)
            found = self._tensors[value] = self.b.const(value.const_value.numpy())
        return found

    def _bound(self, value: ir.Value) -> Tensor | None:
        """The tensor that stands for ``value`` here or around, if there is one."""
        found = self._tensors.get(value)
        return found if found is not None or self._around is None else self._around._bound(value)

    def forget(self, value: ir.Value) -> None:
        """Let go of the tensor of ``value``."""
        self._tensors.pop(value, None)

    def inputs(self, node: ir.Node) -> list[Tensor]:
        """All inputs, none of which may be left out."""
        return [self.input(node, i) for i in range(len(node.inputs))]

    def input(self, node: ir.Node, index: int) -> Tensor:
        """Input ``index``, which must be there."""
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            raise Unsupported(f"input {index} is missing", "re-export the model")
        return self.tensor(value)

    def optional(self, node: ir.Node, index: int) -> Tensor | None:
        """Input ``index``, or None where it is left out."""
        value = node.inputs[index] if index < len(node.inputs) else None
        return None if value is None else self.tensor(value)

    def constant(self, node: ir.Node, index: int) -> Array:
        """The contents of input ``index``.

        Raises:
            Unsupported: it isn't constant.
        """
        found = self.known(node, index)
        if found is None:
            raise Unsupported(
                f"input {index} ({_input_name(node, index)}) must be constant",
                "make it a constant of the model, or give the inputs static shapes (--input), if it follows from them",
            )
        return found

    def optional_constant(self, node: ir.Node, index: int) -> Array | None:
        """Like :meth:`constant`; None where the input is left out."""
        absent = index >= len(node.inputs) or node.inputs[index] is None
        return None if absent else self.constant(node, index)

    def known(self, node: ir.Node, index: int) -> Array | None:
        """The contents of input ``index`` if it is there and constant; makes nothing."""
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            return None
        if value.const_value is not None:
            return value.const_value.numpy()
        tensor = self._bound(value)
        return tensor.value if tensor else None

    def attribute(self, node: ir.Node, name: str) -> Any:
        """An attribute's value, the ONNX schema's default, or None."""
        value = attribute(node, name, self.version(node))
        return tuple(value) if isinstance(value, list) else value

    def version(self, node: ir.Node) -> int:
        """The opset version that governs ``node``."""
        return self.opsets.get("" if node.domain in ("ai.onnx", NHWC_DOMAIN, FUSED_DOMAIN) else node.domain, 1)

    def output(self, node: ir.Node, index: int = 0) -> Spec:
        """dtype and shape that ONNX's shape inference found for output ``index``."""
        return spec(node.outputs[index])

    def has_output(self, node: ir.Node, index: int) -> bool:
        """Whether anybody uses output ``index``."""
        return index < len(node.outputs) and bool(node.outputs[index].uses() or node.outputs[index].is_graph_output())


def spec(value: ir.Value) -> Spec:
    """dtype and shape of an ONNX value.

    Raises:
        Unsupported: the type is unknown or none that TFLite has, or the rank is unknown.
    """
    kept = value.type.elem_type if isinstance(value.type, ir.OptionalType) else value.type
    if isinstance(kept, ir.SequenceType):
        raise Unsupported(
            f"{value.name!r} is a sequence of tensors, which TFLite does not have", "give them one by one"
        )
    if value.dtype is None or value.dtype not in DTYPES:
        kind = "unknown" if value.dtype is None else value.dtype.name
        remedy = "cast the model to float32 (model.float()), and what it makes with .float()"
        raise Unsupported(f"{value.name!r} has the type {kind}, which TFLite does not have", remedy)
    if value.shape is None:
        raise Unsupported(f"the rank of {value.name!r} is unknown", "export with static shapes (--input)")
    check_extents(repr(value.name), DTYPES[value.dtype], shape_of(value.shape))
    return Spec(DTYPES[value.dtype], shape_of(value.shape))


def shape_of(shape: ir.Shape) -> Shape:
    return tuple(d if isinstance(d, int) else None for d in shape)


def _input_name(node: ir.Node, index: int) -> str:
    found = schema(node.op_type, 26)
    if found and index < len(found.inputs):
        return str(found.inputs[index].name)
    return str(index)
