"""The order of the house: who may import whom, no circles, nothing heavy behind ``--help``."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "vocabulary", "errors", "files", "display", "schemes", "metrics", "artifact", "tables", "devices",
    "quantize_tables", "config", "keys", "settings", "workers", "numerics", "analysis", "formats", "source", "data",
    "plugins", "kits", "export", "convert", "quantize", "targets", "validate", "android", "pipeline", "fleet", "cli",
)  # fmt: skip
"""A file may import from its own layer and those before it (docs/architecture.md)."""
SIBLINGS = {"export", "convert", "quantize", "targets", "validate"}
"""Rooms that know nothing of each other; ``pipeline`` brings them together."""
TOP = {"__init__": "cli", "__main__": "cli"}
SAMPLES = "samples"
LONGEST = 350
"""Lines of a file, tests too."""


def sources() -> list[Path]:
    folders = [p.parent for p in ROOT.glob("*/__init__.py")]
    return sorted([*ROOT.glob("*.py"), *(p for folder in folders for p in folder.rglob("*.py"))])


def layer(path: Path) -> str:
    """The layer of a file below the root, or of a module named by a path without a suffix."""
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return TOP.get(first, first)


def imports(path: Path) -> Iterator[tuple[int, str, Path]]:
    """(line, how it is written, what it names) of every import of edgeworthy's own files, lazy ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = path.parents[node.level - 1]
        target = base.joinpath(*(node.module or "").split(".")) if node.module else base
        for alias in node.names:
            named = target / alias.name
            exists = named.with_suffix(".py").exists() or (named / "__init__.py").exists()
            yield node.lineno, f"{'.' * node.level}{node.module or ''}", named if exists else target


def test_every_folder_is_a_layer() -> None:
    assert {layer(p) for p in sources()} <= {*LAYERS, SAMPLES}


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_down_the_layers(path: Path) -> None:
    mine = layer(path)
    for line, text, target in imports(path):
        if target == ROOT:
            continue
        theirs = layer(target)
        where = f"{path.relative_to(ROOT)}:{line}: from {text}"
        if mine == SAMPLES:
            assert theirs == SAMPLES, f"{where}: samples import nothing of edgeworthy"
        elif theirs != SAMPLES:
            siblings = mine != theirs and {mine, theirs} <= SIBLINGS
            allowed = LAYERS.index(theirs) <= LAYERS.index(mine) and not siblings
            assert allowed, f"{where}: {mine} may not import {theirs}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_absolute_import_of_ourselves(path: Path) -> None:
    own = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    own |= {"edgeworthy"}
    if layer(path) == SAMPLES:
        own -= {"edgeworthy"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            assert name.partition(".")[0] not in own, f"{path}:{node.lineno}: import {name} relatively"


def test_no_circle_among_imports() -> None:
    """Imports inside functions and under TYPE_CHECKING count too."""
    graph = {
        path: {file for _, _, target in imports(path) if (file := _file(target)) is not None and file != path}
        for path in sources()
    }
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, "a circle: " + " → ".join(p.relative_to(ROOT).as_posix() for p in (*trail, path))
        if path in done:
            return
        for target in graph.get(path, ()):
            visit(target, (*trail, path))
        done.add(path)

    for path in graph:
        visit(path, ())


def _file(target: Path) -> Path | None:
    if target.with_suffix(".py").exists():
        return target.with_suffix(".py")
    package = target / "__init__.py"
    return package if package.exists() and target != ROOT else None


def test_no_file_is_long() -> None:
    files = {*sources(), *(p for folder in ("tests", "benchmarks") for p in (ROOT / folder).rglob("*.py"))}
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert lines["tests/test_layers.py"] > 100
    assert not {name: n for name, n in lines.items() if n > LONGEST}, "split them by what they speak of"


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    found = {"edgeworthy"}
    for path in sources():
        parts = path.relative_to(ROOT).parent.parts
        found |= {".".join(("edgeworthy", *parts))} if parts else set()
    assert listed == found


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("edgeworthy", "numpy pydantic rich"),
        ("edgeworthy.cli.app", "numpy pydantic rich torch tensorflow onnx onnxruntime matplotlib"),
        ("edgeworthy.pipeline.run edgeworthy.source.load", "torch tensorflow onnxruntime matplotlib"),
        ("edgeworthy.convert.conversion edgeworthy.convert.passes", "torch tensorflow onnxruntime matplotlib"),
    ],
)
def test_nothing_heavy_is_imported_early(modules: str, heavy: str) -> None:
    code = f"import sys, importlib\nfor m in {modules.split()}: importlib.import_module(m)\n"
    code += f"print(*[h for h in {heavy.split()} if h in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
