"""TensorFlow's side of the tensors that a SavedModel is built of: weights become variables, on first use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...artifact import Array
from ...errors import NotAvailable
from ...numerics.distinct import DistinctArrays
from ...numerics.mapped import let_go
from .tensor import Tensor

# Constants above this many bytes become variables, so that the graph itself stays small.
_VARIABLE_BYTES = 1024


def import_tensorflow() -> Any:
    """TensorFlow, quietly.

    Raises:
        NotAvailable: it isn't installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise NotAvailable(
            "a SavedModel needs TensorFlow, which is not installed",
            remedy="pip install 'edgeworthy[tensorflow]', or convert with --to tflite",
        ) from error
    return tf


class TensorFlowTensors:
    """The TensorFlow tensors of a graph that is being traced.

    Attributes:
        variables: The weights, in the order of their first use; equal ones are one.
    """

    def __init__(self) -> None:
        self._tf = import_tensorflow()
        self.variables: list[Any] = []
        self._contents = DistinctArrays()

    @property
    def graph(self) -> Any:
        """The graph that ops are added to: that of a body within one."""
        return self._tf.compat.v1.get_default_graph()

    def tf(self, tensor: Tensor) -> Any:
        """The TensorFlow tensor of ``tensor``; constants come into being on first use."""
        if isinstance(tensor.handle, Constant):
            return tensor.handle.tensor(self)
        return tensor.handle

    def laid_out(self, weights: Tensor, perm: Sequence[int], shape: Sequence[int] | None = None) -> Any:
        """``weights`` with axes in the order of ``perm``, then reshaped: before the graph runs where constant."""
        if weights.value is None:
            moved = self._tf.transpose(self.tf(weights), perm)
            return moved if shape is None else self._tf.reshape(moved, shape)
        value = np.transpose(weights.value, perm)
        return self.constant(value if shape is None else value.reshape(shape))

    def is_read(self, tensor: Tensor) -> bool:
        """Whether a constant is a variable already, as it lies."""
        return tensor.value is not None and self._contents.find(tensor.value) is not None

    def constant(self, value: Array) -> Any:
        """A tensor of ``value``: read from a variable where large, of which there is one for equal values."""
        if value.nbytes <= _VARIABLE_BYTES or value.dtype == np.bool_:
            return self._tf.constant(value)
        index = self._contents.index(value)
        if index == len(self.variables):
            with self._tf.init_scope():
                array = np.require(value, requirements="C")
                self.variables.append(self._tf.Variable(array, trainable=False, name=f"weights_{index}"))
            let_go(value)
        return self._tf.convert_to_tensor(self.variables[index])


class Constant:
    """A constant that comes into being where it is used: once in each graph, that of a body too."""

    def __init__(self, value: Array) -> None:
        self._value = value
        self._made: dict[Any, Any] = {}

    def tensor(self, tensors: TensorFlowTensors) -> Any:
        graph = tensors.graph
        if graph not in self._made:
            self._made[graph] = tensors.constant(self._value)
        return self._made[graph]
