"""`compare` and `bench` over many models on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeworthy.errors import BadInput
from edgeworthy.fleet.compared import ComparisonReport, compare_all
from edgeworthy.fleet.plan import SourceList, configured, lists_models, on_targets, read_sources
from edgeworthy.fleet.report import FleetReport
from edgeworthy.fleet.run import run_fleet
from edgeworthy.fleet.timing import TimingResult
from edgeworthy.pipeline.cache import Workspace
from edgeworthy.pipeline.state import FOLDER as STATE
from edgeworthy.settings import load_config
from edgeworthy.validate.routes import RouteComparison

from .conftest import save_model

TABLES = {"targets": ["onnxruntime", "tflite"], "bench": {"seconds": 0.05}}


def compared(sources: SourceList, out: Path, **options: object) -> ComparisonReport:
    configs = {model.name: configured(model, out / model.name, TABLES) for model in sources.model}
    return compare_all(sources, configs, out, routes=["direct"], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, a broken one, and a file that is no model."""
    made = tmp_path_factory.mktemp("many")
    for path in models.iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    (made / "broken.onnx").write_bytes(b"no model")
    (made / "notes.txt").write_text("no model either")
    return made


def test_one_report_and_the_next_run_goes_on_from_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = compared(read_sources(str(folder)), out, pick="size")
    assert [(r.model, r.status, r.taken_over) for r in report.results] == [
        ("abs", "pass", False), ("broken", "fail", False), ("relu", "pass", False),
    ]  # fmt: skip
    assert report.exit_code == 1 and report.finished and "broken: " in report.troubles[0]
    assert "fix: export the model again" in report.troubles[0], "what to do is said, not the cause alone"
    for name in ("compare.md", "compare.html"):
        assert "fix: export the model again" in (out / name).read_text()
    (ours,) = report.routes
    assert (ours.route, ours.models, ours.converted, ours.right) == ("direct", 2, 2, 2)
    for name in ("abs", "relu"):
        one = RouteComparison.model_validate_json((out / name / "compare.json").read_bytes())
        assert one == report.found[name] and one.picked == "direct" and one.digest
        assert (out / name / "picked.tflite").read_bytes() == (out / name / "route_direct.tflite").read_bytes()
        assert (
            name in (out / "compare.md").read_text()
            and f'href="{name}/compare.html"' in (out / "compare.html").read_text()
        )
    assert ComparisonReport.model_validate_json((out / "compare.json").read_bytes()) == report
    (out / "relu/picked.tflite").unlink()
    save_model(folder / "abs.onnx", "Neg", [1, 4])
    again = compared(read_sources(str(folder)), out, pick="size")
    assert {r.model: r.taken_over for r in again.results} == {"abs": False, "broken": False, "relu": False}
    assert again.found["abs"].rows[0].sha256 != report.found["abs"].rows[0].sha256
    last = compared(read_sources(str(folder)), out, pick="size")
    assert [r.taken_over for r in last.results] == [True, False, True] and last.found == again.found


def test_what_is_not_ours_stays(folder: Path, tmp_path: Path) -> None:
    sources, out = read_sources(str(folder)), tmp_path / "out"
    out.mkdir()
    (out / "compare.html").write_text("mine")
    with pytest.raises(BadInput, match="didn't make this file"):
        compared(sources, out)
    assert (out / "compare.html").read_text() == "mine" and not (out / "abs").exists()
    (out / "compare.html").unlink()
    for name in ("abs", "relu"):
        (out / name).mkdir()
        (out / name / "compare.json").write_text("mine")
    report = compared(sources, out)
    assert {r.status for r in report.results} == {"fail"} and "isn't edgeworthy's" in report.results[0].cause
    assert (out / "abs/compare.json").read_text() == "mine"


@pytest.mark.parametrize("what", ["compare", "bench"])
def test_two_at_once_in_one_folder_are_refused(models: Path, tmp_path: Path, what: str) -> None:
    with Workspace(tmp_path), pytest.raises(BadInput, match="another run is writing to this folder") as refused:
        if what == "compare":
            compared(read_sources(str(models)), tmp_path)
        else:
            run_fleet(on_targets(read_sources(str(models)), load_config(None, TABLES)), tmp_path)
    assert refused.value.where == str(tmp_path) and not list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes_even_where_all_is_taken_over(models: Path, tmp_path: Path) -> None:
    compared(read_sources(str(models)), tmp_path)
    left = tmp_path / "abs" / STATE / ".route.x.part"
    (left / "onnx2tf").mkdir(parents=True)
    again = compared(read_sources(str(models)), tmp_path)
    assert all(result.taken_over for result in again.results) and not left.exists()


def test_a_converter_that_could_not_work_then_is_asked_again(models: Path, tmp_path: Path) -> None:
    """A kit that was damaged, say, and is rebuilt; one that takes no such source stays skipped."""
    found = compared(read_sources(str(models)), tmp_path).found["abs"]
    (ours,) = found.rows
    for skipped, taken_over in ((ours.model_copy(update={"route": "absent", "status": "skipped"}), True),
                                (ours.model_copy(update={"status": "skipped"}), False)):  # fmt: skip
        before = found.model_copy(update={"rows": [ours, skipped]})
        (tmp_path / "abs/compare.json").write_text(before.model_dump_json())
        again = {result.model: result for result in compared(read_sources(str(models)), tmp_path).results}
        assert again["abs"].taken_over == taken_over


def test_a_model_that_takes_too_long_fails_alone(folder: Path, tmp_path: Path) -> None:
    sources = read_sources(str(folder)).model_copy(update={"timeout_s": 0.3})
    report = compared(sources, tmp_path / "out")
    assert {r.status for r in report.results} == {"fail"} and "(timeout)" in report.results[0].cause
    assert json.loads((tmp_path / "out/compare.json").read_text())["finished"]


def test_what_is_many(tmp_path: Path, models: Path) -> None:
    lists = {"many.toml": '[[model]]\nsource = "abs.onnx"\n', "one.toml": '[model]\nsource = "abs.onnx"\n'}
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").touch()
    many = {name: lists_models(str(tmp_path / name)) for name in (*lists, "saved", "none.toml", ".")}
    assert many == {"many.toml": True, "one.toml": False, "saved": False, "none.toml": False, ".": True}
    assert not lists_models(None) and not lists_models("sample:digits_cnn") and lists_models(str(models))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[model]]\nsource = "a.onnx"\nname = "a"\n' * 2, "two models are called 'a'"),
        ('[[model]]\nsource = "a.onnx"\nname = "a:b"\n', "can't be a folder's name"),
        ('[[model]]\nsource = "a.onnx"\n[[device]]\nname = "x"\n', "not as a list of models should be"),
        ('[[model]]\nsource = "."\n', "no model in this folder (.onnx, .pt2)"),
    ],
)
def test_what_is_wrong_with_a_list(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "many.toml").write_text(text)
    with pytest.raises(BadInput) as raised:
        read_sources(str(tmp_path / "many.toml"), (".onnx", ".pt2"))
    assert said in str(raised.value)


def test_names_of_targets_are_those_of_devices(models: Path) -> None:
    plan = on_targets(read_sources(str(models)), load_config(None, {"targets": ["tflite,kernels=reference"]}))
    assert [(d.name, d.target) for d in plan.device] == [("tflite_kernels_reference", "tflite,kernels=reference")]
    usual = on_targets(read_sources(str(models)), load_config(None, {"bench": {"threads": [1, 2]}}))
    assert {"onnxruntime", "tflite"} <= {d.target for d in usual.device} and usual.device[0].threads == [1, 2]
    assert "pytorch" not in {d.target for d in usual.device}


def edgeworthy(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeworthy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_the_commands(models: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/abs.onnx").write_bytes((models / "abs.onnx").read_bytes())
    models = tmp_path / "one"
    out, targets = tmp_path / "out", ("--target", "onnxruntime,tflite", "--seconds", "0.05")
    narrow = edgeworthy("compare", models, "-o", out, "--route", "direct", *targets, COLUMNS="60")
    assert narrow.returncode == 0, narrow.stderr
    assert "1 of 1" in narrow.stdout and max(map(len, narrow.stdout.splitlines()[:8])) <= 60
    ran = edgeworthy("compare", models, "-o", out, "--route", "direct", *targets, "--json")
    shown = ComparisonReport.model_validate(json.loads(ran.stdout))
    assert ran.returncode == 0 and all(r.taken_over for r in shown.results)
    ran = edgeworthy("bench", models, "-o", tmp_path / "bench", *targets, "--json")
    timed = FleetReport.model_validate(json.loads(ran.stdout))
    assert ran.returncode == 0 and len(timed.results) == 2 and isinstance(timed.results[0], TimingResult)
    for arguments, said in (
        (("compare", models, "-o", out, "--route", "dirct"), "did you mean 'direct'"),
        (("compare", models, "-o", out, "--pick", "luck"), "nothing can be picked by 'luck'"),
        (("compare", models / "abs.onnx", "-o", tmp_path / "x", "--executor", "ray"), "this is for a list of models"),
    ):
        refused = edgeworthy(*arguments)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
