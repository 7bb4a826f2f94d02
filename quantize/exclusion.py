"""Operators that a user wants to keep in float.

A pattern is a regular expression for the whole kind of an operator (``HARD_SWISH``), for a part of its result's name
(``/head/``), or for the path of the PyTorch module that it comes from, with all that lies below (``features.3``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import BadInput
from ..formats.tflite import edit as fb

_SHOWN = 8

_ADDED = re.compile(r"(_channels_last|_natural)?\d*$")
"""What conversion adds to a value's name: the layout that it is in, and a number where names would be the same."""


def check_patterns(patterns: Iterable[str]) -> None:
    """Refuse what is no regular expression.

    Raises:
        BadInput: one of them isn't.
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise BadInput(
                f"{pattern!r} is no regular expression: {error}",
                where="--exclude",
                remedy="write an operator such as ADD, a part of a tensor's name, or the path of a module",
            ) from error


def excluded(model: Any, patterns: Sequence[str], modules: Mapping[str, str]) -> dict[int, str]:
    """Operators of the main graph that a pattern matches → the reason, which names the pattern.

    Args:
        model: A ``ModelT``.
        modules: Name of a value of the source's graph → path of its PyTorch module, where known.

    Raises:
        BadInput: a pattern matches nothing; with what is near.
    """
    graph = model.subgraphs[0]
    ends = {int(e.tensorIndex): e.name.decode() for d in model.signatureDefs or [] for e in d.outputs}
    words = [_words(model, graph, op, modules, ends) for op in graph.operators]
    found: dict[int, str] = {}
    for pattern in patterns:
        matched = [index for index, (kind, name, paths) in enumerate(words) if matches(pattern, kind, name, paths)]
        if not matched:
            raise _nothing(pattern, words)
        found |= {index: f"excluded by {pattern!r}" for index in matched if index not in found}
    return found


def _words(
    model: Any, graph: Any, op: Any, modules: Mapping[str, str], ends: Mapping[int, str]
) -> tuple[str, str, list[str]]:
    """Kind, name of the first result, and modules of an operator; ``ends``: tensor index → the output's own name."""
    if not len(op.outputs):
        return fb.op_name(model, op), "", []
    index = int(op.outputs[0])
    name = fb.name(graph.tensors[index])
    paths = [module_of(part, modules) for part in (*name.split(";"), ends.get(index, ""))]
    return fb.op_name(model, op), name, [path for path in paths if path]


def module_of(name: str, modules: Mapping[str, str]) -> str:
    """Of a tensor named after a value: ``linear``, its part ``linear/reshape``, or ``linear2`` of several."""
    while name:
        for value in (name, _ADDED.sub("", name)):
            if value in modules:
                return modules[value]
        name = name.rpartition("/")[0]
    return ""


def matches(pattern: str, kind: str, name: str, paths: Sequence[str]) -> bool:
    """Whether a pattern means an operator of this kind, result and modules."""
    below = re.compile(rf"(?:{pattern})(?:\..*)?")
    return bool(re.fullmatch(pattern, kind) or re.search(pattern, name) or any(map(below.fullmatch, paths)))


def _nothing(pattern: str, words: Sequence[tuple[str, str, list[str]]]) -> BadInput:
    there = list(dict.fromkeys(w for kind, name, paths in words for w in (kind, *paths, name) if w))
    folded = {word.casefold(): word for word in reversed(there)}
    near = [folded[w] for w in difflib.get_close_matches(pattern.casefold(), folded, n=_SHOWN, cutoff=0.5)]
    kinds = list(dict.fromkeys(kind for kind, _, _ in words))
    return BadInput(
        f"{pattern!r} matches no operator of the model",
        where="--exclude",
        details=[f"near: {word}" for word in near] or [f"operator: {kind}" for kind in kinds[:_SHOWN]],
        remedy="write the kind of an operator, a part of its result's name, or the path of a module",
    )
