"""What a rule says about an operator, and what it is told when the layouts are settled.

A rule looks at an :class:`Op` and returns a :class:`Placement`; None means that the operator reads and gives natural
layouts only. A rule that can't read what it needs (an axis that isn't constant, an unknown rank) returns None: wrong is
worse than slow. The rules live in files by family (:mod:`.spatial`, :mod:`.elementwise`, :mod:`.axes`,
:mod:`.movement`); which operator has which is said where it is lowered.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from .edit import LayoutEditor
from .layouts import TO_CHANNELS_LAST, Dims, Perm, dims_of

Rewrite = Callable[["Site"], None]
"""Makes a node right once one of its ports has a layout other than natural."""


class Port(enum.Enum):
    """The layout in which an operator takes an input or gives an output."""

    FOLLOWS = "follows"
    """That of the node's label: natural or channels-last."""
    NATURAL = "natural"
    CHANNELS_LAST = "channels-last"
    ANY = "any"
    """Whatever comes or is wanted; also for tensors that have no channels-last layout."""


@dataclass(frozen=True)
class Placement:
    """How an operator can be laid out.

    Attributes:
        inputs: A port for each input.
        outputs: A port for each output.
        rewrite: See :data:`Rewrite`.
        natural_cost: Bytes that the lowering would have to move if the node were natural.
        channels_last_cost: The same, if it were channels-last.
        required: TFLite has the operator channels-last only.
        absorbs: A Transpose: it reads any layout and gives any, and its ports are only the cheapest ones.
        turns: A Transpose that vanishes either way: channels-last in and natural out, or the other way round.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    rewrite: Rewrite
    natural_cost: int = 0
    channels_last_cost: int = 0
    required: bool = False
    absorbs: bool = False
    turns: bool = False


@dataclass(frozen=True)
class Op:
    """One ONNX node, or a Reshape–Transpose–Reshape chain seen as one, with its logical extents.

    Attributes:
        nodes: The nodes, in graph order; a single one but for such chains.
        inputs: Values read (None where an optional input is left out).
        outputs: Values made.
        in_dims: Extents of the inputs; None if unknown.
        out_dims: Extents of the outputs.
        opset: Version of the default operator set.
    """

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value | None, ...]
    outputs: tuple[ir.Value, ...]
    in_dims: tuple[Dims | None, ...]
    out_dims: tuple[Dims | None, ...]
    opset: int

    @classmethod
    def of(cls, nodes: tuple[ir.Node, ...], opset: int) -> Op:
        inputs = tuple(nodes[0].inputs if len(nodes) == 1 else nodes[0].inputs[:1])
        outputs = tuple(nodes[-1].outputs)
        return cls(nodes, inputs, outputs, tuple(map(dims_of, inputs)), tuple(map(dims_of, outputs)), opset)

    @property
    def node(self) -> ir.Node:
        return self.nodes[-1]

    def rank(self) -> int | None:
        """Rank of input 0 if that rank has a channels-last layout."""
        dims = self.in_dims[0] if self.in_dims else None
        return len(dims) if dims is not None and len(dims) in TO_CHANNELS_LAST else None

    def integer(self, name: str, default: int) -> int:
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_int()

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def uses_output(self, index: int) -> bool:
        if index >= len(self.outputs):
            return False
        return bool(self.outputs[index].uses()) or self.outputs[index].is_graph_output()

    def constant(self, index: int) -> Array | None:
        """The contents of input ``index`` if it is there and constant."""
        value = self.inputs[index] if index < len(self.inputs) else None
        tensor = constant_of(value)
        return None if tensor is None else tensor.numpy()

    def integers(self, name: str, index: int) -> tuple[int, ...] | None:
        """A list of integers: attribute ``name`` in older opsets, constant input ``index`` in newer ones."""
        if name in self.node.attributes:
            return tuple(self.node.attributes[name].as_ints())
        found = self.constant(index)
        return None if found is None else tuple(int(v) for v in found.ravel())


LayoutRule = Callable[[Op], Placement | None]

LayoutRules = Mapping[tuple[str, str], LayoutRule]
"""Domain and name of an operator → its rule."""


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind an initializer or the output of a Constant node; None for anything else."""
    return None if value is None else ir.convenience.get_const_tensor(value)


@dataclass(frozen=True)
class Site:
    """An operator whose ports' layouts are settled: what a rewrite works on.

    The nodes' inputs are already in the layouts that the ports asked for.

    Attributes:
        op: The operator, with *logical* extents.
        inputs: Each input's layout (the identity where it is natural); None for absent or rankless inputs.
        outputs: Each output's layout.
        edit: Makes constants and nodes.
    """

    op: Op
    inputs: tuple[Perm | None, ...]
    outputs: tuple[Perm | None, ...]
    edit: LayoutEditor

    @property
    def node(self) -> ir.Node:
        return self.op.node

    def layout(self, index: int = 0) -> Perm:
        perm = self.inputs[index]
        return () if perm is None else perm

    def axis(self, axis: int) -> int:
        """The physical position of logical ``axis`` (negative ones count from the end) of input 0."""
        perm = self.layout()
        return perm.index(axis % len(perm))

    def set_integers(self, name: str, index: int, values: Sequence[int], *, attribute: bool = False) -> None:
        """Write what :meth:`Op.integers` reads, to where it was.

        Args:
            attribute: Where it goes if it was absent: to the attribute, or (False) to the input.
        """
        if attribute or name in self.node.attributes:
            self.node.attributes[name] = ir.AttrInt64s(name, values)
            return
        # Lists of integers of one node share an element type; where this one is new, input 1 has it.
        given = self.op.inputs[index if self.op.has_input(index) else 1]
        dtype = given.dtype.numpy() if given is not None and given.dtype is not None else np.dtype(np.int64)
        self.edit.set_input(self.node, index, self.edit.shared(np.asarray(values, dtype), name))


def follow_first(op: Op, rewrite: Rewrite) -> Placement | None:
    """Input 0 and the outputs of its rank follow; what else there is is natural, or unused."""
    rank = op.rank()
    followers = [dims is not None and len(dims) == rank for dims in op.out_dims]
    if rank is None or not followers[0]:
        return None
    others = (Port.NATURAL,) * (len(op.inputs) - 1)
    outputs = tuple(Port.FOLLOWS if follows else Port.ANY for follows in followers)
    return Placement((Port.FOLLOWS, *others), outputs, rewrite)


def keep(_: Site) -> None:
    """The rewrite of a node that is right as it is in every layout."""
