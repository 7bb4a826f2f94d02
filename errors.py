"""Every error a user can meet: what happened, where, what to do, and the exit code.

=====  =========================================================
code   meaning
=====  =========================================================
0      pass
1      a gate or a check failed: the answer is no
2      bad input or usage: what was given can't be used, such as a model that is random or can't be converted
3      a target, a route or a package is not available, or memory ran out
4      inconclusive: too noisy to say
70     a fault of ours
=====  =========================================================
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

FIX = "  fix: "
"""What a remedy's line begins with."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
"""What colours a terminal or names its window (ECMA-48: CSI and OSC sequences)."""


class EdgeworthyError(Exception):
    """An error with a place and a remedy.

    Args:
        what: One sentence that says what happened.
        where: The file, node, tensor or PyTorch line it happened at.
        remedy: What the user can do about it.
        details: Further lines (one item each), such as the names that do exist.
    """

    exit_code = 70

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        what = _plain(what)
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.details = tuple(map(_plain, details))

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at: {self.where}")
        lines.extend(f"  - {line}" for line in self.details)
        if self.remedy:
            lines.append(f"{FIX}{self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all attributes and notes, whatever ``__init__`` of a subclass takes."""
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def to_json(self) -> dict[str, object]:
        """The error as the CLI prints it under ``--json``."""
        return {
            "error": type(self).__name__,
            "exit_code": self.exit_code,
            "what": self.what,
            "where": self.where,
            "remedy": self.remedy,
            "details": list(self.details),
        }


def _plain(text: str) -> str:
    """What a runtime said, without the colours that it says it in: it is shown in tables, files and pages too."""
    return _ESCAPES.sub("", text)


def did_you_mean(word: str, words: Iterable[str], *, most: int = 1) -> str:
    """``did you mean 'int8'?``, with the nearest of the words that do exist; empty where none is near."""
    near = difflib.get_close_matches(word, list(words), n=most, cutoff=0.55)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


class CheckFailed(EdgeworthyError):
    """A gate or a check said no."""

    exit_code = 1


class BadInput(EdgeworthyError):
    """The input or the command line can't be used as given."""

    exit_code = 2


class NotAvailable(EdgeworthyError):
    """A target, a route or an optional package is missing on this machine."""

    exit_code = 3


class OutOfMemory(NotAvailable):
    """Memory ran out: this machine can't, whatever the model is worth. No row that it happens to is skipped."""


class InternalFault(EdgeworthyError):
    """A fault of edgeworthy itself; please report it."""

    exit_code = 70

    def __init__(self, what: str, **more: Any) -> None:
        super().__init__(what, **{"remedy": "run it again with --debug and report what it prints", **more})


class RuntimeFailure(CheckFailed):
    """A runtime raised, crashed or hung on a model; the worker that ran it is gone."""


class LimitExceeded(RuntimeFailure):
    """It took more time or memory than it may, and was ended. With the machine to itself it might not."""


class TimedOut(LimitExceeded):
    """It hung, or took more time than it may."""


@dataclass(frozen=True)
class UnsupportedNode:
    """One ONNX node that can't be lowered, and why."""

    op: str
    opset: int
    node: str
    module: str
    source: str
    reason: str
    remedy: str


class UnsupportedNodes(BadInput):
    """The preflight's verdict: *all* nodes of a model that can't be lowered."""

    def __init__(self, nodes: Sequence[UnsupportedNode], *, where: str | None = None) -> None:
        count = len(nodes)
        super().__init__(
            f"{count} node{'s' if count != 1 else ''} of the model can't be converted",
            where=where,
            details=[
                f"{n.op} (opset {n.opset}) {n.node!r}"
                + (f" in {n.module}" if n.module else "")
                + (f" at {n.source}" if n.source else "")
                + f": {n.reason}; {n.remedy}"
                for n in nodes
            ],
            remedy="replace these operations in the model, or take them out of the exported graph",
        )
        self.nodes = tuple(nodes)

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"nodes": [vars(n) for n in self.nodes]}
