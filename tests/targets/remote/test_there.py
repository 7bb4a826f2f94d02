"""What is sent to other places: on the oldest Python that it is for, and on nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from edgeworthy.targets.remote import there
from edgeworthy.targets.remote.there import litert, place
from edgeworthy.vocabulary import SIGNATURE

FILES = sorted(Path(there.__file__).parent.glob("*.py"))
RUNTIMES = {"litert.py": {"numpy"}, "runner.py": {"numpy"}}
"""What a file may import beyond the standard library: the runner numpy, once there are arrays to unpack.

A runtime is looked for by name."""


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_it_is_python_3_9_with_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a file that is sent alone imports no neighbour"
            found.add((node.module or "").partition(".")[0])
    assert found <= sys.stdlib_module_names | RUNTIMES.get(path.name, set())


def test_both_ends_have_one_signature() -> None:
    assert litert._SIGNATURE == SIGNATURE


def test_the_place_is_this_machine() -> None:
    told = place.place()
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["emulator"] == "" and told["cores"] >= 1 and told["cpu"]
    assert set(place.state()) == {"celsius", "governor", "mhz", "most_mhz"}
