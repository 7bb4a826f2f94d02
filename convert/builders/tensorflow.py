"""Builds a SavedModel: the same graph as the TFLite builder's, in TensorFlow ops, with weights as variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...artifact import Array
from ...formats.saved_model import argument_names
from ...vocabulary import SIGNATURE
from .base import Attribute
from .builder import Builder
from .control import Body, Branch
from .tensor import Spec, Tensor
from .tensorflow_tensors import Constant, TensorFlowTensors, import_tensorflow

Lower = Callable[[Builder, Sequence[Tensor]], list[tuple[str, Tensor]]]


class TensorFlowBuilder(Builder):
    """Emits TensorFlow ops into the graph that is being traced.

    Attributes:
        tensors: The TensorFlow tensors behind the builder's own.
    """

    def __init__(self) -> None:
        self._tf = import_tensorflow()
        self.tensors = TensorFlowTensors()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        with super().scope(name), self._tf.name_scope(re.sub(r"[^A-Za-z0-9_.\-/]", "_", name).lstrip("_-/") or "node"):
            yield

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[Any]:
        from .tensorflow_ops import emit

        made = emit(self.tensors, op, operands, {"dtype": results[0].dtype, "steps": results[0].steps, **attributes})
        tensors = list(made) if isinstance(made, list | tuple) else [made]
        for tensor, spec in zip(tensors, results, strict=True):
            tensor.set_shape(spec.shape)
        return tensors

    def _cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> list[Any]:
        def results(branch: Branch) -> list[Any]:
            return [self.tensors.tf(tensor) for tensor in branch()]

        predicate = self._tf.reshape(self.tensors.tf(condition), ())
        return list(self._tf.cond(predicate, lambda: results(then), lambda: results(otherwise)))

    def _while_loop(self, start: Sequence[Tensor], carried: Sequence[Spec], condition: Body, body: Body) -> list[Any]:
        def run(function: Body, state: Sequence[Any]) -> list[Any]:
            tensors = [Tensor(h, spec.dtype, spec.shape) for h, spec in zip(state, carried, strict=True)]
            return [self.tensors.tf(tensor) for tensor in function(tensors)]

        return list(
            self._tf.while_loop(
                lambda *state: self._tf.reshape(run(condition, state)[0], ()),
                lambda *state: run(body, state),
                [self.tensors.tf(tensor) for tensor in start],
                shape_invariants=[self._tf.TensorShape(spec.shape) for spec in carried],
                parallel_iterations=1,
            )
        )

    def _nothing(self) -> None:
        return None

    def _constant(self, value: Array) -> Any:
        return Constant(value)


def save_model(inputs: Sequence[tuple[str, Spec]], lower: Lower, path: Path) -> None:
    """Trace ``lower`` and write a SavedModel with a ``serving_default`` signature into the folder ``path``.

    Args:
        inputs: Name and spec of the inputs, named in the signature as ``argument_names`` says; dimensions of None
            stay dynamic.
        lower: Emits the graph into a builder; returns its outputs by name.
        path: Folder to fill.

    Raises:
        NotAvailable: TensorFlow isn't installed.
    """
    tf = import_tensorflow()
    builder = TensorFlowBuilder()
    keys = list(argument_names(name for name, _ in inputs).values())

    def trace(*arguments: Any) -> dict[str, Any]:
        tensors = [
            Tensor(argument, spec.dtype, spec.shape) for argument, (_, spec) in zip(arguments, inputs, strict=True)
        ]
        return {name: tf.identity(builder.tensors.tf(tensor)) for name, tensor in lower(builder, tensors)}

    specs = [tf.TensorSpec(list(s.shape), s.dtype, name=k) for k, (_, s) in zip(keys, inputs, strict=True)]
    # Unlike a tf.function, which may not make variables when it is traced again, this traces once.
    graph = tf.compat.v1.wrap_function(trace, specs)
    serve = tf.function(lambda **arguments: graph(*(arguments[key] for key in keys)), autograph=False)
    module = tf.Module()
    module.weights = builder.tensors.variables
    module.serve = serve
    signature = serve.get_concrete_function(**dict(zip(keys, specs, strict=True)))
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: signature})
