"""What an ONNX file holds besides its weights: read once, and asked often.

A run asks for the signature, the external files, the operators and the size of one file at a dozen places.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper

from ... import files
from ...artifact import OnnxModel
from .declared import settle
from .dtypes import float_type
from .file import external, parse, signature
from .rules import check_form

_INTEGER = ("QLinear", "QGemm")
"""Operators whose operands and results are integers with scales; the second, and most of the first, are ONNX Runtime's
own."""

COUNTED = ("ConvInteger", "MatMulInteger")
"""Products of whole numbers, which have no scale."""
_BYTES = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)

_KEPT = 8
"""Summaries that are kept: a run has one or two ONNX files."""


class OnnxSummary:
    """An ONNX file without its weights; see `summarize`.

    Every attribute is computed when it is first asked for, as a file may have external data that is missing, or an
    output of unknown rank, and still be of use.
    """

    def __init__(self, path: Path, proto: onnx.ModelProto) -> None:
        self.path = path
        self._proto = proto

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the file declares wrongly of its inputs and outputs. BadInput: a node breaks its operator's rules."""
        check_form(self._proto, self.path)  # ONNX's inference crashes on some nodes that do
        return tuple(settle(self._proto))

    @cached_property
    def model(self) -> OnnxModel:
        """The signature, as the graph makes it. BadInput, UnsupportedNodes: see `notes` and `file.signature`."""
        _ = self.notes
        return signature(self._proto, self.path)

    @cached_property
    def float_type(self) -> str:
        """The coarsest float type that the graph computes in, at least ``float32``."""
        return float_type(self._proto.graph)

    @cached_property
    def external(self) -> tuple[Path, ...]:
        """The files of external data. BadInput: one is missing or outside the model's folder."""
        return external(self._proto, self.path)

    @cached_property
    def op_counts(self) -> dict[str, int]:
        """Operator → how many of them in the graph itself, the most frequent first."""
        counts = Counter(node.op_type for node in self._proto.graph.node)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @cached_property
    def quantizes(self) -> bool:
        """Whether the graph rounds what it computes to steps of a scale, not only its constants."""
        graph = self._proto.graph
        known = {""} | {t.name for t in graph.initializer}
        for node in graph.node:
            if all(name in known for name in node.input):
                known.update(node.output)
            elif node.op_type == "QuantizeLinear" or node.op_type.startswith(_INTEGER):
                return True
        return any(node.op_type == "QuantizeLinear" for f in self._proto.functions for node in f.node)

    @cached_property
    def ranged(self) -> bool:
        """Whether layers round their operands in ranges that are found at run time, and int8 holds weights of them.

        That is what ONNX Runtime's ``quantize_dynamic`` writes.
        """
        graph = self._proto.graph
        zeros = {
            t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type in _BYTES and _small(t)
        }
        found = {o for node in graph.node if node.op_type == "DynamicQuantizeLinear" for o in node.output[:1]}
        for node in graph.node:
            if node.op_type == "DynamicQuantizeLSTM":
                return True
            if node.op_type in COUNTED and node.input[0] in found:
                zero = zeros.get(node.input[3]) if len(node.input) > 3 and node.input[3] else np.int8(0)
                if zero is not None and np.all(zero == (128 if zero.dtype == np.uint8 else 0)):
                    return True
        return False

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and those of its external data."""
        return (self.path, *self.external)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(files.size(path) for path in self.files)


def summarize(path: Path) -> OnnxSummary:
    """The summary of an ONNX file; the file is read again only after it was replaced or changed.

    Raises:
        BadInput: the file is missing, empty, no ONNX, cut off, or of an opset that the installed ``onnx`` is too old
            for.
    """
    return _summary(path, files.identity(path))


def describe(path: Path) -> OnnxModel:
    """The signature of an ONNX file; see `OnnxSummary.model` and `summarize` for errors."""
    return summarize(path).model


@lru_cache(_KEPT)
def _summary(path: Path, identity: object) -> OnnxSummary:
    proto, _ = parse(path)
    return OnnxSummary(path, proto)


def _small(tensor: onnx.TensorProto) -> bool:
    """Whether it is a zero point, with its value in the skeleton, and no weights."""
    return len(tensor.dims) < 2 and (bool(tensor.raw_data) or bool(tensor.int32_data))
