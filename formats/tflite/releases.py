"""The oldest TFLite runtime that a file runs on.

A runtime refuses a file that names an operator, or a version of one, that it doesn't register. ``releases.toml`` has
the first runtime of each, as ``targets/rules/runtime.py`` found by trying them in the wheels of ``tflite-runtime`` 2.7
to 2.14 and of its successor ``ai-edge-litert`` (LiteRT) for Linux. Builds for phones register the same operators,
unless whoever built them left some out. Versions don't tell all: ``limits.toml`` has forms of operators that a runtime
registers, and then refuses, aborts on or computes wrong.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import BadInput, did_you_mean
from .condition import Condition
from .opening import opened
from .operations import Operand, Operation, read
from .summary import op_name

MANY = 8
"""Axes: more than any kernel tells apart."""
_BEHIND = "TFLite 2.14"
"""The first that reads weights behind the flatbuffer: it ran such a file, and 2.13's library has no code for it."""
_FILE, _LIMITS = (Path(__file__).with_name(name) for name in ("releases.toml", "limits.toml"))


@dataclass(frozen=True)
class ReleaseLimit:
    """What runtimes before a release don't take, whatever the version of the operator.

    Attributes:
        of: The operators that it is asked of.
        that: The condition that holds of what they take (``condition``).
        form: What they don't take, as half a sentence behind the operator's name.
        before: The first release that takes it; empty: none does.
        remedy: What to do about it; empty: the usual.
    """

    of: tuple[str, ...]
    that: str
    form: str
    before: str
    remedy: str = ""

    @property
    def rank(self) -> int:
        """Place in ``releases`` of the first that takes it; behind the last, where none does."""
        known = releases()
        return known.index(self.before) if self.before else len(known)

    def holds(self, operation: Operation) -> bool:
        """Whether an operator meets it; one that it isn't asked of does."""
        return operation.op not in self.of or Condition.of(self.that).holds(operation)


@dataclass(frozen=True)
class LeastRuntime:
    """The oldest runtime that a file runs on.

    Attributes:
        release: Such as ``TFLite 2.13`` or ``LiteRT 1.0``; empty: none of those that are known.
        because: What older ones lack: operators, such as ``CONV_2D v7`` or ``SLICE of more than 5 axes``, or the
            reading of weights behind the flatbuffer, where files above 2 GiB have them. None where the oldest known
            one runs the file.
    """

    release: str
    because: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """Of the release: ``2.13``."""
        return self.release.partition(" ")[2]

    def __str__(self) -> str:
        name, _, version = self.release.partition(" ")
        needs = f" (because of {', '.join(self.because)})" if self.because else ""
        return f"{name} ≥ {version}{needs}" if name else f"a runtime newer than {releases()[-1]}{needs}"


def least_runtime(path: Path) -> LeastRuntime:
    """The oldest runtime that a ``.tflite`` file runs on; custom operators, which an app brings itself, aside.

    Raises:
        BadInput: it is none.
    """
    known = releases()
    ranks: dict[str, int] = {}
    for operation in read(path):
        for need, rank in _needs(operation):
            ranks[need] = rank
    with opened(path) as model:
        for index in range(model.OperatorCodesLength()):  # a runtime asks for those that nothing uses too
            code = model.OperatorCodes(index)
            if not code.CustomCode():
                op, version = op_name(code), int(code.Version())
                ranks[f"{op} v{version}"] = _rank(op, version)
        if any(model.Buffers(index).Offset() > 1 for index in range(model.BuffersLength())):
            ranks["weights behind the flatbuffer"] = known.index(_BEHIND)
    top = max(ranks.values(), default=0)
    because = sorted(need for need, rank in ranks.items() if rank == top) if top else []
    return LeastRuntime(known[top] if top < len(known) else "", tuple(because))


def _needs(operation: Operation) -> Iterator[tuple[str, int]]:
    """Forms that runtimes don't take from the first on, and the place in ``releases`` of the one that does."""
    for limit in _limits():
        if not limit.holds(operation):
            yield f"{operation.op} {limit.form}", limit.rank


def check_taken(path: Path, where: str) -> None:
    """What is done with a ``.tflite`` file needs a runtime that runs it.

    Raises:
        BadInput: no runtime takes a form of an operator in it, such as ``CONV_2D of float16 data``.
    """
    limits = [limit for limit in _limits() if not limit.before]
    refused = {f"{op.op} {limit.form}": limit for op in read(path) for limit in limits if not limit.holds(op)}
    if refused:
        remedies = dict.fromkeys(limit.remedy for _, limit in sorted(refused.items(), key=lambda one: one[0]))
        raise BadInput(
            f"no TFLite runtime takes {' or '.join(sorted(refused))}", where=where, remedy="; ".join(remedies)
        )


def releases() -> list[str]:
    """The runtimes that are known, the oldest first."""
    return list(_table()[0])


def find_release(text: str, where: str) -> str:
    """The release that is called ``2.14``, ``tflite-2.14`` or ``TFLite 2.14``. ``where`` is for errors.

    Raises:
        BadInput: none is; names the nearest.
    """
    said = "-".join(text.lower().split())
    named = {release_name(release): release for release in releases()}
    found = [release for name, release in named.items() if said in (name, name.partition("-")[2])]
    if len(found) != 1:
        raise BadInput(
            f"no TFLite runtime {text!r} is known",
            where=where,
            details=[f"known are {', '.join(releases())}"],
            remedy=did_you_mean(said, sorted(named)) or "name one of these, as in 2.14",
        )
    return found[0]


def release_name(release: str) -> str:
    """``tflite-2.14`` of ``TFLite 2.14``."""
    return release.lower().replace(" ", "-")


def versions_of(release: str) -> dict[str, int]:
    """The operators that a release registers → the highest version."""
    known, operators = _table()
    newest = known.index(release)
    found = {
        op: [int(version) for version, first in firsts.items() if known.index(first) <= newest]
        for op, firsts in operators.items()
    }
    return {op: max(versions) for op, versions in found.items() if versions}


def limits_of(release: str) -> list[ReleaseLimit]:
    """What a release doesn't take, although it registers the operator."""
    known = releases()
    return [limit for limit in _limits() if known.index(release) < limit.rank]


@cache
def most_axes(release: str, op: str) -> int:
    """Axes up to which a release takes an operator, whatever is broadcast; ``MANY`` where it takes any."""
    limits = [limit for limit in limits_of(release) if op in limit.of]
    taken = (rank for rank in range(MANY, 0, -1) if all(limit.holds(_spread(op, rank)) for limit in limits))
    return next(taken, 0)


def _spread(op: str, rank: int) -> Operation:
    """An operator on float32 that broadcasts its second operand."""
    shape = (2,) * rank
    x, y, z = (Operand(name, "float32", s) for name, s in (("x", shape), ("y", (*shape[1:], 1)), ("z", shape)))
    return Operation(op, "z", (x, y), (z,))


def _rank(op: str, version: int) -> int:
    """Place in ``releases`` of the first that registers it; behind the last, where none does."""
    known, operators = _table()
    firsts = operators.get(op, {})
    return min((known.index(first) for highest, first in firsts.items() if int(highest) >= version), default=len(known))


@cache
def _table() -> tuple[list[str], dict[str, dict[str, str]]]:
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return table["releases"], table["operators"]


@cache
def _limits() -> tuple[ReleaseLimit, ...]:
    rows = tomllib.loads(_LIMITS.read_text(encoding="utf-8"))["limits"]
    return tuple(ReleaseLimit(**{**row, "of": tuple(row["of"])}) for row in rows)
