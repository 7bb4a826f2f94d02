"""What the command line makes of a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edgeworthy.cli import views
from edgeworthy.cli.console import Console
from edgeworthy.pipeline.diagnosis import TargetState
from edgeworthy.validate import report as reports
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import Report
from edgeworthy.validate.summary import summarize


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


def test_a_target_that_was_asked_for_and_ran_nothing_is_not_there(report: Report) -> None:
    """A failure is told before it, and one that ran somewhere is there."""
    assert report.latency
    rows = report.latency.rows
    gone = rows[0].model_copy(update={"runtime": "ssh:pi@board", "status": "skipped", "failure": "it is off"})
    for more, asked, code in (
        ([gone], ["ssh:pi@board"], 3),
        ([gone], ["tflite"], 0),
        ([gone, gone.model_copy(update={"status": "pass"})], ["ssh:pi@board", "tflite"], 0),
    ):
        latency = report.latency.model_copy(update={"rows": [*rows, *more]})
        assert views.exit_code(report.model_copy(update={"latency": latency}), ("bench",), asked) == code
        failed = latency.model_copy(update={"status": "fail"})
        assert views.exit_code(report.model_copy(update={"latency": failed}), ("bench",), asked) == 1


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


def test_a_narrow_terminal_keeps_a_quantized_file_s_latency(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the samples are is said below the table as well, and the latency nowhere else."""
    assert report.parity
    found = report.parity.model_copy(
        update={"samples_are": "calibration", "inputs": "calibration samples", "hops": report.parity.hops[:2]}
    )
    single = report.model_copy(update={"fidelity": found, "parity": None, "latency": None, "accuracy": None})
    monkeypatch.setenv("COLUMNS", "60")
    text = printed(lambda console: views.report(console, single, tmp_path, whole=False))
    (head,) = [line for line in text.splitlines() if line.startswith("against")]
    assert "SQNR" in head and "latency" in head and "samples" not in head
    assert "calibration samples" in text and len(head) <= 60


@pytest.mark.parametrize("width", [100, 120, 140])
def test_targets_say_what_they_are_at_usual_widths(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Text goes on several lines before a column goes."""
    why = (
        "onnxruntime-gpu is not installed; pip install onnxruntime-gpu, on a machine with an NVIDIA GPU and its driver"
    )
    found = [
        TargetState(name="tflite", summary="TFLite with XNNPACK on the processor", version="2.1.2", available=True),
        TargetState(name="onnxruntime-cuda", summary="ONNX Runtime", version="1.2", available=False, why=why),
    ]
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(lambda console: views.targets(console, found))
    assert "what it is" in text and "2.1.2" in text and "no room" not in text
    assert max(map(len, text.splitlines())) <= width
    monkeypatch.setenv("COLUMNS", "72")
    narrow = printed(lambda console: views.targets(console, found))
    assert "for version)" in narrow, "what it is outlasts its version"


def test_the_kernels_that_make_the_noise_floor_have_a_row(report: Report) -> None:
    """As of a lone .tflite file, whose hops are all of one artifact and one runtime."""
    assert report.parity
    (hop,) = [h for h in report.parity.hops if h.artifact == "tflite_float32"]
    truth, builtin = (
        hop.model_copy(update={"name": f"{hop.name}, {kernels} kernels", "status": "reference"})
        for kernels in ("reference", "builtin")
    )
    parity = report.parity.model_copy(update={"hops": [truth, builtin, hop], "truth": truth.name})
    lone = report.model_copy(update={"parity": parity, "accuracy": None})
    rows = [row for row in summarize(lone) if row.hop]
    assert [(row.name, row.status) for row in rows] == [(builtin.name, "reference"), (hop.name, "pass")]
    assert [bool(row.latencies) for row in rows] == [False, True]
