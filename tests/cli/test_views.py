"""What the command line makes of a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edgeworthy.cli import views
from edgeworthy.cli.console import Console
from edgeworthy.validate import report as reports
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import Report


@pytest.mark.parametrize(
    ("failing", "stages", "code"),
    [
        ("parity", ("validate",), 1),
        ("accuracy", ("validate",), 1),
        ("latency", ("bench",), 1),
        ("parity", ("bench",), 0),
        ("latency", ("validate",), 0),
        (None, ("validate", "bench"), 0),
    ],
)
def test_a_command_answers_for_its_own_stages(
    report: Report, failing: str | None, stages: tuple[str, ...], code: int
) -> None:
    """What an earlier command measured on the same files is in the report, but doesn't fail this one."""
    if failing:
        bad = getattr(report, failing).model_copy(update={"status": "fail"})
        report = report.model_copy(update={failing: bad})
    assert views.exit_code(report, stages) == code


def test_every_number_of_threads_has_its_columns(report: Report, tmp_path: Path) -> None:
    assert report.latency
    rows = report.latency.rows
    twice = [r.model_copy(update={"threads": 2, "p50_ms": 0.777}) for r in rows]
    latency = report.latency.model_copy(update={"rows": [*rows, *twice]})
    for measured, columns in ((report.latency, ("latency",)), (latency, ("1 thr.", "2 thr.", "777 µs"))):
        console, stream = Console(), io.StringIO()
        console._stdout = stream
        views.report(console, report.model_copy(update={"latency": measured}), tmp_path, whole=False)
        for text in columns:
            assert text in stream.getvalue()


def printed(show: Callable[[Console], object]) -> str:
    console, stream = Console(), io.StringIO()
    console._stdout = stream
    show(console)
    return stream.getvalue()


def test_notes_of_quantization_are_shown_and_written(report: Report, tmp_path: Path) -> None:
    noted = report.quantization[0].model_copy(update={"notes": ["nothing in the file is float16"]})
    told = report.model_copy(update={"quantization": [noted, *report.quantization[1:]]})
    for whole in (True, False):
        text = printed(partial(views.report, shown=told, folder=tmp_path, whole=whole))
        assert f"· {noted.scheme}: nothing in the file is float16\n" in text
    assert f"\n- {noted.scheme}: nothing in the file is float16\n" in reports.markdown(told)
    assert "nothing in the file is float16" in reports.html(told)


def test_what_fails_says_what_to_do(report: Report, tmp_path: Path) -> None:
    assert report.parity
    bad = report.parity.hops[-1].model_copy(update={"status": "fail", "reason": "y: 3 dB", "remedy": "calibrate more"})
    parity = report.parity.model_copy(update={"hops": [*report.parity.hops[:-1], bad]})
    single = report.model_copy(update={"parity": parity, "gate": None})
    told = "✗ TFLite int8: y: 3 dB\n  fix: calibrate more\n"
    assert told in printed(lambda console: views.report(console, single, tmp_path, whole=False))
    fidelity = report.model_copy(update={"fidelity": parity, "parity": None, "latency": None, "accuracy": None})
    assert told in printed(lambda console: views.report(console, fidelity, tmp_path, whole=False))
    verdict = evaluate(single)
    assert "✗ parity: TFLite int8: y: 3 dB\n  fix: calibrate more\n" in printed(lambda c: views.gate(c, verdict))
