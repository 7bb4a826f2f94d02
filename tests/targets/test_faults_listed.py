"""The list of faults in the documentation is of tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
LIST = HERE.parents[1] / "docs" / "faults.md"


def test_every_fault_of_the_list_has_its_test() -> None:
    rows = re.findall(r"^\| (\w+) \| .+ \| `(.+)::(test_\w+)` \|$", LIST.read_text(encoding="utf-8"), re.M)
    for _, file, name in rows:
        tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name
    assert len({(file, name) for _, file, name in rows}) == len(rows)
    assert sum(place in ("ssh", "android") for place, _, _ in rows) >= 30


def test_what_is_tried_by_cutting_off_is_in_the_list() -> None:
    listed = LIST.read_text(encoding="utf-8")
    for file in (HERE / "android/test_cut_off.py", HERE / "remote/test_ssh_cuts.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and node.name not in NO_FAULTS:
                assert f"::{node.name}`" in listed


NO_FAULTS = {"test_the_longest_unused_go", "test_a_board_tells_how_warm_and_fast_it_is"}
