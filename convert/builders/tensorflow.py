"""Builds a SavedModel: the same graph as the TFLite builder's, in TensorFlow ops, with weights as variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import NotAvailable
from .base import Attribute
from .builder import Builder
from .tensor import Array, Spec, Tensor

if TYPE_CHECKING:
    pass

# Constants above this many bytes become variables, so that the graph itself stays small.
_VARIABLE_BYTES = 1024

Lower = Callable[[Builder, Sequence[Tensor]], list[tuple[str, Tensor]]]


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


class TensorFlowBuilder(Builder):
    """Emits TensorFlow ops into the graph that is being traced.

    Attributes:
        variables: The weights, in the order of their first use.
    """

    def __init__(self) -> None:
        self._tf = import_tensorflow()
        self.variables: list[Any] = []

    def tf(self, tensor: Tensor) -> Any:
        """The TensorFlow tensor of ``tensor``; constants come into being on first use."""
        if isinstance(tensor.handle, _Constant):
            return tensor.handle.tensor(self)
        return tensor.handle

    def laid_out(self, weights: Tensor, perm: Sequence[int], shape: Sequence[int] | None = None) -> Any:
        """``weights`` with axes in the order of ``perm``, then reshaped: before the graph runs where constant."""
        if weights.value is None:
            moved = self._tf.transpose(self.tf(weights), perm)
            return moved if shape is None else self._tf.reshape(moved, shape)
        value = np.transpose(weights.value, perm)
        return self.constant(value if shape is None else value.reshape(shape))

    def constant(self, value: Array) -> Any:
        """A tensor of ``value``: read from a variable where large."""
        if value.nbytes <= _VARIABLE_BYTES or value.dtype == np.bool_:
            return self._tf.constant(value)
        with self._tf.init_scope():
            name = f"weights_{len(self.variables)}"
            variable = self._tf.Variable(np.ascontiguousarray(value), trainable=False, name=name)
        self.variables.append(variable)
        return self._tf.convert_to_tensor(variable)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        with self._tf.name_scope(re.sub(r"[^A-Za-z0-9_.\-/]", "_", name).lstrip("_-/") or "node"):
            yield

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[Any]:
        from .tensorflow_ops import emit

        made = emit(self, op, operands, {"dtype": results[0].dtype, **attributes})
        tensors = list(made) if isinstance(made, list | tuple) else [made]
        for tensor, spec in zip(tensors, results, strict=True):
            tensor.set_shape(spec.shape)
        return tensors

    def _nothing(self) -> None:
        return None

    def _constant(self, value: Array) -> Any:
        return _Constant(value)


class _Constant:
    """A constant that nobody has used yet."""

    def __init__(self, value: Array) -> None:
        self._value = value
        self._made: Any = None

    def tensor(self, builder: TensorFlowBuilder) -> Any:
        if self._made is None:
            self._made = builder.constant(self._value)
        return self._made


def save_model(inputs: Sequence[tuple[str, Spec]], lower: Lower, path: Path) -> None:
    """Trace ``lower`` and write a SavedModel with a ``serving_default`` signature into the folder ``path``.

    Args:
        inputs: Name and spec of the inputs; dimensions of None stay dynamic.
        lower: Emits the graph into a builder; returns its outputs by name.
        path: Folder to fill.

    Raises:
        NotAvailable: TensorFlow isn't installed.
    """
    tf = import_tensorflow()
    builder = TensorFlowBuilder()
    keys = [argument_name(name) for name, _ in inputs]

    def trace(*arguments: Any) -> dict[str, Any]:
        tensors = [
            Tensor(argument, spec.dtype, spec.shape) for argument, (_, spec) in zip(arguments, inputs, strict=True)
        ]
        return {name: tf.identity(builder.tf(tensor)) for name, tensor in lower(builder, tensors)}

    specs = [tf.TensorSpec(list(s.shape), s.dtype, name=k) for k, (_, s) in zip(keys, inputs, strict=True)]
    # Unlike a tf.function, which may not make variables when it is traced again, this traces once.
    graph = tf.compat.v1.wrap_function(trace, specs)
    serve = tf.function(lambda **arguments: graph(*(arguments[key] for key in keys)), autograph=False)
    module = tf.Module()
    module.weights = builder.variables
    module.serve = serve
    signature = serve.get_concrete_function(**dict(zip(keys, specs, strict=True)))
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})


def argument_name(name: str) -> str:
    """``name`` as a TensorFlow signature can have it: letters, digits and underscores."""
    return re.sub(r"\W", "_", name)
