"""Why XNNPACK's delegate left an operator to TFLite's own kernels, and what to write instead: ``xnnpack.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..formats.tflite.condition import Condition
from ..formats.tflite.operations import Operation
from .rules import remedies, written

_COMPUTES = {"float32", "int8", "uint8"}
_FLOW = {"IF": "XNNPACK takes no branches", "WHILE": "XNNPACK takes no loops"}
_CASTS = ("QUANTIZE", "DEQUANTIZE")
_FIXED = "fixed extents where the file is made (of edgeworthy: --input), with which it is constant"


class LeftForm(BaseModel):
    """A form that the delegate leaves.

    Attributes:
        of: Operators.
        that: Condition on one of them; empty: always.
        says: Why it is left.
        instead: What gives the same values and is taken.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    of: list[str]
    that: str = ""
    says: str
    instead: str

    def means(self, operation: Operation) -> bool:
        """Whether an operator has this form."""
        return operation.op in self.of and (not self.that or Condition.of(self.that).holds(operation))


@cache
def forms() -> tuple[LeftForm, ...]:
    """All that were measured."""
    content = Path(__file__).with_name("xnnpack.toml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[LeftForm, ...]).validate_python(tuple(tomllib.loads(content)["forms"]))


def sizes_of(graph: Iterable[Operation]) -> frozenset[int]:
    """What a graph computes of extents alone: the ``id`` of each operand that comes of SHAPE, and of nothing else."""
    found: set[int] = set()
    for op in graph:
        data = [t for t in op.inputs if not t.constant and t.dtype != "none"]
        if op.op == "SHAPE" or (data and all(id(t) in found for t in data)):
            found |= {id(t) for t in op.outputs}
    return frozenset(found)


def why_left(operation: Operation, sizes: frozenset[int] = frozenset()) -> tuple[str, str]:
    """Why an operator, of which the runtime says that it was left, is, and what to write; each empty where unknown.

    The forms were measured in float32, and say what XNNPACK has in no type.

    Args:
        sizes: Operands of its graph, as ``sizes_of`` gives them.
    """
    if sizes.issuperset(map(id, operation.outputs)):
        return "it computes what depends on extents alone", _FIXED
    usual = remedies().get(operation.op, "")
    # A quantized bias is int32, and is no computation in it.
    dtypes = {t.dtype for t in operation.tensors if not (t.dtype == "int32" and t.constant and t.scales)}
    if not dtypes.isdisjoint(_COMPUTES) or dtypes == {"bool"}:
        for form in forms():
            if form.means(operation):
                return form.says, written().get(operation.onnx, form.instead)
    if operation.op in _FLOW:
        return _FLOW[operation.op], usual
    if not sizes.isdisjoint(map(id, operation.inputs)):
        return "it takes a size that is computed, and XNNPACK takes constant ones", _FIXED
    if operation.op not in _CASTS and "float32" not in dtypes and dtypes <= _COMPUTES:
        return (
            f"XNNPACK has no {'/'.join(sorted(dtypes))} kernel for it",
            f"`edgeworthy quantize --exclude {operation.op}`, of the model or its float file, keeps it in float32",
        )
    others = sorted(dtypes - _COMPUTES)
    return (f"it computes {' and '.join(others)}" if others else ""), usual if dtypes & _COMPUTES else ""
