"""The page of all routes, and its two phases: files first, latencies later."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeworthy.benchmarks import peers
from edgeworthy.benchmarks.architectures import timm_nets
from edgeworthy.benchmarks.peers_page import markdown
from edgeworthy.fleet.compared import ComparisonReport
from edgeworthy.fleet.comparing import ComparisonResult
from edgeworthy.fleet.jobs import Attempt
from edgeworthy.pipeline.progress import Silent
from edgeworthy.tests.validate.test_route_summary import FOUND
from edgeworthy.validate import host
from edgeworthy.validate.node_tests import NodeTestOutcome, NodeTestTable, RouteTests
from edgeworthy.validate.results import LatencyResult, LatencyRow
from edgeworthy.validate.route_summary import summaries

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def onnxruntime(milliseconds: float) -> LatencyResult:
    row = LatencyRow(name="ONNX Runtime", runtime="onnxruntime", threads=1, status="pass", p50_ms=milliseconds)
    return LatencyResult(status="pass", rows=[row], baseline=None, seconds_per_row=1.0, total_seconds=1.0)


def test_the_page() -> None:
    tests = {"a": NodeTestOutcome("pass"), "b": NodeTestOutcome("crash"), "c": NodeTestOutcome("pass")}
    theirs = RouteTests(route="theirs", outcomes=tests)
    told = NodeTestTable(edgeworthy="1", created=NOW, onnx="1.0", total=9, chosen=3, routes=[theirs])
    found = dict(FOUND)
    row = found["one"].rows[1].model_copy(update={"int8_cause": "no kernel"})
    found["one"] = found["one"].model_copy(update={"rows": [found["one"].rows[0], row]})
    results = [ComparisonResult(model=m, status="pass", attempts=[], source=m, found=one) for m, one in found.items()]
    gone = Attempt(status="fail", cause="no such model\n  fix: no", seconds=1.0)
    results.append(ComparisonResult(model="six", status="fail", attempts=[gone], source="six"))
    report = ComparisonReport(
        edgeworthy="1", created=NOW, executor="local", host=host.current(), models=[*found, "six"], results=results,
        routes=summaries(found),
    )  # fmt: skip
    page = markdown(report, {"one": onnxruntime(4.0), "two": onnxruntime(1.0)}, "python peers.py", "Loaded.", told)
    assert "| theirs | 2 of 3 | 67% | 1 |" in page and " Loaded." in page
    assert "| theirs | 4 of 5 | 3 of 5 | 0.82 | 1.39 | – | – | – |" in page
    # one: 2 ms against 1 and ONNX Runtime's 4; two: 2 against 8 and 1; a file that fails is no measure
    assert "| model | ours | theirs | best of them | ONNX Runtime |\n| :-- | --: | --: | --: | --: |" in page
    assert "| geometric mean |  | 0.82 | 0.82 | 1.00 |" in page
    assert "| worst |  | 2.00 one | 2.00 one | 2.00 two |" in page
    assert "| two | 2.00 ms | 0.25 | 0.25 | 2.00 |" in page and "| five | 2.00 ms | – | – | – |" in page
    assert "- three, theirs: why" in page and "- six: no such model\n" in page
    assert "- theirs has none of one: no kernel" in page
    assert "- one, theirs: latency ÷ 2.00" in page and "absent" not in page


def test_files_first_and_latencies_later(tmp_path: Path) -> None:
    made = peers.convert(tmp_path, ["mlp"], ["direct"], reuse=True, progress=Silent())
    (row,) = made.found["mlp"].rows
    assert (row.status, row.p50_ms) == ("pass", None) and row.int8_sqnr_db and row.int8_sqnr_db > 15
    folder = tmp_path / "mlp"
    timed = peers.time_files(made.found["mlp"], folder, 0.05, reuse=True, progress=Silent())
    assert [(r.runtime, r.artifact, r.status) for r in timed.rows] == [
        ("onnxruntime", "onnx", "pass"), ("tflite", "route:direct", "pass"),
    ]  # fmt: skip
    assert peers.time_files(made.found["mlp"], folder, 0.05, reuse=True, progress=Silent()) == timed
    (shown,) = peers.with_times(made, {"mlp": timed}).found["mlp"].rows
    assert shown.p50_ms == timed.rows[1].p50_ms and shown.partitions == 1
    assert not peers.outdated(made, tmp_path, ["direct"]) and peers.outdated(made, tmp_path, ["tf"]) == ["mlp"]
    again = peers.convert(tmp_path, ["mlp"], ["direct"], reuse=True, progress=Silent())
    assert [result.taken_over for result in again.results] == [True]


def test_the_networks_of_timm() -> None:
    """All take an input by the name that timm's own code has for it."""
    pytest.importorskip("timm")
    for name, one in timm_nets.ARCHITECTURES.items():
        module = one.module()
        assert next(iter(inspect.signature(module.forward).parameters)) == "x", name
        assert module(*module.example_inputs.values()).std() > 0.1, name
