"""Writes ``formats/tflite/releases.toml``: which TFLite runtime was the first to register an operator in a version.

    python -m edgeworthy.targets.rules.runtime PYTHON …

Each Python has another runtime, the oldest first: ``tflite-runtime`` 2.7 to 2.14, ``ai-edge-litert`` from 1.0 on.

A model that names an operator in a version, and does nothing, is refused by a runtime that doesn't register it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import NotAvailable
from ...formats import tflite
from ...formats.tflite.edit import write
from ...formats.tflite.summary import OP_NAMES

_MOST = 20
"""Versions that are tried; the highest of LiteRT 2.3 is 13."""

_NOT_OPERATORS = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")

_PROBE = """
import base64, importlib.metadata, json, sys
try:
    from tflite_runtime.interpreter import Interpreter
    package = "tflite-runtime"
except ImportError:
    from ai_edge_litert.interpreter import Interpreter
    package = "ai-edge-litert"
found = {}
for name, models in json.load(sys.stdin).items():
    for version, model in enumerate(models, 1):
        try:
            Interpreter(model_content=base64.b64decode(model))
        except ValueError as error:
            if "find op" not in str(error) and "out of range" not in str(error):
                raise
        else:
            found[name] = version
print(json.dumps([package, importlib.metadata.version(package), found]))
"""

_TITLES = {"tflite-runtime": "TFLite", "ai-edge-litert": "LiteRT"}


def model(code: int, version: int) -> bytes:
    """A flatbuffer that names an operator and passes its input on."""
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.deprecatedBuiltinCode, operator.version = code, min(code, 127), version
    tensor = schema.TensorT()
    tensor.shape, tensor.name = [1], b"x"
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    made = schema.ModelT()
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [operator], [graph], [schema.BufferT()]
    return write(made)


def registered(python: Path) -> tuple[str, str, dict[str, int]]:
    """The TFLite runtime of a Python as package and version, and operator → the highest version that it registers.

    Raises:
        NotAvailable: there is no such runtime.
    """
    models: dict[str, Any] = {
        name: [base64.b64encode(model(code, version)).decode() for version in range(1, _MOST + 1)]
        for code, name in OP_NAMES.items()
        if name not in _NOT_OPERATORS
    }
    ran = subprocess.run([python, "-c", _PROBE], input=json.dumps(models), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NotAvailable(
            "its TFLite runtime is missing or fails",
            where=str(python),
            details=[ran.stderr[-500:]],
            remedy="pip install ai-edge-litert (or tflite-runtime) there, or name another Python",
        )
    package, version, found = json.loads(ran.stdout.splitlines()[-1])
    return package, version, found


def releases(found: Sequence[tuple[str, str, dict[str, int]]]) -> str:
    """Which runtime was the first for each version of each operator, as TOML. ``found``: in the order of releases."""
    titles = [f"{_TITLES[package]} {'.'.join(version.split('.')[:2])}" for package, version, _ in found]
    firsts: dict[str, dict[int, str]] = {}
    for title, (_, _, versions) in zip(titles, found, strict=True):
        for name, version in versions.items():
            first = firsts.setdefault(name, {})
            if version > max(first, default=0):
                first[version] = title
    wheels = ", ".join(f"{package} {version}" for package, version, _ in found)
    lines = [
        "# Written by `python -m edgeworthy.targets.rules.runtime`; change that, not this.",
        "# Each operator in each version, tried in the runtimes themselves:",
        f"# {wheels}",
        f"releases = {json.dumps(titles)}",
        "",
        "# Operator → highest version → the first runtime that registers it.",
        "[operators]",
    ]
    for name, first in sorted(firsts.items()):
        rows = ", ".join(f"{version} = {json.dumps(title)}" for version, title in first.items())
        lines.append(f"{name} = {{ {rows} }}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    _table = releases([registered(Path(python)) for python in sys.argv[1:]])
    (Path(tflite.__file__).with_name("releases.toml")).write_text(_table, encoding="utf-8")
