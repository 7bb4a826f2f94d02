"""Small edits of an ONNX graph: constants, new nodes, a node turned into another one in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .layouts import Dims, Perm, moves_data, permute

Array = NDArray[np.generic]
Attributes = Mapping[str, int | Sequence[int]]


class Editor:
    """Edits one graph and keeps its names unique in the whole model.

    Attributes:
        graph: The graph.
        private: (op, rank) of the nodes that moved to the channels-last domain.
        replaced: Constants that another one stands in for (they may have become unused).
        inserted: The nodes that :meth:`after` made.
        layouts: Permutations of the values that aren't natural any more.
    """

    def __init__(self, graph: ir.Graph, names: set[str]) -> None:
        self.graph = graph
        self.private: set[tuple[str, int]] = set()
        self.replaced: dict[ir.Value, None] = {}
        self.inserted: dict[ir.Node, None] = {}
        self.layouts: dict[ir.Value, Perm] = {}
        self._names = names
        self._constants: dict[tuple[object, ...], ir.Value] = {}

    def name(self, wish: str) -> str:
        """``wish``, or ``wish_1``, ``wish_2``… if it is taken."""
        found, count = wish, 0
        while found in self._names:
            count += 1
            found = f"{wish}_{count}"
        self._names.add(found)
        return found

    def constant(self, array: Array, wish: str) -> ir.Value:
        """An initializer with the contents of ``array``; small equal ones are shared."""
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 16 else (object(),)
        if key not in self._constants:
            name = self.name(wish)
            tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
            value = ir.Value(
                name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def integers(self, values: Sequence[int]) -> ir.Value:
        """An int64 vector."""
        return self.constant(np.asarray(values, np.int64), "ints_" + "_".join(map(str, values)))

    def permuted(self, value: ir.Value, tensor: ir.TensorProtocol, perm: Perm) -> ir.Value:
        """Constant ``value`` brought to the rank of ``perm`` (extents of 1 in front) and transposed by it.

        The value itself if that changes neither its extents nor the order of its elements.
        """
        dims = tuple(tensor.shape.numpy())
        full = (1,) * (len(perm) - len(dims)) + dims
        if permute(full, perm) == dims and not moves_data(perm, full):
            return value
        return self._derived(value, perm, lambda: tensor.numpy().reshape(full).transpose(perm))

    def reordered(
        self, value: ir.Value, tensor: ir.TensorProtocol, axis: int, extents: Sequence[int], perm: Perm
    ) -> ir.Value:
        """Constant ``value`` with ``axis``, which is a flattened ``extents``, in the order ``perm`` gives them."""

        def make() -> Array:
            array = tensor.numpy()
            order = np.arange(array.shape[axis]).reshape(extents).transpose(perm).ravel()
            return np.take(array, order, axis)

        return self._derived(value, (axis, *extents, *perm), make)

    def _derived(self, value: ir.Value, how: tuple[int, ...], make: Callable[[], Array]) -> ir.Value:
        key = (value, how)
        if key not in self._constants:
            self._constants[key] = self.constant(make(), f"{value.name}_channels_last")
        return self._constants[key]

    def set_input(self, node: ir.Node, index: int, value: ir.Value | None) -> None:
        """Replace input ``index``, adding absent ones before it."""
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        old = node.inputs[index]
        if old is not None:
            self.replaced[old] = None
        node.replace_input_with(index, value)

    def become(
        self,
        node: ir.Node,
        op: str,
        inputs: Sequence[ir.Value | None],
        attributes: Attributes | None = None,
    ) -> None:
        """Turn ``node`` into an ``op`` of the default domain; it keeps its name, outputs and metadata."""
        node.domain, node.op_type, node.overload = "", op, ""
        node.attributes.clear()
        for attribute in ir.convenience.convert_attributes(dict(attributes or {})):
            node.attributes.add(attribute)
        for old in node.inputs:
            if old is not None:
                self.replaced[old] = None
        node.resize_inputs(len(inputs))
        for index, value in enumerate(inputs):
            node.replace_input_with(index, value)

    def after(
        self,
        value: ir.Value,
        op: str,
        inputs: Iterable[ir.Value],
        dims: Dims,
        suffix: str,
        attributes: Attributes | None = None,
        dtype: ir.DataType | None = None,
    ) -> ir.Value:
        """A new node behind the one that makes ``value``; its output is called ``value``'s name and ``suffix``.

        Its element type is ``value``'s if not given; its metadata (module path, source line) come from there.
        """
        producer = value.producer()
        inside = producer is not None and producer.graph is self.graph
        output = ir.Value(
            name=self.name(f"{value.name}_{suffix}"),
            type=value.type if dtype is None else ir.TensorType(dtype),
            shape=shape_of(dims),
        )
        node = ir.Node(
            "",
            op,
            tuple(inputs),
            ir.convenience.convert_attributes(dict(attributes or {})),
            outputs=[output],
            name=output.name,
            metadata_props=dict(producer.metadata_props) if producer is not None else None,
        )
        self.inserted[node] = None
        if producer is not None and inside:
            self.graph.insert_after(producer, node)
        elif len(self.graph):
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.append(node)
        return output


def shape_of(dims: Dims) -> ir.Shape:
    return ir.Shape([dim if isinstance(dim, int) else ir.SymbolicDim(dim) for dim in dims])
