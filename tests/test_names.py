"""One name for one thing: no public class or type is defined in two modules of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .test_layers import ROOT, SAMPLES, layer, sources

TWINS: dict[str, str] = {}
"""Name that is defined twice → why it has to be. Names of test folders and samples, which stand alone, don't count."""


def types(body: list[ast.stmt]) -> Iterator[str]:
    """Names of the public classes and type aliases that a module, or a branch of it, defines."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and not _is_type_variable(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        elif isinstance(node, ast.If):
            yield from types([*node.body, *node.orelse])
            continue
        elif isinstance(node, ast.Try):
            yield from types([*node.body, *node.orelse, *(s for handler in node.handlers for s in handler.body)])
            continue
        else:
            continue
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def _is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def defined(paths: list[Path]) -> dict[str, list[str]]:
    """Name → the modules that define it."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for name in sorted(set(types(ast.parse(path.read_text(encoding="utf-8")).body))):
            found.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_no_type_is_defined_twice() -> None:
    found = defined([path for path in sources() if layer(path) != SAMPLES])
    assert found["TFLiteModel"] == ["artifact.py"]
    assert found["Array"] == ["artifact.py"], "type aliases count, those under TYPE_CHECKING too"
    twins = {name: modules for name, modules in found.items() if len(modules) > 1}
    unlisted = {name: modules for name, modules in twins.items() if name not in TWINS}
    assert not unlisted, "give each the name that says what it is, or make them one"
    assert not TWINS.keys() - twins.keys(), "these are no twins any more: take them off the list"
