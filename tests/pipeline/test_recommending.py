"""``recommend`` from the command line's tables to the report, and the file that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy.cli.views import exit_code
from edgeworthy.config import Config
from edgeworthy.errors import BadInput
from edgeworthy.pipeline.run import run_config
from edgeworthy.settings import load_config
from edgeworthy.validate.results import Report

from .quick_runs import redone, visible

SINE = """

class Sine(Net):
    def forward(self, image):
        return super().forward(torch.sin(image))


def sine():
    net = Sine()
    net.example_inputs = {"image": torch.ones(1, 1, 4, 4)}
    return net
"""


def recommended(net: Path, output: Path, *, factory: str = "make", **tables: Any) -> Report:
    asked = {"schemes": ["int8"], "calibration": str(net / "calibration.npz"), "budget": {"seconds": 2.0}}
    return edgeworthy.recommend(
        f"{net}/net.py:{factory}", output, quantize=asked | tables.pop("quantize", {}), **tables
    )


def test_it_measures_what_it_recommends_on_data_that_no_range_is_from(net: Path, tmp_path: Path) -> None:
    labelled = {"labelled": str(net / "labelled.npz"), "samples": 2}
    report = recommended(net, tmp_path / "out", validate=labelled, quantize={"schemes": ["int8", "float16"]})
    found = report.recommendation
    assert found and found.status == "pass" and exit_code(report, ["recommend"]) == 0
    assert found.asked == ["accuracy within 1.0%"] and found.metric == "top-1" and not found.left_out
    named = {one.name: one for one in found.variants}
    assert set(named) == {"float32", "float16", "int8", "int8, equalized", "int8, repaired"}
    measured = [one for one in found.variants if one.tradeoff]
    assert named["float16"] in measured and len({one.sha256 for one in measured}) == len(measured)
    for one in measured:
        assert one.tradeoff and one.tradeoff.latency_ratio and one.latency_ms and one.accuracy is not None
        assert one.tradeoff.size_ratio == pytest.approx((one.size_bytes or 0) / (named["float32"].size_bytes or 1))
        assert (tmp_path / "out" / one.file).stat().st_size == one.size_bytes
    assert 55 < (named["float16"].tradeoff.sqnr_db or 0) < 90  # type: ignore[union-attr]
    assert {"recommendation.html", "recommendation.svg", "tried"} < visible(tmp_path / "out")

    again = recommended(net, tmp_path / "out", validate=labelled, quantize={"schemes": ["int8", "float16"]})
    assert again.recommendation == found and not redone(again), "all is taken over"


def test_the_winner_on_integers_alone_is_made_again_byte_for_byte(net: Path, tmp_path: Path) -> None:
    """16 samples are there, and 4 are held out: the other 12 are what ``--samples 12`` takes."""
    asked = {"budget": {"min_sqnr_db": 5.0}, "schemes": ["int8", "static_wi4_ai8"], "io_dtype": "int8"}
    report = recommended(net, tmp_path / "out", quantize=asked, preflight={"targets": ["ethos-u:55-128"]})
    found = report.recommendation
    assert found and found.judged_on.startswith("samples held out from calibration") and found.samples == 4
    assert "dB on 4 held-out feeds" in found.said and any("4 held-out feeds, so few" in w for w in report.warnings)
    assert {one.name for one in found.variants if one.status == "pass"} == {"int8", "int8, equalized"}
    refused = next(one for one in found.variants if one.name == "int4 static")
    assert refused.status == "error" and "would be refused by ethos-u:55-128" in (refused.failure or "")
    assert not found.timed_on and found.device == "ethos-u" and "say nothing of ethos-u" in found.notes[0]
    pick = found.variant(found.pick)
    assert pick and pick.scheme == "static_wi8_ai8"
    assert found.written[:2] == ["model_int8.tflite", "model_int8.recipe.json"]
    command = found.again.split()
    assert command[:3] == ["edgeworthy", "quantize", f"{net}/net.py:make"] and command[-2:] == ["--samples", "12"]
    table = {"recipe": tmp_path / "out/model_int8.recipe.json", "calibration": str(net / "calibration.npz")}
    edgeworthy.quantize(f"{net}/net.py:make", tmp_path / "again", quantize=table | {"samples": 12})
    for name in found.written[:2]:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_what_fails_is_a_row_with_its_cause_and_float32_is_an_answer(net: Path, tmp_path: Path) -> None:
    with (net / "net.py").open("a") as file:
        file.write(SINE)
    report = recommended(net, tmp_path / "out", factory="sine", quantize={"full_integer": True})
    found = report.recommendation
    assert found and (found.pick, found.status) == ("float32", "pass") and found.said.startswith("Stay with float32")
    named = {one.name: one for one in found.variants}
    assert named["int8"].status == "error" and "can't be integer; SIN" in (named["int8"].failure or "")
    assert named["int8, repaired"].status == "skipped" and "--full-integer" in (named["int8, repaired"].failure or "")
    assert not (tmp_path / "out/model_int8.tflite").exists() and found.written[0] == "model_float32.tflite"


def test_limits_that_nothing_keeps_fail_and_time_that_is_over_leaves_the_rest_out(net: Path, tmp_path: Path) -> None:
    limits = {"max_size_mb": 1e-6, "time_limit_s": 1e-3}
    report = recommended(net, tmp_path / "out", quantize={"schemes": ["float16", "int8"]}, recommend=limits)
    found = report.recommendation
    assert found and (found.pick, found.status) == (None, "fail") and exit_code(report, ["recommend"]) == 1
    assert {one.name for one in found.variants} == {"float32", "float16"}
    assert found.left_out == ["int8", "int8, equalized", "int8, repaired"]
    assert all("is more than 1e-06 MB" in one.missed[0] for one in found.variants)
    assert found.said.startswith("Nothing keeps to all limits") and not list((tmp_path / "out").glob("model_f*16*"))


def test_without_a_folder_nothing_is_kept(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(net)
    before = visible(net)
    tables = {
        "model": {"source": "net.py:make"},
        "quantize": {"schemes": ["float16"], "calibration": "calibration.npz"},
    }
    report = run_config(load_config(None, tables), stages=("recommend",))
    assert report.recommendation and report.recommendation.pick and not report.recommendation.written
    assert visible(net) - {"__pycache__"} == before - {"__pycache__"}
    with pytest.raises(BadInput, match="no output folder"):
        run_config(Config.model_validate({"model": {"source": "net.py:make"}}), stages=("convert",))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"quantize": {"calibration": None}}, "needs calibration data"),
        ({"quantize": {"calibration": "one.npz"}}, "1 sample can't both show ranges and tell which file is true"),
        ({"quantize": {"device": "toaster"}}, "nothing is known of a device 'toaster'"),
        ({"quantize": {"schemes": None, "recipe": "x.recipe.json"}}, "recipe can't be read"),
        ({"recommend": {"min_accuracy": 0.9}}, "accuracy can't be held without labelled data"),
        ({"quantize": {"budget": {"max_accuracy_drop": 0.1}}}, "accuracy can't be held without labelled data"),
        ({"validate": {"labelled": "wrong.npz"}}, "there is a label 9, and the model's output"),
    ],
    ids=["no data", "one sample", "device", "recipe", "accuracy", "drop", "labels"],
)
def test_bad_input_is_refused_before_anything_is_written(
    net: Path, tmp_path: Path, tables: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(net)
    image = np.ones((1, 1, 4, 4), np.float32)
    np.savez(net / "one.npz", image=image)
    np.savez(net / "wrong.npz", image=image.repeat(4, 0), labels=np.array([0, 1, 2, 9]))
    with pytest.raises(BadInput, match=message):
        recommended(net, tmp_path / "out", **tables)
    assert not (tmp_path / "out").exists()
