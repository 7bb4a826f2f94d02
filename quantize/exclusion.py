"""Operators that patterns mean: those of a recipe's rules.

A pattern is a regular expression for the whole kind of an operator (``HARD_SWISH``), for a part of its result's name
(``/head/``), or for the path of the PyTorch module that it comes from, with all that lies below (``features.3``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BadInput
from ..formats.tflite import edit as fb
from .recipe import Decision, Recipe, Rule

_SHOWN = 8

_Words = tuple[str, str, list[str]]
"""Kind, name of the first result, and modules of an operator."""

_ADDED = re.compile(r"(_channels_last|_natural)?\d*$")
"""What conversion adds to a value's name: the layout that it is in, and a number where names would be the same."""


def decisions(model: Any, recipe: Recipe, modules: Mapping[str, str]) -> dict[int, Decision]:
    """Operators of the main graph that the recipe speaks of → what it decides of them.

    Args:
        model: A ``ModelT``.
        modules: Name of a value of the source's graph → path of its PyTorch module, where known.

    Raises:
        BadInput: a pattern or a rule matches nothing; with what is near.
    """
    graph = model.subgraphs[0]
    signature = fb.main_signature(model)
    ends = {int(e.tensorIndex): e.name.decode() for e in (signature.outputs if signature is not None else ())}
    words = [_words(model, graph, op, modules, ends) for op in graph.operators]
    found: dict[int, Decision] = {}
    if recipe.only:
        meant = {index for pattern in recipe.only for index in _meant(Rule(pattern=pattern), words, "--only")}
        why = f"it is none of {', '.join(map(repr, recipe.only))}, which alone are quantized"
        found |= {index: Decision("float32", why) for index in range(len(words)) if index not in meant}
    for rule in recipe.rules:
        found |= dict.fromkeys(_meant(rule, words, "--exclude"), Decision(rule.compute, rule.why))
    return found


def _meant(rule: Rule, words: Sequence[_Words], where: str) -> list[int]:
    matched = [index for index, each in enumerate(words) if _means(rule, *each)]
    if not matched:
        raise _nothing(rule.pattern, words, where)
    return matched


def _means(rule: Rule, kind: str, name: str, paths: Sequence[str]) -> bool:
    if rule.by == "result":
        return rule.pattern == name
    seen = {"any": (kind, name, paths), "operator": (kind, "", ()), "name": ("", name, ()), "module": ("", "", paths)}
    return matches(rule.pattern, *seen[rule.by])


def _words(model: Any, graph: Any, op: Any, modules: Mapping[str, str], ends: Mapping[int, str]) -> _Words:
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
    named = (kind and re.fullmatch(pattern, kind)) or (name and re.search(pattern, name))
    return bool(named or any(map(below.fullmatch, paths)))


def _nothing(pattern: str, words: Sequence[_Words], where: str) -> BadInput:
    there = list(dict.fromkeys(w for kind, name, paths in words for w in (kind, *paths, name) if w))
    folded = {word.casefold(): word for word in reversed(there)}
    near = [folded[w] for w in difflib.get_close_matches(pattern.casefold(), folded, n=_SHOWN, cutoff=0.5)]
    kinds = list(dict.fromkeys(kind for kind, _, _ in words))
    return BadInput(
        f"{pattern!r} matches no operator of the model",
        where=where,
        details=[f"near: {word}" for word in near] or [f"operator: {kind}" for kind in kinds[:_SHOWN]],
        remedy="write the kind of an operator, a part of its result's name, or the path of a module"
        + (f"; one in each {where}, or | between them in place of a comma" if "," in pattern else ""),
    )
