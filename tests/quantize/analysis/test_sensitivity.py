"""Sensitivities point at the operator that was made bad on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.analysis import SensitivityMode, SensitivityResult
from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.analysis.analyze import analyze
from edgeworthy.quantize.analysis.sensitivity import sensitivity
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe, Rule

from .. import tflite_graph
from ..conftest import normal_feeds
from ..tflite_graph import worst_sqnr
from .conftest import Analyzed

Get = Callable[[str], Analyzed]


def tried(one: Analyzed, mode: SensitivityMode, *, most: int = 32, seconds: float = 300) -> SensitivityResult:
    return sensitivity(one.floating, one.quantized, one.held, one.found.layers, mode=mode, most=most, seconds=seconds)


def test_the_outlier_alone_ruins_the_output(analyzed: Get) -> None:
    one = analyzed("outlier")
    found = tried(one, "one")
    assert found.base_db == pytest.approx(worst_sqnr(one.floating.path, one.quantized.path, one.held), abs=1e-3)
    worst, second = found.rows[:2]
    assert (worst.place.tensor, second.place.tensor != worst.place.tensor) == ("n7_conv_2d2", True)
    assert worst.sqnr_db is not None
    assert worst.sqnr_db < 3
    assert second.sqnr_db is not None
    assert second.sqnr_db > 25


def test_all_but_the_outlier_brings_the_output_back(analyzed: Get) -> None:
    found = tried(analyzed("outlier"), "all-but-one")
    best, second = (row.sqnr_db for row in found.rows[:2])
    assert found.rows[0].place.tensor == "n7_conv_2d2"
    assert best is not None
    assert best > 22
    assert second is not None
    assert second < 3


def test_a_join_goes_into_float_with_what_hands_its_values_on(analyzed: Get) -> None:
    one = analyzed("head")
    alone, without = tried(one, "one").rows[0], tried(one, "all-but-one").rows[0]
    assert alone.place.op == without.place.op == "CONCATENATION"
    assert alone.sqnr_db == pytest.approx(0, abs=0.1)
    assert without.sqnr_db is not None
    assert without.sqnr_db > 30
    assert without.along == ["serving_default_y_output"]


def test_all_but_one_is_what_excluding_it_gives(analyzed: Get, tmp_path: Path) -> None:
    """The figure against a file that ``quantize`` makes from the calibration data."""
    one = analyzed("conv_net:int8")
    found = {row.place.tensor: row.sqnr_db for row in tried(one, "all-but-one").rows}
    np.savez(tmp_path / "c.npz", image=np.stack([f["image"] for f in normal_feeds(one.floating, 16)]))
    data = load_calibration(tmp_path / "c.npz", one.floating.inputs)
    for name in ("n10_conv_2d2", "n6_depthwise_conv_2d2"):
        made = quantize(
            one.floating, tmp_path / "q.tflite", Recipe.of("int8", exclude=[name], ranges="min_max"), calibration=data
        )
        assert found[name] == pytest.approx(worst_sqnr(one.floating.path, made.model.path, one.held), abs=0.2)


def test_a_layer_with_int8_weights_in_float_stays_one(analyzed: Get, tmp_path: Path) -> None:
    """As a device has it whose int8 layers are slower: beside others, and by itself."""
    plain = analyzed("conv_net:int8")
    np.savez(tmp_path / "c.npz", image=np.stack([f["image"] for f in normal_feeds(plain.floating, 16)]))
    data = load_calibration(tmp_path / "c.npz", plain.floating.inputs)

    def made(name: str, *exclude: str) -> TFLiteModel:
        rules = (Rule(pattern="n10_conv_2d", compute="weights"), *(Rule(pattern=pattern) for pattern in exclude))
        recipe = Recipe.of("int8", ranges="min_max").model_copy(update={"rules": rules})
        return quantize(plain.floating, tmp_path / name, recipe, calibration=data).model

    mixed, without = made("m.tflite"), made("w.tflite", "n6_depthwise_conv_2d")
    one = Analyzed(plain.floating, mixed, plain.held, analyze(plain.floating, mixed, plain.held, inputs="held out"))
    found = {row.place.tensor: row.sqnr_db for row in tried(one, "all-but-one").rows}
    wanted = worst_sqnr(plain.floating.path, without.path, plain.held)
    assert found["n6_depthwise_conv_2d2"] == pytest.approx(wanted, abs=0.5)
    alone = {row.place.tensor: row.sqnr_db for row in tried(one, "one").rows}["n10_conv_2d2"]
    assert alone is not None and 35 < alone < 60


@pytest.mark.parametrize("scheme", ["dynamic_wi8_afp32", "weight_only_wi8_afp32"])
def test_weights_alone_have_sensitivities_too(scheme: str, analyzed: Get) -> None:
    one = analyzed(f"conv_net:{scheme}")
    found = tried(one, "one")
    assert {row.place.op for row in found.rows} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    assert found.base_db is not None
    assert all(row.sqnr_db is not None and row.sqnr_db > found.base_db for row in found.rows)


def test_the_budget_ends_it(analyzed: Get) -> None:
    one = analyzed("chain")
    few = tried(one, "one", most=2)
    assert [row.place.tensor for row in few.rows] != []
    assert {row.place.tensor for row in few.rows} == {layer.place.tensor for layer in one.found.layers[:2]}
    assert (len(few.rows), few.candidates) == (2, 12)
    assert tried(one, "one", seconds=1e-9).rows == []


def test_an_input_that_float_operators_read_has_a_range_too(tmp_path: Path) -> None:
    """The file calls it by another name there, and no other operator could be tried without its range."""
    model = tflite_graph.conv_net(tmp_path / "m.tflite")
    np.savez(tmp_path / "c.npz", image=np.stack([f["image"] for f in normal_feeds(model, 16)]))
    data = load_calibration(tmp_path / "c.npz", model.inputs)
    graph = fb.read(model.path.read_bytes()).subgraphs[0]
    first = fb.name(graph.tensors[graph.operators[0].outputs[0]])
    recipe = Recipe.of("int8", exclude=[first], ranges="min_max")
    file = quantize(model, tmp_path / "q.tflite", recipe, calibration=data).model
    held = normal_feeds(model, 6, seed=7)
    one = Analyzed(model, file, held, analyze(model, file, held, inputs="held out"))
    assert one.found.layers and {layer.place.op for layer in one.found.layers if layer.there is None} >= {"INPUT"}
    for mode in ("one", "all-but-one"):
        rows = tried(one, mode).rows
        assert rows and not any(row.failure for row in rows)
