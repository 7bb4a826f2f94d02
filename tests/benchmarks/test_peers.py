"""The page of all routes: counts, ratios, and where another is better."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.benchmarks import peers
from edgeworthy.validate import host
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
    ours = peers.summary("direct", FOUND)
    theirs = peers.summary("theirs", FOUND)
    assert ours == ["direct", "5 of 5", "5 of 5", *["–"] * 5]
    # 2/1, 2/8 and 1/0.9: the cube root of 0.5556 is 0.822; sizes 100/104 and 100/50: the root of 1.923 is 1.387
    assert theirs[:5] == ["theirs", "4 of 5", "3 of 5", "0.82", "1.39"]
    assert peers.ratio([(None, 1.0)]) is None


def test_where_another_is_better_its_interval_is_apart() -> None:
    assert peers.better(FOUND) == ["- one, theirs: latency ÷ 2.00", "- two, theirs: size ÷ 2.00"]


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "onnxruntime_ms", lambda folder: 4.0 if folder.name == "one" else None)
    tests = {"a": {"status": "pass"}, "b": {"status": "crash"}, "c": {"status": "pass"}}
    told = {"onnx": "1.0", "routes": {"theirs": tests}}
    page = peers.markdown(FOUND, {"six": "error: no"}, tmp_path, "python peers.py", "Loaded.", told)
    assert "| theirs | 2 of 3 | 67% | 1 |" in page and " Loaded." in page
    assert "Our file's latency ÷ ONNX Runtime's: 0.50 over 1 models." in page
    assert "- three, theirs: why" in page and "- six: error: no" in page
    assert "absent" not in page
