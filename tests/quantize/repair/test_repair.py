"""Repair of real files: what it reaches is held against the LiteRT interpreter, on samples that it hasn't seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.calibration import CalibrationSet, load_calibration
from edgeworthy.quantize.messages import Request
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.quantize.repair.budget import Budget
from edgeworthy.quantize.repair.repair import repair
from edgeworthy.quantize.repair.workbench import HeldOut, Workbench
from edgeworthy.quantize.rounding import Rounding
from edgeworthy.quantize.running import Model
from edgeworthy.quantize.worker import Quantizer

from ..conftest import normal_feeds
from ..tflite_graph import CONV, NO_ACTIVATION, Array, Graph, Weights, worst_sqnr

CHANNELS = 16
ONE = np.ones(CHANNELS, np.float32)
SPREAD = (2.0 ** np.linspace(-6, 6, CHANNELS)).astype(np.float32)
"""Channels of one tensor, of which the small ones count as much as the large ones."""


def uneven(path: Path, activation: str) -> TFLiteModel:
    """A tensor whose channels are of unlike size between two convolutions, behind two sane ones."""
    w = Weights(0)
    shape = (1, 8, 8, CHANNELS)
    g = Graph(x=shape)
    bias = np.zeros(CHANNELS, np.float32)

    def conv(x: object, makes: Array = ONE, reads: Array = ONE) -> object:
        kernel = w(CHANNELS, 3, 3, CHANNELS, fan_in=144) * makes[:, None, None, None] * reads
        return g.op("conv_2d", [x, kernel.astype(np.float32), bias], shape, **CONV)

    x = g.op("relu", [conv(g.inputs[0])], shape)
    x = conv(g.op("relu", [conv(x)], shape), makes=SPREAD)
    x = g.op(activation, [x], shape)
    return g.save(path, y=conv(x, reads=1 / SPREAD))


def made_again(model: TFLiteModel, recipe: Recipe, calibration: CalibrationSet, folder: Path) -> bytes:
    recipe.write(folder / "r.json")
    return quantize(
        model, folder / "q.tflite", Recipe.read(folder / "r.json"), calibration=calibration
    ).model.path.read_bytes()


@pytest.mark.parametrize("activation", ["relu", "hard_swish"])
def test_the_budget_is_met_on_samples_that_it_has_not_seen(
    activation: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """By equalisation where the activation lets a factor through, and by float where it doesn't."""
    model, others = (
        uneven(tmp_path / "m.tflite", activation),
        normal_feeds(uneven(tmp_path / "n.tflite", activation), 8, 7),
    )
    calibration = calibrate(model)
    plain = quantize(model, tmp_path / "plain.tflite", Recipe.of("int8"), calibration=calibration)
    assert worst_sqnr(model.path, plain.model.path, others) < 20
    found = repair(model, Recipe.of("int8"), Budget(25.0), calibration=calibration, seconds=120)
    assert found.met and found.quality.sqnr_db >= 25
    content = made_again(model, found.recipe, calibration, tmp_path)
    assert content == made_again(model, found.recipe, calibration, tmp_path)
    for delegate in (True, False):
        assert worst_sqnr(model.path, tmp_path / "q.tflite", others, delegate=delegate) > 24.5
    assert (found.recipe.transforms == ("equalize",)) or "float32" in {rule.compute for rule in found.recipe.rules}
    quantized = fb.read(content)
    kernels = [fb.values(quantized, t) for t in quantized.subgraphs[0].tensors if len(t.shape or []) == 4]
    assert sum(k is not None and k.dtype == np.int8 and k.size > 1000 for k in kernels) >= 2  # the sane ones stay


def test_weights_that_int8_is_too_coarse_for_are_float16(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """A budget that int8 weights miss by 10 dB and more, and half precision meets: half of the float file."""
    model = uneven(tmp_path / "m.tflite", "hard_swish")
    calibration = calibrate(model)
    found = repair(model, Recipe.of("int8"), Budget(55.0), calibration=calibration, seconds=60)
    assert found.met and "in float32 with float16 weights" in found.gave_up
    content = made_again(model, found.recipe, calibration, tmp_path)
    assert len(content) < 0.65 * model.size
    others = normal_feeds(model, 8, 7)
    for delegate in (True, False):
        assert worst_sqnr(model.path, tmp_path / "q.tflite", others, delegate=delegate) > 55


def test_what_was_chosen_holds_on_samples_that_nothing_was_chosen_by(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """Half of those that are held out are four times as wide as all that the search sees: integers with its ranges
    saturate there."""
    usual, others = normal_feeds(conv_net, 40), normal_feeds(conv_net, 8, 7)
    wide = [{name: 4 * array for name, array in feed.items()} for feed in others]
    spare = [feed for pair in zip(usual[32:36], wide, strict=False) for feed in pair]
    plain = calibrate(conv_net, feeds=usual[:32])
    calibration = replace(plain, spare=8, load=lambda index: plain.load(index) if index < 32 else spare[index - 32])
    found = repair(conv_net, Recipe.of("int8"), Budget(25.0), calibration=calibration, seconds=60)
    first, *_ = found.searches
    assert "on the samples that it was chosen by had" in first
    assert found.met and found.quality.sqnr_db >= 25
    made_again(conv_net, found.recipe, calibration, tmp_path)
    assert worst_sqnr(conv_net.path, tmp_path / "q.tflite", wide) > 25


def test_what_is_ranked_and_what_is_quantized_is_named_by_first_results(tmp_path: Path) -> None:
    """Also where the second result of a SPLIT errs; and a layer with int8 weights is quantized, though it is float."""
    g, w = Graph(x=(1, 8, 8, 32)), Weights(0)
    zero = np.zeros(32, np.float32)
    x = g.op("conv_2d", [g.inputs[0], w(32, 3, 3, 32, fan_in=288), zero], (1, 8, 8, 32), **CONV)
    parts = [(1, 8, 8, 16)] * 2
    left, right = g.op("split", [np.array(3, np.int32), x], parts, num_splits=2)
    x = g.op("concatenation", [right, left], (1, 8, 8, 32), axis=3, **NO_ACTIVATION)
    x = g.op("conv_2d", [x, w(32, 3, 3, 32, fan_in=288), zero], (1, 8, 8, 32), **CONV)
    model = g.save(tmp_path / "m.tflite", y=x)
    job = Quantizer(lambda _: None, Request(model.path, model.path, Recipe.of("int8", ranges="min_max"), 1))
    feeds = normal_feeds(model, 4, 0)
    for feed in feeds:
        job.calibrate(feed)
    bench = Workbench({(): job}, HeldOut(feeds[:2]), threads=1, tell=lambda _: None)
    (start,) = [plan for plan in bench.starts(Rounding()) if not plan.computes]
    first, *_, last = names = [name for name, _ in bench.quantized(start)]
    ranked = [name for name, _ in bench.ranking(start)]
    assert len(set(ranked)) == len(ranked) and set(ranked) <= set(names)
    assert bench.judge(start.put(ranked, "float32")).sqnr_db > 25
    unpacked = start.put([first, last], "weights")
    assert {first, last} <= {name for name, _ in bench.quantized(unpacked)}
    assert not {first, last} & {name for name, _ in bench.integers(unpacked)}
    assert bench.gave_up(unpacked) == "of 2 layers 2 in float32 with int8 weights"
    assert bench.judge(start.put(names, "float32")).sqnr_db == math.inf


def test_a_budget_that_is_met_already_sends_nothing_to_float_for_its_sake(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """What goes to float then is whole kinds, for the time that they take."""
    model = uneven(tmp_path / "m.tflite", "relu")
    found = repair(model, Recipe.of("int8"), Budget(3.0), calibration=calibrate(model), seconds=60)
    assert found.met
    moved = {rule.pattern for rule in found.recipe.rules if rule.why.startswith("repair")}
    assert len(moved) in (0, 3, 4, 7), "the RELUs, the convolutions, neither or both"


def test_a_budget_that_nothing_meets_is_said_with_the_nearest_file(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    model = uneven(tmp_path / "m.tflite", "relu")
    budget = Budget(10.0, max_accuracy_drop=0.1)
    found = repair(model, Recipe.of("int8"), budget, calibration=calibrate(model), seconds=10)
    assert not found.met and found.budget.missed(found.quality) == ["accuracy may fall by 10.0%: there are no labels"]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe.of("float16"), "nothing to repair"),
        (Recipe.of("int8", engine="tensorflow"), "TensorFlow's quantizer takes no decisions"),
    ],
)
def test_what_can_not_be_repaired_is_said(
    recipe: Recipe, said: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    model = uneven(tmp_path / "m.tflite", "relu")
    with pytest.raises(BadInput, match=said):
        repair(model, recipe, Budget(), calibration=calibrate(model))


def test_accuracy_is_held_by_labelled_samples_and_others_without_labels_miss_nothing(
    conv_net: TFLiteModel, tmp_path: Path
) -> None:
    """Samples that nothing is chosen by have no labels: that is no reason to search on, and to end in float."""
    np.savez(tmp_path / "c.npz", image=np.stack([feed["image"] for feed in normal_feeds(conv_net, 24)]))
    calibration = load_calibration(tmp_path / "c.npz", conv_net.inputs, samples=16)
    assert calibration.spare >= 2
    plain, labelled = Model(conv_net.path.read_bytes(), threads=1), []
    for feed in normal_feeds(conv_net, 8, 7):
        labelled.append((feed, plain.run(feed)["logits"].argmax(-1)))
    budget = Budget(10.0, max_accuracy_drop=0.2)
    found = repair(conv_net, Recipe.of("int8"), budget, calibration=calibration, labelled=labelled, seconds=20)
    assert found.met and not found.searches
    assert found.quality.accuracy_drop is not None and found.quality.accuracy_drop <= 0.2
