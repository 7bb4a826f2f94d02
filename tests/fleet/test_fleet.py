from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeworthy.errors import BadInput, RuntimeFailure
from edgeworthy.fleet.jobs import carry_out
from edgeworthy.fleet.plan import Device, FleetPlan, read_plan
from edgeworthy.fleet.report import FleetReport
from edgeworthy.fleet.run import run_fleet
from edgeworthy.fleet.timing import TimingJob
from edgeworthy.validate.results import Report

DEVICES = """
retries = 0
[[device]]
name = "laptop"
target = "tflite"
threads = [1, 2]
seconds = 0.05
[[device]]
name = "reference"
target = "tflite,kernels=reference"
seconds = 0.05
[[device]]
name = "graph"
target = "onnxruntime"
seconds = 0.05
"""


def plan_of(folder: Path, *sources: Path, text: str = DEVICES) -> FleetPlan:
    (folder / "devices.toml").write_text(text)
    return read_plan(folder / "devices.toml", map(str, sources))


@pytest.fixture(scope="module")
def timed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FleetReport, FleetPlan, Path]:
    """Two models and a broken file on three devices."""
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "broken.tflite").write_bytes(b"TFL3 this is none")
    plan = plan_of(folder, models, folder / "broken.tflite")
    return run_fleet(plan, folder / "out"), plan, folder / "out"


def test_every_model_is_timed_wherever_it_runs(timed: tuple[FleetReport, FleetPlan, Path]) -> None:
    report, _, _ = timed
    assert [(r.model, r.file, r.device.name, r.status) for r in report.results] == [
        (model, file, device, "pass")
        for model in ("abs", "relu")
        for file, device in (
            ("model_float32.tflite", "laptop"),
            ("model_float32.tflite", "reference"),
            (f"{model}.onnx", "graph"),
        )
    ]
    assert all(row.p50_ms and row.p50_ms > 0 for result in report.results for row in result.rows)
    first = report.results[0]
    assert [row.threads for row in first.rows] == [1, 2] and first.measured == "host"
    assert "× 2 thr." in report.cell(("abs", "model_float32.tflite"), report.devices[0])
    assert report.cell(("abs", "abs.onnx"), report.devices[0]) == "–"


def test_a_model_that_cant_be_read_fails_alone(timed: tuple[FleetReport, FleetPlan, Path]) -> None:
    report, _, output = timed
    assert list(report.failures) == ["broken"] and report.exit_code == 1
    assert report.troubles and report.troubles[0].startswith("broken: ")
    assert "broken" in (output / "fleet.md").read_text() and "broken" in (output / "fleet.html").read_text()


def test_a_second_run_goes_on_where_the_first_stopped(timed: tuple[FleetReport, FleetPlan, Path], models: Path) -> None:
    report, plan, output = timed
    path = output / "fleet.json"
    cut = report.model_copy(update={"results": report.results[:2], "finished": None})
    path.write_text(cut.model_dump_json())
    again = run_fleet(plan, output)
    assert again.results[:2] == report.results[:2]  # taken over, times and all
    assert [r.key for r in again.results] == [r.key for r in report.results]
    assert again.results[2].rows[0].p50_ms != report.results[2].rows[0].p50_ms
    assert run_fleet(plan, output).results == again.results
    assert run_fleet(plan, output, reuse=False).results != again.results


def test_pages_of_others_are_not_overwritten(models: Path, tmp_path: Path) -> None:
    plan, output = plan_of(tmp_path, models / "abs.onnx"), tmp_path / "out"
    output.mkdir()
    for name in ("fleet.json", "fleet.html"):
        (output / name).write_text("mine")
        with pytest.raises(BadInput, match="didn't make this file"):
            run_fleet(plan, output)
        assert (output / name).read_text() == "mine" and not (output / "models").exists()
        (output / name).unlink()


def test_a_job_that_takes_too_long_is_a_failure_of_its_own(models: Path, tmp_path: Path) -> None:
    text = "timeout_s = 0.2\nretries = 1\n" + DEVICES.replace("retries = 0", "")
    report = run_fleet(plan_of(tmp_path, models / "abs.onnx", text=text), tmp_path / "out")
    assert {r.status for r in report.results} == {"fail"}
    assert all(len(r.attempts) == 2 and "timeout" in r.cause for r in report.results)


def test_a_failure_that_passes_the_next_time_is_told(tmp_path: Path, models: Path) -> None:
    from edgeworthy.pipeline.verbs import bench

    job = TimingJob("abs", models / "abs.onnx", "0", Device(name="phone", target="onnxruntime"))
    passing = bench(job.file, tmp_path / "out", targets=["onnxruntime"], bench={"seconds": 0.05})
    answers: Iterator[Report | Exception] = iter([RuntimeFailure("the cable came off"), passing])

    def ask() -> Report:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    result = carry_out(job, retries=1, timeout_s=1, ask=ask)
    assert result.status == "pass" and [a.cause for a in result.attempts] == ["the cable came off", ""]
    answers = iter([BadInput("it is no model"), passing])
    assert [a.cause for a in carry_out(job, retries=3, timeout_s=1, ask=ask).attempts] == ["it is no model"]


def test_a_device_that_turns_out_to_be_an_emulator_is_told(tmp_path: Path, models: Path) -> None:
    from edgeworthy.pipeline.verbs import bench

    job = TimingJob("abs", models / "abs.onnx", "0", Device(name="board", target="ssh:pi@board"))
    report = bench(job.file, tmp_path / "out", targets=["onnxruntime"], bench={"seconds": 0.05})
    assert report.latency is not None
    rows = [row.model_copy(update={"measured": "emulated"}) for row in report.latency.rows]
    emulated = report.model_copy(update={"latency": report.latency.model_copy(update={"rows": rows})})
    assert job.device.measured == "device"
    assert carry_out(job, retries=0, timeout_s=1, ask=lambda: emulated).measured == "emulated"


def edgeworthy(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeworthy", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_command(models: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(DEVICES)
    command = ["bench", models / "abs.onnx", "--devices", tmp_path / "devices.toml"]
    ran = edgeworthy(*command, "-o", tmp_path / "out", "--json")
    shown = FleetReport.model_validate(json.loads(ran.stdout))
    assert ran.returncode == 0 and len(shown.results) == 3
    for more, said in ((["--target", "tflite"], "--target doesn't go with"), ([], "no folder for the results")):
        refused = edgeworthy(*command, *more)
        assert refused.returncode == 2 and said in refused.stderr
