"""Counts and ratios of converters over many models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edgeworthy.validate import host
from edgeworthy.validate.route_summary import better, ratio, summaries
from edgeworthy.validate.routes import RouteComparison, RouteRow


def row(route: str, status: Any = "pass", **more: Any) -> RouteRow:
    figures: dict[str, Any] = (
        {"path": "x.tflite", "made_by": f"{route} 1"} if status in ("pass", "fail") else {"cause": "why"}
    )
    return RouteRow(route=route, status=status, **figures | more)


def comparison(*rows: RouteRow) -> RouteComparison:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return RouteComparison(edgeworthy="1", created=now, host=host.current(), source="a", rows=list(rows))


def times(middle: float, spread: float = 0.01) -> dict[str, float]:
    return {"p50_ms": middle, "p50_low_ms": middle - spread, "p50_high_ms": middle + spread}


FOUND = {
    "one": comparison(row("direct", **times(2.0), size_bytes=100), row("theirs", **times(1.0), size_bytes=104)),
    "two": comparison(row("direct", **times(2.0), size_bytes=100), row("theirs", **times(8.0), size_bytes=50)),
    "three": comparison(row("direct", **times(2.0)), row("theirs", "error"), row("absent", "skipped")),
    "four": comparison(row("direct", **times(1.0, 0.5)), row("theirs", **times(0.9, 0.5))),
    "five": comparison(row("direct", **times(2.0)), row("theirs", "fail", **times(0.1))),
}


def test_ratios_are_over_what_both_get_right() -> None:
    ours, theirs = summaries(FOUND)
    assert (ours.route, ours.models, ours.converted, ours.right, ours.ratios) == ("direct", 5, 5, 5, {})
    assert (theirs.route, theirs.models, theirs.converted, theirs.right) == ("theirs", 5, 4, 3)
    # 2/1, 2/8 and 1/0.9: the cube root of 0.5556 is 0.822; sizes 100/104 and 100/50: the root of 1.923 is 1.387
    assert theirs.ratios == {"latency": pytest.approx(0.822, abs=1e-3), "size": pytest.approx(1.387, abs=1e-3)}
    assert ratio([(None, 1.0)]) is None


def test_the_cost_is_processor_time_which_others_at_work_dont_change() -> None:
    rows = {"a": comparison(row("direct", seconds=2.0, cpu_seconds=1.0), row("theirs", seconds=2.0, cpu_seconds=4.0))}
    assert summaries(rows)[1].ratios == {"CPU": 0.25}


def test_where_another_is_better_its_interval_is_apart() -> None:
    assert better(FOUND) == ["one, theirs: latency ÷ 2.00", "two, theirs: size ÷ 2.00"]
