"""What a target takes and what it refuses, as data: ``targets/rules/NAME.toml``.

A file says where its rules are from (document, version, date), which TFLite operators there are, and what must hold of
them. A condition is a Python expression of a few forms over the facts of one operator (``formats.tflite.condition``).
What is refused gets a remedy: the rule's own, or that of ``remedies.toml``, which says for an operator what to write in
PyTorch instead.

:mod:`.vela`       writes ``ethos-u*.toml`` from the compiler's own report
:mod:`.runtime`    writes what TFLite's runtimes register (``formats.tflite.releases``)
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...devices import unknown
from ...errors import InternalFault
from ...formats.tflite.condition import Condition
from ...formats.tflite.operations import FLOATS, Operand, Operation
from ...formats.tflite.ops import OPS, Int8
from ...formats.tflite.releases import limits_of, release_name, releases, versions_of
from ...schemes import SCHEMES

FOLDER = Path(__file__).parent
_REMEDIES = "remedies"
USUAL = "compute it by other operations, or after the model"
"""What to do about an operator that nobody knows better for."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RuleSource(_Table):
    """Where rules are from: document, version, when it was read, and how they were held against the real thing."""

    document: str
    version: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
    checked: str


class RuleRequirement(_Table):
    """What must hold for an operator.

    Attributes:
        that: The condition.
        says: What is said where it doesn't hold.
        remedy: What to do about it; that of the operator where it is empty.
        of: The operators that it is asked of; all, where it names none.
        spares: Operators that it isn't asked of.
    """

    that: str
    says: str
    remedy: str = ""
    of: list[str] = []
    spares: list[str] = []

    def holds(self, operation: Operation) -> bool:
        """Whether an operator meets it; one that it isn't asked of does."""
        asked = operation.op not in self.spares and (not self.of or operation.op in self.of)
        return not asked or Condition.of(self.that).holds(operation)


class TargetRules(_Table):
    """All rules of a target.

    Attributes:
        title: What it is called.
        also: Other names of it, such as ``ethos-u:85-256``.
        integer: Whether it computes integers alone: it is for quantized files, and a float operator is refused.
        ops: The operators that it knows; any other is refused.
        requires: What is asked of them, in this order.
        versions: Operator → the highest version of it that is taken; one that isn't here is taken in every version.
    """

    title: str
    source: RuleSource
    also: list[str] = []
    integer: bool = False
    ops: list[str]
    requires: list[RuleRequirement] = []
    versions: dict[str, int] = {}

    def takes_scheme(self, scheme: str) -> bool:
        """Whether files of this scheme are meant for it."""
        return not self.integer or SCHEMES[scheme].method == "static"


_MEASURED = RuleSource(
    document="formats/tflite/releases.toml and limits.toml",
    version="LiteRT 2.3",
    date="2026-11",
    checked="each operator in each version, and each form, by the runtime itself",
)


@dataclass(frozen=True)
class NodeRefusal:
    """An operator that a target doesn't take, why, and what to do about it."""

    operation: Operation
    reason: str
    remedy: str

    def __str__(self) -> str:
        at = " ".join(filter(None, (self.operation.module, self.operation.source)))
        return f"{self.operation}{f' at {at}' if at else ''}: {self.reason}; {self.remedy}"


def names() -> list[str]:
    """The targets that there are rules of."""
    return [*_files(), *map(release_name, releases())]


def _files() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != _REMEDIES)


def find(name: str, *, also: Mapping[str, str] | None = None) -> TargetRules:
    """The rules of a target; ``ethos-u:85-256`` has those of ``ethos-u85``.

    Args:
        also: What may be named beside these, and what it is, for the error.

    Raises:
        BadInput: there are none of this name; names the nearest.
    """
    known = {other: n for n in _files() for other in (n, *_read(n).also)}
    if name in known:
        return _read(known[name])
    for release in releases():
        if name == release_name(release):
            return _of_release(release)
    there = {n: _read(n).title for n in _files()} | dict(also or {})
    there |= dict.fromkeys(map(release_name, releases()), "")
    raise unknown(name, there, "--for", more=known)


def refused(rules: TargetRules, operations: Sequence[Operation]) -> list[NodeRefusal]:
    """The operators that a target wouldn't take, in their order."""
    return [refusal for operation in operations if (refusal := _refusal(rules, operation, operations)) is not None]


def _refusal(rules: TargetRules, operation: Operation, operations: Sequence[Operation]) -> NodeRefusal | None:
    usual = remedies().get(operation.op, USUAL)
    usual = written().get(operation.onnx, usual)  # its user has never seen the parts that Erf, say, consists of
    if rules.integer and (floats := {t.dtype for t in operation.tensors} & set(FLOATS)):
        return NodeRefusal(operation, *_float(operation, operations, "+".join(sorted(floats)), usual))
    if operation.op not in rules.ops:
        return NodeRefusal(operation, f"{operation.op} is not among the operators of {rules.title}", usual)
    newest = rules.versions.get(operation.op)
    if newest is not None and operation.version is not None and operation.version > newest:
        reason = f"the file has version {operation.version} of it, and {rules.title} knows {newest} at most"
        return NodeRefusal(operation, reason, "use a newer runtime, another scheme, or another form of the operation")
    for requirement in rules.requires:
        if not requirement.holds(operation):
            return NodeRefusal(operation, requirement.says, requirement.remedy or usual)
    return None


def _float(operation: Operation, operations: Sequence[Operation], dtype: str, usual: str) -> tuple[str, str]:
    """Reason and remedy of what isn't quantized."""
    if operation.op in ("QUANTIZE", "DEQUANTIZE"):
        made, used = ({id(t) for o in operations for t in side(o)} for side in (_outputs, _inputs))
        inside = any(id(t) in made for t in operation.inputs) and any(id(t) in used for t in operation.outputs)
        remedy = "it goes with the float operators beside it" if inside else "use --io-dtype int8"
        return f"it converts from or to {dtype}, which the CPU does", remedy
    row = OPS.get(operation.op.lower())
    if row is None or row.int8 is Int8.FLOAT:
        return f"the quantizer has no int8 form of it: it stays {dtype}", usual
    return f"the quantizer leaves it in {dtype}", usual


def _inputs(operation: Operation) -> tuple[Operand, ...]:
    return operation.inputs


def _outputs(operation: Operation) -> tuple[Operand, ...]:
    return operation.outputs


@cache
def remedies() -> dict[str, str]:
    """Operator → what to write in PyTorch instead."""
    return {op: text for op, text in _advice().items() if isinstance(text, str)}


def written() -> dict[str, str]:
    """ONNX operator that becomes several of TFLite → what to write in PyTorch instead, whichever of them is refused."""
    found: dict[str, str] = _advice()["written"]
    return found


@cache
def _advice() -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{_REMEDIES}.toml").read_text(encoding="utf-8"))


@cache
def _of_release(release: str) -> TargetRules:
    """The rules of a TFLite runtime, by what it registers and what it doesn't take all the same."""
    versions = versions_of(release)
    requires = [
        RuleRequirement(that=it.that, says=f"{release} takes none {it.form}", remedy=it.remedy, of=known)
        for it in limits_of(release)
        if (known := [op for op in it.of if op in versions])
    ]
    return TargetRules(title=release, source=_MEASURED, ops=sorted(versions), requires=requires, versions=versions)


@cache
def _read(name: str) -> TargetRules:
    path = FOLDER / f"{name}.toml"
    try:
        return TargetRules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise InternalFault(f"the rules can't be read: {error}", where=str(path)) from error
