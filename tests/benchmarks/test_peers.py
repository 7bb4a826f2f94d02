"""The page of all routes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeworthy.benchmarks import peers
from edgeworthy.fleet.compared import ComparisonReport
from edgeworthy.fleet.comparing import ComparisonResult
from edgeworthy.fleet.jobs import Attempt
from edgeworthy.tests.validate.test_route_summary import FOUND
from edgeworthy.validate import host
from edgeworthy.validate.node_tests import NodeTestOutcome, NodeTestTable, RouteTests
from edgeworthy.validate.route_summary import summaries


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "onnxruntime_ms", lambda folder: 4.0 if folder.name == "one" else None)
    tests = {"a": NodeTestOutcome("pass"), "b": NodeTestOutcome("crash"), "c": NodeTestOutcome("pass")}
    theirs = RouteTests(route="theirs", outcomes=tests)
    told = NodeTestTable(
        edgeworthy="1", created=datetime(2026, 1, 1, tzinfo=UTC), onnx="1.0", total=9, chosen=3, routes=[theirs]
    )
    results = [ComparisonResult(model=m, status="pass", attempts=[], source=m, found=one) for m, one in FOUND.items()]
    gone = Attempt(status="fail", cause="no such model\n  fix: no", seconds=1.0)
    results.append(ComparisonResult(model="six", status="fail", attempts=[gone], source="six"))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    report = ComparisonReport(
        edgeworthy="1", created=now, executor="local", host=host.current(), models=[*FOUND, "six"], results=results,
        routes=summaries(FOUND),
    )  # fmt: skip
    page = peers.markdown(report, tmp_path, "python peers.py", "Loaded.", told)
    assert "| theirs | 2 of 3 | 67% | 1 |" in page and " Loaded." in page
    assert "| theirs | 4 of 5 | 3 of 5 | 0.82 | 1.39 | – | – | – | – |" in page
    assert "Our file's latency ÷ ONNX Runtime's: 0.50 over 1 models." in page
    assert "- three, theirs: why" in page and "- six: no such model\n" in page
    assert "- one, theirs: latency ÷ 2.00" in page and "absent" not in page
