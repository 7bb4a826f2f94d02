"""Operators of a TFLite file that do nothing: their result is their operand, and the runtime copies it.

Some cost more than the copy: XNNPACK takes no MIRROR_PAD, so that one of zeros splits the graph. A copy from an input,
or from a constant, to an output is no fault: both are tensors of the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.formats.tflite import edit as fb


class Site:
    """One operator and what can be asked of it; ``data`` is the operand that its result may equal."""

    def __init__(self, model: Any, graph: Any, op: Any) -> None:
        self._model, self._graph, self._op = model, graph, op
        self.name = fb.op_name(model, op)
        self.options = op.builtinOptions
        self.index = 1 if self.name in ("SPLIT",) else 0
        self.data, self.result = graph.tensors[op.inputs[self.index]], graph.tensors[op.outputs[0]]

    @property
    def is_copy_of_an_end(self) -> bool:
        """Whether it copies an input or a constant to an output."""
        source = self._op.inputs[self.index]
        fixed = source in list(self._graph.inputs) or fb.is_constant(self._model, self.data)
        return bool(fixed and self._op.outputs[0] in list(self._graph.outputs))

    def constant(self, index: int) -> Any:
        """The contents of operand ``index``; None if it is not constant."""
        if index >= len(self._op.inputs) or self._op.inputs[index] < 0:
            return None
        return fb.values(self._model, self._graph.tensors[self._op.inputs[index]])

    def all_are(self, index: int, wanted: int) -> bool:
        """Whether operand ``index`` is a constant of this number only."""
        found = self.constant(index)
        return found is not None and bool((found == wanted).all())

    @property
    def shape(self) -> list[int]:
        return _extents(self.data)

    @property
    def keeps_shape(self) -> bool:
        """Whether both shapes are surely equal; one extent may be dynamic if all else is known."""
        a, b = self.shape, _extents(self.result)
        return a == b and a.count(-1) <= 1 and 0 not in a

    @property
    def keeps_type(self) -> bool:
        a, b = self.data.quantization, self.result.quantization
        return bool(self.data.type == self.result.type and _scales(a) == _scales(b))

    @property
    def is_static(self) -> bool:
        return -1 not in self.shape

    @property
    def has_activation(self) -> bool:
        return bool(getattr(self.options, "fusedActivationFunction", 0))


def _extents(tensor: Any) -> list[int]:
    found = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return [] if found is None else [int(d) for d in found]


def _scales(q: Any) -> Any:
    if q is None or q.scale is None or not len(q.scale):
        return None
    return [float(s) for s in q.scale], [int(z) for z in q.zeroPoint]


def _goes_forward(site: Site) -> bool:
    strides = site.constant(3)
    return strides is not None and bool((strides > 0).all())


def _takes_all(site: Site) -> bool:
    indices, axis, o = site.constant(1), site.options.axis, site.options
    extent = site.shape[axis]
    return not o.batchDims and indices is not None and np.array_equal(indices, np.arange(max(extent, 0)))


def _over_units(site: Site) -> bool:
    axes = site.constant(1)
    return axes is not None and all(site.shape[int(a)] == 1 for a in np.ravel(axes))


def _is_pointwise(site: Site) -> bool:
    o = site.options
    return bool(o.filterHeight == o.filterWidth == o.strideH == o.strideW == 1)


def _same(site: Site) -> bool:
    return True


RULES: dict[str, Callable[[Site], bool]] = {
    "RESHAPE": _same,
    "SQUEEZE": _same,
    "EXPAND_DIMS": _same,
    "CAST": _same,
    "QUANTIZE": _same,
    "DEQUANTIZE": _same,
    "BROADCAST_TO": lambda site: site.is_static,
    "SLICE": lambda site: site.is_static,
    "STRIDED_SLICE": lambda site: site.is_static and _goes_forward(site),
    "TRANSPOSE": lambda site: np.array_equal(site.constant(1), range(len(site.shape))),
    "PAD": lambda site: site.all_are(1, 0),
    "PADV2": lambda site: site.all_are(1, 0),
    "MIRROR_PAD": lambda site: site.all_are(1, 0),
    "TILE": lambda site: site.all_are(1, 1),
    "GATHER": _takes_all,
    "REVERSE_V2": _over_units,
    "CONCATENATION": lambda site: len(site._op.inputs) == 1,
    "SPLIT": lambda site: len(site._op.outputs) == 1,
    "SPLIT_V": lambda site: len(site._op.outputs) == 1,
    "MEAN": _over_units,
    "SUM": _over_units,
    "REDUCE_MAX": _over_units,
    "REDUCE_MIN": _over_units,
    "REDUCE_PROD": _over_units,
    "REDUCE_ANY": _over_units,
    "REDUCE_ALL": _over_units,
    "MAX_POOL_2D": _is_pointwise,
    "AVERAGE_POOL_2D": _is_pointwise,
    "RESIZE_BILINEAR": lambda site: site.is_static,
    "RESIZE_NEAREST_NEIGHBOR": lambda site: site.is_static,
    "DEPTH_TO_SPACE": lambda site: site.options.blockSize == 1,
    "SPACE_TO_DEPTH": lambda site: site.options.blockSize == 1,
    "ADD": lambda site: site.all_are(1, 0),
    "SUB": lambda site: site.all_are(1, 0),
    "MUL": lambda site: site.all_are(1, 1),
    "DIV": lambda site: site.all_are(1, 1),
}
"""Operator → whether it does nothing, given that its result has the operand's shape, dtype and scales."""


def noops(path: Path) -> list[str]:
    """The operators of a file that do nothing, each as ``NAME shape output``."""
    model = fb.read(path.read_bytes())
    found = []
    for _, graph, op in fb.operators(model):
        if fb.op_name(model, op) not in RULES:
            continue
        site = Site(model, graph, op)
        does_nothing = site.keeps_shape and site.keeps_type and not site.has_activation and RULES[site.name](site)
        if does_nothing and not site.is_copy_of_an_end:
            found.append(f"{site.name} {site.shape} {fb.name(site.result)}")
    return found
