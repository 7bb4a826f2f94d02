"""Writes ``tflite-*.toml`` from what a TFLite runtime registers, as that runtime itself says:

    python -m venv old && old/bin/pip install tflite-runtime==2.14.0 'numpy<2'
    python -m edgeworthy.targets.rules.runtime old/bin/python tflite-2.14 2023-10

and of many runtimes, each in a Python of its own, which of them was the first to register an operator in a version
(``formats/tflite/releases.toml``):

    python -m edgeworthy.targets.rules.runtime releases 2.7/bin/python … 2.14/bin/python 1.0/bin/python …

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

_FLOAT_ONLY = {"2.14": ("DIV", "LOG", "SQRT")}
"""Operators whose kernels refuse int8, by runtime. Versions don't tell: the quantizer leaves them as they are. Found by
running each int8 operator that the quantizer makes by itself (``tests/targets/test_rules.py``)."""

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
        raise NotAvailable("its TFLite runtime is missing or fails", where=str(python), details=[ran.stderr[-500:]])
    package, version, found = json.loads(ran.stdout.splitlines()[-1])
    return package, version, found


def written(version: str, found: dict[str, int], date: str) -> str:
    """The rules of a runtime, as TOML."""
    short = ".".join(version.split(".")[:2])
    names = ", ".join(f'"{name}"' for name in sorted(found))
    lines = [
        "# Written by `python -m edgeworthy.targets.rules.runtime`; change that, not this.",
        f'title = "TFLite {short}"',
        'source.document = "the operators that tflite-runtime registers (core/kernels/register.cc)"',
        f'source.version = "{version}"',
        f'source.date = "{date}"',
        'source.checked = "each operator in each version, by the runtime itself"',
        f"ops = [{names}]",
        "",
        "[versions]",
        *(f"{name} = {number}" for name, number in sorted(found.items())),
    ]
    if floats := _FLOAT_ONLY.get(short):
        lines += ["", "[[requires]]", "that = \"all(t.dtype not in ('int8', 'uint8') for t in tensors)\""]
        lines += ['says = "its kernel computes no int8"', f"of = {json.dumps(floats)}"]
    return "\n".join(lines) + "\n"


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
        "# Written by `python -m edgeworthy.targets.rules.runtime releases`; change that, not this.",
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
    if sys.argv[1] == "releases":
        _table = releases([registered(Path(python)) for python in sys.argv[2:]])
        (Path(tflite.__file__).with_name("releases.toml")).write_text(_table, encoding="utf-8")
    else:
        _python, _name, _date = sys.argv[1:]
        _, _version, _found = registered(Path(_python))
        _path = Path(__file__).with_name(f"{_name}.toml")
        _path.write_text(written(_version, _found, _date), encoding="utf-8")
