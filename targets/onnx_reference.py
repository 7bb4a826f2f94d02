"""ONNX files in float64, on ONNX's own reference implementation: the truth where there is no PyTorch module.

Every float32 tensor of the graph is widened: weights, constants, and what casts and generators make. Slow next to
a real runtime, but written apart from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput
from .info import TargetInfo
from .session import LoadedModel, check_kind, checked, named

if TYPE_CHECKING:
    import onnx

    from ..artifact import Array


class OnnxReference:
    """``onnx.reference.ReferenceEvaluator`` on a widened graph."""

    kind = "onnx"
    name = "onnx-reference"

    def version(self) -> str:
        """The installed version of the ``onnx`` package."""
        import onnx

        return str(onnx.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load an ONNX file; numpy decides about threads."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        check_kind(artifact, self.kind, self.name)
        model = onnx.load(str(artifact.path))
        _widen_nodes([node for function in model.functions for node in function.node])
        _widen_graph(model.graph)
        return _Session(artifact, ReferenceEvaluator(model, new_ops=[_gather_elements()]))


class _Session(LoadedModel):
    def __init__(self, artifact: Artifact, evaluator: Any) -> None:
        self._artifact = artifact
        self._evaluator = evaluator
        self._names = [o.name for o in artifact.outputs]

    @property
    def receipt(self) -> Receipt:
        return Receipt(asked="CPU", ran="CPU", precision="float64")

    def run(self, feeds: Feeds) -> dict[str, Array]:
        values = [np.asarray(v) for v in self._evaluate(feeds)]
        outputs = named(values, self._names, where=str(self._artifact.path))
        narrow = [n for n, value in outputs.items() if value.dtype in (np.float32, np.float16)]
        if narrow:
            raise BadInput(
                f"float64 was lost on the way to {narrow}",
                where=str(self._artifact.path),
                remedy="judge it by another target, such as onnxruntime",
            )
        return outputs

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        return lambda: self._evaluate(feeds)

    def _evaluate(self, feeds: Feeds) -> list[Array]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in inputs.items()}
        result: list[Array] = self._evaluator.run(self._names, wide)
        return result


def _widen_graph(graph: onnx.GraphProto) -> None:
    """Make all float32 of a graph and its subgraphs float64, in place."""
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    _widen_nodes(graph.node)


def _widen_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    from onnx import AttributeProto, TensorProto

    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            elif attribute.type == AttributeProto.GRAPH:
                _widen_graph(attribute.g)
            elif (node.op_type, attribute.name) in _TYPES and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                _as_tensor(attribute)


_TYPES = {("Cast", "to")} | {
    (op, "dtype") for op in ("EyeLike", "SequenceEmpty", "HannWindow", "HammingWindow", "BlackmanWindow")
}
"""Attributes that name the type of an operator's result."""


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def _as_tensor(attribute: onnx.AttributeProto) -> None:
    """A Constant's ``value_float(s)`` as a float64 ``value``."""
    from onnx import helper, numpy_helper

    value = attribute.f if attribute.name == "value_float" else list(attribute.floats)
    tensor = numpy_helper.from_array(np.asarray(value, np.float64))
    attribute.CopyFrom(helper.make_attribute("value", tensor))


def _gather_elements() -> Any:
    """GatherElements (ONNX 13); the evaluator's own fails on axes of more than 64 elements."""
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):
        def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
            axis = axis % data.ndim
            kept = tuple(slice(None if k == axis else n) for k, n in enumerate(indices.shape))
            return (np.take_along_axis(data[kept], indices % data.shape[axis], axis),)

    return GatherElements


TARGETS = (
    TargetInfo(
        "onnx-reference",
        title="ONNX reference",
        summary="ONNX's reference implementation in float64: slow, and the truth where there is no module",
        kind=OnnxReference.kind,
        module="onnx",
        distributions=("onnx",),
        install="pip install onnx",
        make=OnnxReference,
    ),
)
