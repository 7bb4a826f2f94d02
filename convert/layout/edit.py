"""The editor of the layout step: what one graph becomes while it is laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.rewriter import Rewriter
from .layouts import Dims, Perm, moves_data, permute

_SHARED_ELEMENTS = 16
"""Constants of at most this many elements, such as shapes and axes, are shared."""


class LayoutEditor(Rewriter):
    """Edits one graph of a model.

    Attributes:
        graph: The graph.
        private: (op, rank) of the nodes that moved to the channels-last domain.
        reasons: Why the transposes are there that layouts which meet made necessary.
        layouts: Permutations of the values that aren't natural any more.
    """

    def __init__(self, model: ir.Model, graph: ir.Graph) -> None:
        super().__init__(model)
        self.graph = graph
        self.private: set[tuple[str, int]] = set()
        self.reasons: dict[ir.Node, str] = {}
        self.layouts: dict[ir.Value, Perm] = {}
        self._shared: dict[tuple[object, ...], ir.Value] = {}

    def shared(self, array: Array, wish: str) -> ir.Value:
        """An initializer with the contents of ``array``; small equal ones are one."""
        if array.size > _SHARED_ELEMENTS:
            return self.constant(self.graph, wish, array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared:
            self._shared[key] = self.constant(self.graph, wish, array)
        return self._shared[key]

    def integers(self, values: Sequence[int]) -> ir.Value:
        """An int64 vector."""
        return self.shared(np.asarray(values, np.int64), "ints_" + "_".join(map(str, values)))

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
        if key not in self._shared:
            self._shared[key] = self.shared(make(), f"{value.name}_channels_last")
        return self._shared[key]

    def after(
        self,
        value: ir.Value,
        op: str,
        inputs: Sequence[ir.Value],
        dims: Dims,
        suffix: str,
        attributes: Mapping[str, int | Sequence[int]] | None = None,
        dtype: ir.DataType | None = None,
    ) -> ir.Value:
        """The output, of extents ``dims``, of a new node behind ``value``; ``dtype`` is ``value``'s if not given."""
        node = self.node_behind(value, self.graph, op, inputs, attributes, suffix=suffix)
        output = node.outputs[0]
        output.type = value.type if dtype is None else ir.TensorType(dtype)
        output.shape = ir_shape(dims)
        return output


def ir_shape(dims: Dims) -> ir.Shape:
    return ir.Shape([dim if isinstance(dim, int) else ir.SymbolicDim(dim) for dim in dims])
