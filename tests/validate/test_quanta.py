"""Quantized outputs counted in steps of their scale: who is held to the same bits, to one step, and to how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from edgeworthy.errors import NotAvailable
from edgeworthy.validate import parity, remedies
from edgeworthy.validate.host import current
from edgeworthy.validate.made import ModelInfo
from edgeworthy.validate.quanta import quanta
from edgeworthy.validate.report import html, markdown
from edgeworthy.validate.results import Hop, ParityResult, Report
from edgeworthy.validate.runners import OutputGrid, Subject
from edgeworthy.validate.summary import glance, summarize

from .numpy_runner import NumpyRunner, subject

STEP = 0.25
SAMPLES = [{"x": np.random.default_rng(i).uniform(-30, 30, (2, 16)).astype(np.float32)} for i in range(3)]
INT8 = "static_wi8_ai8"


def on_grid(feeds: Mapping[str, Any], off: float = 0, at: int = 5) -> dict[str, Any]:
    """The values on the grid, one of them ``off`` steps away; where it would leave int8's range, to the other side."""
    steps = np.clip(np.rint(feeds["x"] / STEP), -128, 127)
    steps[0, at] += off if steps[0, at] < 0 else -off
    return {"y": (steps * STEP).astype(np.float32)}


def run(name: str, off: float, kernels: str, **more: Any) -> Subject:
    runner = NumpyRunner(lambda feeds: on_grid(feeds, off), kernels=kernels)
    return subject(name, runner.function, runner=runner, scheme=INT8, artifact="tflite", **more)


TRUTH = subject("PyTorch", lambda feeds: {"y": feeds["x"]}, runtime="pytorch")
USUAL = run("TFLite int8", 0, "XNNPACK", runtime="tflite")
REFERENCE = run("TFLite reference int8", 1, "TFLite reference", runtime="tflite,kernels=reference")


def measured(off: float, kernels: str, *, apart: float = 1, usual: Subject = USUAL, **more: Any) -> ParityResult:
    """A row ``off`` steps from the usual kernels, where TFLite's own are ``apart`` from each other."""
    other = replace(run(REFERENCE.name, apart, "TFLite reference"), runtime=REFERENCE.runtime)
    grid = OutputGrid({"y": STEP}, usual, {"TFLite reference": other})
    row = replace(run("the row", off, kernels, runtime="board"), grid=grid, **more)
    plans = [parity.Plan(TRUTH, TRUTH, TRUTH, parity.PYTORCH)]
    return parity.measure([usual, row], SAMPLES, plans=plans)


def row(result: ParityResult) -> Hop:
    found = result.hop("the row")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("off", "kernels", "apart", "status", "limit"),
    [
        (0, "XNNPACK", 1, "pass", 0),
        (1, "XNNPACK", 40, "fail", 0),
        (1, "OpenVINO", 0, "pass", 1),
        (2, "OpenVINO", 0, "fail", 1),
        (2, "OpenVINO", 1, "pass", 2),
        (3, "OpenVINO", 1, "fail", 2),
        (40, "OpenVINO", 20, "pass", 40),
        (0.5, "GPU", 0, "pass", 1),
        (3, "TFLite reference", 3, "pass", 0),
        (3, "TFLite reference", 1, "fail", 0),
    ],
)
def test_one_family_gives_the_same_bits_and_another_is_as_far_off_as_families_are(
    off: float, kernels: str, apart: float, status: str, limit: float
) -> None:
    result = measured(off, kernels, apart=apart)
    hop, output = row(result), row(result).outputs[0]
    alike = kernels == "TFLite reference"
    assert (hop.status, output.passed, result.status) == (status, status == "pass", status)
    assert output.quanta_limit == limit
    assert output.quanta == (abs(off - apart) if alike else off)
    assert hop.counted_from == (REFERENCE.name if alike else USUAL.name)
    assert output.vs_truth and output.vs_truth.sqnr_db and output.vs_truth.sqnr_db > 15  # that rule alone lets all pass
    if status == "fail":
        assert "quant" in hop.reason and output.limit.startswith("SQNR at least 15 dB, and ")
        assert hop.remedy == (remedies.SAME_KERNELS if limit == 0 else remedies.OTHER_KERNELS)


def test_what_is_off_by_more_than_one_and_passes_is_noted() -> None:
    assert measured(1, "OpenVINO").notes == []
    (note,) = measured(2, "OpenVINO").notes
    assert note == (
        "the row: y is 2 quanta off TFLite int8; TFLite's own kernels are 1 quantum apart on the same inputs"
    )


def test_the_other_kernels_run_only_where_they_are_needed() -> None:
    runs: list[str] = []

    class Counting(NumpyRunner):
        def run(self, feeds: Any) -> dict[str, Any]:
            runs.append("reference")
            return super().run(feeds)

    runner = Counting(lambda feeds: on_grid(feeds, 1), kernels="TFLite reference")
    other = subject(REFERENCE.name, runner.function, runner=runner, scheme=INT8)
    grid = OutputGrid({"y": STEP}, USUAL, {"TFLite reference": other})
    for off, times in ((1, 0), (2, len(SAMPLES) + 1)):  # the first sample again, to see whether it is steady
        runs.clear()
        hop = replace(run("the row", off, "OpenVINO", runtime="board"), grid=grid)
        parity.measure([USUAL, hop, replace(hop, name="again")], SAMPLES, plans=[])
        assert len(runs) == times


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"usual": subject(USUAL.name, on_grid, error=NotAvailable("LiteRT is not here"))}, "the usual kernels fail"),
        ({"permute_outputs": {"y": (1, 0)}}, "another shape"),
    ],
)
def test_nothing_is_counted_where_there_is_nothing_to_count_from(change: dict[str, Any], why: str) -> None:
    output = row(measured(7, "OpenVINO", **change)).outputs[0]
    assert output.quanta is output.quanta_limit is None, why


def test_an_output_without_a_grid_and_the_usual_row_have_no_count() -> None:
    result = measured(0, "OpenVINO")
    usual = result.hop(USUAL.name)
    assert usual and usual.outputs[0].quanta is None and usual.counted_from is None
    floats = replace(run("the row", 3, "OpenVINO"), grid=OutputGrid({}, USUAL, {}))
    assert row(parity.measure([USUAL, floats], SAMPLES, plans=[])).outputs[0].quanta is None


def test_quanta_are_of_the_worst_element_of_all_samples() -> None:
    zeros = np.zeros((1, 4), np.float32)
    assert quanta([zeros, zeros], [zeros, zeros], STEP) == 0
    assert quanta([zeros, zeros + np.float32([0, -3 * STEP, STEP, 0])], [zeros, zeros], STEP) == 3
    near = np.float32(32767) * np.float32(3e-5)  # int16's largest value, and its neighbour among floats
    assert quanta([np.array(near + np.spacing(near))], [np.array(near)], 3e-5) == 0
    assert quanta([np.array([-128, 5], np.int8)], [np.array([127, 5], np.int8)], STEP) == 255
    assert quanta([np.array([np.inf, 1])], [np.array([np.inf, 1])], STEP) == 0
    assert quanta([np.zeros((0, 3), np.float32)], [np.zeros((0, 3), np.float32)], STEP) == 0


def test_reports_show_them() -> None:
    result = measured(2, "OpenVINO")
    report = Report(
        edgeworthy="0",
        created=datetime.now(UTC),
        host=current(),
        model=ModelInfo(spec="net", kind="module", inputs=[]),
        parity=result,
    )
    (column,) = (c for c in glance(report) if c.title == "quanta")
    cells = {r.name: column.text(r) for r in summarize(report)}
    assert cells[USUAL.name] == "–" and cells["the row"] == "2"
    assert "| the row | OpenVINO | y | TFLite int8 | 2 | 2 |" in markdown(report)
    assert "1 quantum apart" in markdown(report) and "1 quantum apart" in html(report)
    plain = report.model_copy(update={"parity": parity.measure([USUAL], SAMPLES, plans=[])})
    assert not any(c.title == "quanta" for c in glance(plain)) and "Quanta" not in markdown(plain) + html(plain)
