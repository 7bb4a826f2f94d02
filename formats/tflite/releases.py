"""The oldest TFLite runtime that loads a file.

A runtime refuses a file that names an operator, or a version of one, that it doesn't register. ``releases.toml`` has
the first runtime of each, as ``targets/rules/runtime.py`` found by trying them in the wheels of ``tflite-runtime`` 2.7
to 2.14 and of its successor ``ai-edge-litert`` (LiteRT) for Linux. Builds for phones register the same operators,
unless whoever built them left some out.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .opening import opened
from .summary import op_name

_BEHIND = "TFLite 2.14"
"""The first that reads weights behind the flatbuffer: it ran such a file, and 2.13's library has no code for it."""
_FILE = Path(__file__).with_name("releases.toml")


@dataclass(frozen=True)
class LeastRuntime:
    """The oldest runtime that loads a file.

    Attributes:
        release: Such as ``TFLite 2.13`` or ``LiteRT 1.0``; empty: none of those that are known.
        because: What older ones lack: operators, such as ``CONV_2D v7``, or the reading of weights behind the
            flatbuffer, where files above 2 GiB have them. None where the oldest known one loads the file.
    """

    release: str
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        name, _, version = self.release.partition(" ")
        needs = f" (because of {', '.join(self.because)})" if self.because else ""
        return f"{name} ≥ {version}{needs}" if name else f"a runtime newer than {releases()[-1]}{needs}"


def least_runtime(path: Path) -> LeastRuntime:
    """The oldest runtime that loads a ``.tflite`` file; custom operators, which an app brings itself, aside.

    Raises:
        BadInput: it is none.
    """
    with opened(path) as model:
        codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
        used = {(op_name(code), int(code.Version())) for code in codes if not code.CustomCode()}
        behind = any(model.Buffers(index).Offset() > 1 for index in range(model.BuffersLength()))
    known = releases()
    ranks = {f"{op} v{version}": _rank(op, version) for op, version in used}
    if behind:
        ranks["weights behind the flatbuffer"] = known.index(_BEHIND)
    top = max(ranks.values(), default=0)
    because = sorted(need for need, rank in ranks.items() if rank == top) if top else []
    return LeastRuntime(known[top] if top < len(known) else "", tuple(because))


def releases() -> list[str]:
    """The runtimes that are known, the oldest first."""
    return list(_table()[0])


def _rank(op: str, version: int) -> int:
    """Place in ``releases`` of the first that registers it; behind the last, where none does."""
    known, operators = _table()
    firsts = operators.get(op, {})
    return min((known.index(first) for highest, first in firsts.items() if int(highest) >= version), default=len(known))


@cache
def _table() -> tuple[list[str], dict[str, dict[str, str]]]:
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return table["releases"], table["operators"]
