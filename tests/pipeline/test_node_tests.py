"""``compare --onnx-tests``: node tests through routes, each of which may refuse, crash or hang on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.formats.onnx import node_tests as onnx_tests
from edgeworthy.formats.onnx.node_tests import NodeTests
from edgeworthy.pipeline import fingerprint
from edgeworthy.pipeline.node_tests import JSON, _key, chosen, node_tests
from edgeworthy.targets import TargetInfo
from edgeworthy.validate.node_tests import NodeTestTable

from ..cli.conftest import edgeworthy

WANTED = ("test_add", "test_gather_0", "test_mul", "test_sequence_insert_at_front", "test_softmax_axis_1")


@pytest.fixture(scope="module")
def tests() -> NodeTests:
    return onnx_tests.load_node_tests()


def statuses(table: NodeTestTable, route: str) -> dict[str, str]:
    (row,) = [row for row in table.routes if row.route == route]
    return {name: outcome.status for name, outcome in row.outcomes.items()}


def test_a_test_that_kills_or_stops_a_route_is_its_outcome(
    package: Path, tests: NodeTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one goes on; what is known isn't run again."""
    few = NodeTests(tuple(case for case in tests.cases if case.name in WANTED), tests.total)
    monkeypatch.setattr(onnx_tests, "load_node_tests", lambda: few)
    monkeypatch.setattr("edgeworthy.pipeline.node_tests._IMPORTS_S", 20.0)
    monkeypatch.setenv("EDGE_TOLD", str(tmp_path / "told"))
    options: dict[str, Any] = {"output": tmp_path / "out", "timeout_s": 10.0}
    found = node_tests(routes=["direct", "moody"], **options)
    direct, moody = statuses(found, "direct"), statuses(found, "moody")
    assert direct.pop("test_sequence_insert_at_front") == "convert-error" and set(direct.values()) == {"pass"}
    assert moody == {
        "test_add": "crash",
        "test_gather_0": "pass",
        "test_mul": "convert-error",
        "test_sequence_insert_at_front": "runtime-error",
        "test_softmax_axis_1": "timeout",
    }
    assert NodeTestTable.model_validate_json((tmp_path / "out" / JSON).read_bytes()) == found
    asked = (tmp_path / "told").read_text().split()
    (row,) = [row for row in found.routes if row.route == "moody"]
    left = row.model_copy(update={"outcomes": {name: row.outcomes[name] for name in WANTED[:2]}})
    cut = found.model_copy(update={"routes": [left]})
    (tmp_path / "out" / JSON).write_text(cut.model_dump_json())
    monkeypatch.setattr(onnx_tests, "load_node_tests", lambda: NodeTests(few.cases[:4], tests.total))
    again = node_tests(routes=["moody"], **options)
    assert statuses(again, "moody") == {name: moody[name] for name in WANTED[:4]}
    assert (tmp_path / "told").read_text().split()[len(asked) :] == ["Mul", "SequenceInsert"]
    (tmp_path / "out" / JSON).write_text("{}")
    with pytest.raises(BadInput, match="isn't edgeworthy's"):
        node_tests(routes=["moody"], **options)


def test_another_runtime_or_judge_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kit's outcomes, too: its content is the same, and what becomes of its files needn't be."""
    info, keys = CONVERTERS["onnx2tf"], [_key(CONVERTERS["onnx2tf"], "1.23")]
    assert _key(info, "1.23") == keys[0]
    monkeypatch.setattr(TargetInfo, "version", "2.99")
    keys.append(_key(info, "1.23"))
    told = fingerprint.of_code
    monkeypatch.setattr(fingerprint, "of_code", lambda *parts: told(*parts) + str("validate/node_tests.py" in parts))
    keys.append(_key(info, "1.23"))
    assert len({*keys}) == 3


def test_a_route_that_cannot_be_started_harms_no_other(
    package: Path, tests: NodeTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_tests, "load_node_tests", lambda: NodeTests(tests.cases[:1], tests.total))
    monkeypatch.setattr("edgeworthy.pipeline.node_tests.worker.started", _started)
    found = node_tests(routes=["plain", "direct"])
    assert [bool(row.outcomes) for row in found.routes] == [False, True]
    assert "can't be started" in found.routes[0].cause and not found.routes[1].cause


def _started(info: Any, temporary: Path, **more: Any) -> Any:
    from edgeworthy.workers import function
    from edgeworthy.workers.child import Child

    python = ["/nowhere/python"] if info.name == "plain" else None
    return Child(function.__name__, 1 << 30, name=info.name, python=python, timeout_s=60)


def test_which_are_taken(tests: NodeTests) -> None:
    def names(*wanted: str, sample: int | None = None, seed: int = 0) -> list[str]:
        return [test.name for test in chosen(tests.cases, wanted, sample, seed)]

    assert names() == [test.name for test in tests.cases]
    assert names("test_add") == [test.name for test in tests.cases if "test_add" in test.name]
    assert names("test_ad[d]", "test_ab?") == ["test_abs", "test_add"]
    drawn = names(sample=60)
    assert len(drawn) == 60 and drawn == names(sample=60) == sorted(drawn) != names(sample=60, seed=1)
    assert names("test_abs", sample=60) == names("test_abs")
    with pytest.raises(BadInput, match=r"no node test of ONNX is called 'net\.py:make'") as caught:
        names("test_abs", "net.py:make")
    assert "give no model with it" in str(caught.value)


def test_routes_that_cannot_take_one(package: Path) -> None:
    with pytest.raises(BadInput, match="it starts from PyTorch"):
        node_tests(routes=["program"])
    with pytest.raises(NotAvailable, match="no_such_module is not installed"):
        node_tests(routes=["absent"])
    with pytest.raises(BadInput, match="did you mean 'plain'"):
        node_tests(routes=["plan"])


def test_an_onnx_without_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx.backend.test.loader", None)
    with pytest.raises(NotAvailable, match="brings no node tests") as caught:
        onnx_tests.load_node_tests()
    assert caught.value.exit_code == 3 and "pip install" in str(caught.value)


def test_the_command(tmp_path: Path) -> None:
    ran = edgeworthy("compare", "test_abs", "--onnx-tests", "--route", "direct", "-o", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert "direct  1 of 1   100%" in ran.stdout and "1 of the 1584 node tests" in ran.stdout
    shown = edgeworthy("compare", "--onnx-tests", "test_abs", "--route", "direct", "-o", tmp_path / "out", "--json")
    table = NodeTestTable.model_validate(json.loads(shown.stdout))
    assert statuses(table, "direct") == {"test_abs": "pass"}
    for arguments, said in (
        (("net.py:make", "--onnx-tests"), "give no model with it"),
        (("--onnx-tests", "--pick", "size"), "make no file to pick"),
        (("net.py:make", "--sample", "3"), "it goes with --onnx-tests"),
    ):
        ran = edgeworthy("compare", *arguments)
        assert ran.returncode == 2 and said in ran.stderr, ran.stderr
