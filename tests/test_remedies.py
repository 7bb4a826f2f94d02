"""Whatever a user is refused with says what to do about it: every error that the package makes has a remedy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgeworthy
from edgeworthy import errors

ROOT = Path(edgeworthy.__file__).parent
OUTSIDE = {".venv", "tests", "benchmarks", "docs", "samples"}

WITHOUT: dict[str, str] = {}
"""``file: what`` of an error that has no remedy → why it needs none."""

Trees = dict[str, ast.Module]


@pytest.fixture(scope="module")
def trees() -> Trees:
    files = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")))
    return {str(file): ast.parse((ROOT / file).read_text("utf-8")) for file in files if file.parts[0] not in OUTSIDE}


def error_classes(trees: Trees) -> set[str]:
    """Names of all classes of errors that give no remedy by themselves."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for node in classes}
    own = {node.name for node in classes if any("remedy=" in line for line in _init(node))}
    own |= {node.name for node in classes if any("'remedy'" in line for line in _init(node))}
    found = {errors.EdgeworthyError.__name__}
    while more := {name for name, its in bases.items() if its & found and name not in found}:
        found |= more
    return found - own


def _init(node: ast.ClassDef) -> Iterator[str]:
    return (ast.unparse(f) for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__")


def bare(trees: Trees) -> list[str]:
    """``file: what`` of each error that is made without a remedy, or with an empty one."""
    names, found = error_classes(trees), []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            remedy = given.get("remedy")
            empty = isinstance(remedy, ast.Constant) and not remedy.value
            if None not in given and (remedy is None or empty):
                found.append(f"{file}: {ast.unparse(node.args[0]) if node.args else ''}")
    return found


def test_every_error_has_a_remedy(trees: Trees) -> None:
    assert len(error_classes(trees)) > 8
    assert sorted(bare(trees)) == sorted(WITHOUT)


def test_one_without_is_found() -> None:
    text = "class Mine(BadInput): pass\nraise Mine('a', where='b')\nraise Mine('c', remedy='')\nMine('d', remedy=e)"
    source = (ROOT / "errors.py").read_text("utf-8")
    assert bare({"errors.py": ast.parse(source), "new.py": ast.parse(text)}) == ["new.py: 'a'", "new.py: 'c'"]


def test_a_fault_of_ours_asks_for_a_report() -> None:
    assert "report" in (errors.InternalFault("it broke").remedy or "")
    assert errors.InternalFault("it broke", remedy="wait").remedy == "wait"
