"""The page of all routes, and its two phases: files first, latencies later."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.benchmarks import peers, peers_reasons
from edgeworthy.benchmarks.architectures import timm_nets
from edgeworthy.benchmarks.peers_page import markdown, where_slower
from edgeworthy.fleet.compared import ComparisonReport
from edgeworthy.fleet.comparing import ComparisonResult
from edgeworthy.fleet.jobs import Attempt
from edgeworthy.pipeline.progress import Silent
from edgeworthy.tests.validate.test_route_summary import FOUND
from edgeworthy.validate import host
from edgeworthy.validate.node_tests import NodeTestOutcome, NodeTestTable, RouteTests
from edgeworthy.validate.results import LatencyResult, LatencyRow
from edgeworthy.validate.route_summary import better, summaries
from edgeworthy.validate.routes import RouteComparison, RouteRow

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


def rows_of(page: str) -> dict[str, RouteComparison]:
    """The table of every model, read back."""
    units = {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

    def number(text: str) -> float | None:
        value, _, unit = text.partition(" ")
        return None if value == "–" else float(value) * units[unit]

    found: dict[str, list[RouteRow]] = {}
    for line in page.partition("## Every model")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in ("model", ":--") and len(cells) == 12:
            model, route, status, _, _, latency, size, *counts, _, _ = cells
            operators, transposes, partitions = (None if count == "–" else int(count) for count in counts)
            known: dict[str, Any] = {"operators": operators, "transposes": transposes, "partitions": partitions}
            known |= {"p50_ms": number(latency), "size_bytes": int(number(size) or 0) or None}
            row = RouteRow.model_validate({"route": route, "status": status, **known})
            found.setdefault(model, []).append(row)
    one = FOUND["one"]
    return {model: one.model_copy(update={"rows": rows}) for model, rows in found.items()}


def test_the_reasons_are_borne_out_by_the_page() -> None:
    """Read back from the page that is published: no entry is stale, all are in their lines there, and in no other."""
    page = (Path(peers.__file__).parents[1] / "docs/routes.md").read_text(encoding="utf-8")
    found, (table, _) = rows_of(page), peers_reasons.load()
    assert len(found) > 30
    said, stale = peers_reasons.reasons(found, table)
    assert stale == [] and len(said) == sum(len(reason.models) for reason in table)
    section = page.partition("## Where another is better")[2].partition("\n## ")[0]
    shown = dict(line[2:].split(" — ") for line in section.splitlines() if " — " in line)
    there = dict(line.split(" — ") for line in better(found, said) if " — " in line)
    heads = {head.partition(":")[0]: why for head, why in shown.items()}
    assert heads == {head.partition(":")[0]: why for head, why in there.items()}
    assert heads["starnet, tf"].startswith("ours is in more operators that take less time")


def test_where_onnxruntime_is_faster_the_form_of_its_reason_is_slower() -> None:
    """By the published pages: the models of the one, and the forms' figures of the other."""
    folder = Path(peers.__file__).parents[1] / "docs"
    page, kernels = ((folder / name).read_text(encoding="utf-8") for name in ("routes.md", "kernels.md"))
    times = page.partition("## Latency, ours ÷ theirs")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in times.splitlines() if line[:2] == "| "]
    quotients = {row[0]: float(row[-1]) for row in rows if row[1] not in ("ours", ":--", "--:", "")}
    _, table = peers_reasons.load()
    said, stale = peers_reasons.slower(quotients, table)
    assert stale == [] and said.keys() == {model for slow in table for model in slow.models} and len(quotients) > 30
    for slow in table:
        (row,) = [line for line in kernels.splitlines() if line.startswith(f"| {slow.form} |")]
        assert float(row.split("|")[3]) > peers_reasons.SLOWER
    assert "\n".join(where_slower(quotients, said)) in page


def test_a_model_that_onnxruntime_is_faster_on_needs_a_reason() -> None:
    slow = peers_reasons.SlowForm(["a", "b", "elsewhere"], "a form", "so")
    said, stale = peers_reasons.slower({"a": 1.4, "b": 1.2, "c": 1.5, "d": 0.5}, [slow])
    assert said == {"a": "a form: so"}
    assert stale == ["b, onnxruntime: it is at 1.20 of its time now", "c, onnxruntime: 1.50 without a reason"]


def test_a_reason_that_does_not_hold_is_told() -> None:
    """`one` is better by its latency: 1 ms for 2; not by its size, and its operators are no fewer."""

    def of(figure: str, models: tuple[str, ...] = ("one",), **fact: str) -> tuple[dict[Any, str], list[str]]:
        return peers_reasons.reasons(FOUND, [peers_reasons.Reason("theirs", models, figure, "{ours} {theirs}", **fact)])

    assert of("latency", theirs_less="latency") == ({("one", "theirs", "latency"): "2.00 ms 1.00 ms"}, [])
    assert of("latency", ours_less="latency") == ({}, ["one, theirs, latency: its latency doesn't bear the reason out"])
    assert of("size", theirs_less="latency") == ({}, ["one, theirs, size: it isn't better any more"])
    assert of("latency", ("two",), theirs_less="latency")[1] == ["two, theirs, latency: it isn't better any more"]
    assert of("latency", ("gone",), theirs_less="latency") == ({}, [])
    # A file that is as fast with as many as ours refutes that fewer are the reason.
    us, them = FOUND["one"].rows
    us, them = (r.model_copy(update={"partitions": n, "status": "pass"}) for r, n in ((us, 3), (them, 1)))
    reason = peers_reasons.Reason("theirs", ("one",), "latency", "{theirs} for {ours}", theirs_less="partitions")
    assert reason.said(us, them, [us, them]) == "1 for 3"
    assert reason.said(us, them, [us, them, them.model_copy(update={"route": "third", "partitions": 3})]) == ""
    for wrong in ({}, {"theirs_less": "latency", "ours_less": "latency"}, {"ours_less": "beauty"}):
        with pytest.raises(ValueError, match="one number bears it out"):
            of("latency", **wrong)


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
