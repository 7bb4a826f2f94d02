"""Ranges that are chosen by samples that none of them comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import CalibrationSet, load_calibration
from edgeworthy.quantize.contenders import HELD, MOST, Contender, best, close
from edgeworthy.quantize.judge import Judge
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.range_methods import TRIED
from edgeworthy.quantize.recipe import Recipe, path_beside

from .tflite_graph import FC, NO_ACTIVATION, Array, Graph, Weights, run, sqnr, worst_sqnr


def dense(path: Path, *, rows: int | None = 1) -> TFLiteModel:
    """Two layers with a RELU between them."""
    w = Weights(3)
    g = Graph(x=(rows, 32))
    wide = g.op("fully_connected", [g.inputs[0], w(64, 32, fan_in=32), w(64, fan_in=99)], (rows, 64), **FC)
    hidden = g.op("relu", [wide], (rows, 64))
    y = g.op("fully_connected", [hidden, w(16, 64, fan_in=64), w(16, fan_in=99)], (rows, 16), **FC)
    return g.save(path, y=y)


def data(path: Path, model: TFLiteModel, samples: Array, used: int) -> CalibrationSet:
    """``used`` of the samples for ranges; others are held out."""
    np.savez(path, x=samples.astype(np.float32))
    return load_calibration(path, model.inputs, samples=used)


def normal(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 32))


def feeds(samples: Array) -> list[dict[str, Array]]:
    return [{"x": row[None].astype(np.float32)} for row in samples]


def test_an_outlier_in_the_data_is_cut_off(tmp_path: Path) -> None:
    """With min/max one sample in 48 takes the steps of all others; what is kept instead is right on new data."""
    model = dense(tmp_path / "m.tflite")
    samples = normal(56)
    samples[40] *= 200  # none of those that what is close is compared on
    calibration = data(tmp_path / "c.npz", model, samples, 48)
    made = {
        name: quantize(model, tmp_path / f"{name}.tflite", Recipe.of("int8", ranges=name), calibration=calibration)
        for name in ("min_max", "auto")
    }
    fresh = feeds(normal(32, seed=9))
    assert worst_sqnr(model.path, made["min_max"].model.path, fresh) < 5
    assert worst_sqnr(model.path, made["auto"].model.path, fresh) > 25
    chosen = made["auto"].recipe.ranges
    assert chosen in TRIED
    assert chosen != "min_max"
    tried = {contender.name: contender for contender in made["auto"].ranges}
    assert list(tried) == [name for name in TRIED if name in tried]
    assert tried[chosen].worst_db == pytest.approx(max(t.worst_db or 0 for t in tried.values()), abs=0.3)
    assert "held out" in made["auto"].judged_on
    assert any(note.startswith(f"ranges kept: {chosen} ") for note in made["auto"].notes)
    assert made["min_max"].ranges == ()


def test_where_all_samples_are_used_those_that_are_close_are_compared_on_more(tmp_path: Path) -> None:
    """The first eight are small and say little of the others."""
    model = dense(tmp_path / "m.tflite")
    samples = normal(48) * np.where(np.arange(48) < HELD, 0.5, 1.5)[:, None]
    made = quantize(
        model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data(tmp_path / "c.npz", model, samples, 48)
    )
    shown = next(contender for contender in made.ranges if contender.name == str(made.recipe.rounding))
    figures = [
        Judge(model.path.read_bytes(), feeds(samples[:count])).judge("", made.model.path.read_bytes()).worst_db or 0
        for count in (HELD, MOST)
    ]
    assert abs(figures[0] - figures[1]) > 1
    assert shown.worst_db == pytest.approx(figures[1], abs=0.01)


def test_what_is_close_on_few_held_out_is_compared_on_calibration_samples_too(tmp_path: Path) -> None:
    """Those that are held out are small and say little of the others."""
    model = dense(tmp_path / "m.tflite")
    samples = normal(40) * np.where(np.arange(40) < 40 - HELD, 1.5, 0.5)[:, None]
    held = data(tmp_path / "c.npz", model, samples, 40 - HELD)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=held)
    shown = next(contender for contender in made.ranges if contender.name == str(made.recipe.rounding))
    judge = Judge(model.path.read_bytes(), held.to_compare()[0])
    assert shown.worst_db == pytest.approx(judge.judge("", made.model.path.read_bytes()).worst_db, abs=0.01)
    (note,) = [note for note in made.notes if note.startswith("ranges kept")]
    assert "held out from, and 24 of, calibration" in note
    alike = [one for one in made.ranges if one.samples == shown.samples == MOST and one is not shown]
    nearest = max(alike, key=lambda one: one.worst_db or 0)
    assert f"the next is {nearest}" in note, "of those that were compared on as many"


def test_an_outlier_among_those_that_are_compared_takes_no_steps(tmp_path: Path) -> None:
    """What is close on those that are held out cuts it off, whichever of them is kept."""
    model = dense(tmp_path / "m.tflite")
    samples = normal(56)
    samples[20] *= 200
    made = quantize(
        model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data(tmp_path / "c.npz", model, samples, 48)
    )
    assert worst_sqnr(model.path, made.model.path, feeds(normal(32, seed=9))) > 25


def test_feeds_to_compare_are_more_where_they_are_small(tmp_path: Path) -> None:
    model = dense(tmp_path / "m.tflite")
    assert len(data(tmp_path / "all.npz", model, normal(48), 48).to_compare()[0]) == MOST
    assert len(data(tmp_path / "few.npz", model, normal(12), 12).to_compare()[0]) == 12
    kept = data(tmp_path / "kept.npz", model, normal(64), 56)
    found, said = kept.to_compare()
    assert len(found) == MOST
    assert said.startswith("samples held out from, and 24 of, calibration")
    held = kept.held_out(HELD)[0]
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(found, held, strict=False)), (
        "those that none has seen first"
    )
    wide = Graph(x=(1, 1 << 20))
    large = wide.save(tmp_path / "large.tflite", y=wide.op("relu", [wide.inputs[0]], (1, 1 << 20)))
    assert len(data(tmp_path / "large.npz", large, np.zeros((12, 1 << 20)), 12).to_compare()[0]) == HELD


def test_those_that_are_close_keep_their_order() -> None:
    tried = [Contender(name, worst, worst) for name, worst in [("a", 8.0), ("b", 9.9), ("c", 6.0), ("d", 10.0)]]
    assert [contender.name for contender in close([*tried, Contender("e", failure="no")])] == ["a", "b", "d"]
    assert close(tried[:1]) == tried[:1]
    assert [contender.name for contender in close([*tried, Contender("f", 12.9, 12.9)])] == ["b", "d", "f"]


def test_values_that_are_rare_and_matter_are_kept(tmp_path: Path) -> None:
    """The output is the one large value of each sample: whatever cuts it off is wrong."""
    g = Graph(x=(1, 4096))
    sums = np.ones((1, 4096), np.float32)
    kept = g.op("relu", [g.op("sub", [g.inputs[0], np.full((), 3, np.float32)], (1, 4096), **NO_ACTIVATION)], (1, 4096))
    model = g.save(
        tmp_path / "m.tflite", y=g.op("fully_connected", [kept, sums, np.zeros(1, np.float32)], (1, 1), **FC)
    )
    draw = np.random.default_rng(0)
    samples = draw.uniform(-1, 1, size=(40, 4096))
    samples[np.arange(40), draw.integers(0, 4096, 40)] = draw.uniform(50, 100, 40)
    calibration = data(tmp_path / "c.npz", model, samples, 32)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibration)
    figures = {contender.name: contender.worst_db for contender in made.ranges}
    assert figures[made.recipe.ranges] > 30
    assert (figures["percentile:99.9"] or 0) < 10
    assert worst_sqnr(model.path, made.model.path, [{"x": row[None].astype(np.float32)} for row in samples[32:]]) > 30


@pytest.mark.parametrize(
    "values", [np.zeros((3, 32)), np.full((3, 32), 0.5), normal(1)], ids=["zero", "constant", "one"]
)
def test_data_without_variety(values: Array, tmp_path: Path) -> None:
    """All zero, all equal, one sample: of methods that agree one file is made, and the simplest is named."""
    model = dense(tmp_path / "m.tflite")
    calibration = data(tmp_path / "c.npz", model, values, 128)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibration)
    names = [contender.name for contender in made.ranges]
    assert names[0] == "min_max"
    assert "moving_average" not in names
    plain = quantize(model, tmp_path / "p.tflite", Recipe.of("int8", ranges="min_max"), calibration=calibration)
    if made.recipe.ranges == "min_max":
        assert plain.model.path.read_bytes() == made.model.path.read_bytes()
    for row in feeds(values):
        wanted, got = run(model.path, row)["y"], run(made.model.path, row)["y"]
        np.testing.assert_allclose(got, wanted, atol=0.1 * np.abs(wanted).max())


def test_the_file_is_the_one_of_the_method_that_is_named(tmp_path: Path) -> None:
    """Chosen or asked for, a method gives the same bytes; and so does the recipe."""
    model = dense(tmp_path / "m.tflite")
    samples = normal(40)
    samples[7] *= 30
    calibration = data(tmp_path / "c.npz", model, samples, 32)
    auto = quantize(model, tmp_path / "a.tflite", Recipe.of("int8"), calibration=calibration)
    named = Recipe.of("int8", ranges=auto.recipe.ranges)
    assert quantize(model, tmp_path / "b.tflite", named, calibration=calibration).model.path.read_bytes() == (
        auto.model.path.read_bytes()
    )
    stored = Recipe.read(path_beside(auto.model.path))
    again = quantize(model, tmp_path / "c.tflite", stored, calibration=calibration)
    assert again.model.path.read_bytes() == auto.model.path.read_bytes()
    assert again.ranges == ()


def test_dynamic_dimensions(tmp_path: Path) -> None:
    model = dense(tmp_path / "m.tflite", rows=None)
    samples = normal(24)

    def load(index: int) -> dict[str, Array]:
        return {"x": samples[3 * index : 3 * index + 1 + index % 3].astype(np.float32)}

    calibration = CalibrationSet("rows", samples=6, feeds=6, load=load, spare=2)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibration)
    assert len(made.ranges) > 1
    assert worst_sqnr(model.path, made.model.path, [{"x": samples.astype(np.float32)}]) > 20


def test_nan_is_refused_whatever_the_method(tmp_path: Path) -> None:
    g = Graph(x=(1, 32))
    model = g.save(tmp_path / "m.tflite", y=g.op("log", [g.inputs[0]], (1, 32)))
    calibration = data(tmp_path / "c.npz", model, -np.ones((2, 32)), 2)
    with pytest.raises(BadInput, match="computes NaN on calibration sample 0"):
        quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibration)


def test_a_judge_says_what_numpy_does(tmp_path: Path) -> None:
    model = dense(tmp_path / "m.tflite")
    calibration = data(tmp_path / "c.npz", model, normal(16), 16)
    made = quantize(
        model, tmp_path / "q.tflite", Recipe.of("int8", ranges="min_max", io_dtype="int8"), calibration=calibration
    )
    fresh = feeds(normal(6, seed=4))
    contender = Judge(model.path.read_bytes(), fresh).judge("q", made.model.path.read_bytes())
    wanted, got = (np.concatenate([run(p, feed)["y"] for feed in fresh]) for p in (model.path, made.model.path))
    assert contender.worst_db == pytest.approx(sqnr(wanted, got), abs=1e-3)
    assert contender.mean_db == contender.worst_db, "there is but one output"
    same = Judge(model.path.read_bytes(), fresh).judge("itself", model.path.read_bytes())
    assert same.worst_db == 200


def test_whole_numbers_are_judged_by_how_many_are_equal(tmp_path: Path) -> None:
    g = Graph(x=(1, 10))
    index = g.op("arg_max", [g.inputs[0], np.array(1, np.int32)], (1,), dtype="int32")
    content = g.save(tmp_path / "m.tflite", y=index).path.read_bytes()
    h = Graph(x=(1, 10))
    turned = h.op("neg", [h.inputs[0]], (1, 10))
    other = h.op("arg_max", [turned, np.array(1, np.int32)], (1,), dtype="int32")
    wrong = h.save(tmp_path / "w.tflite", y=other).path.read_bytes()
    draw = np.random.default_rng(0)
    judge = Judge(content, [{"x": draw.normal(size=(1, 10)).astype(np.float32)} for _ in range(8)])
    assert judge.judge("same", content).worst_db == 200
    assert judge.judge("other", wrong).worst_db == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("contenders", "name"),
    [
        ([Contender("a", 10.0, 10.0), Contender("b", 10.2, 30.0)], "b"),
        ([Contender("a", 10.0, 10.0), Contender("b", 10.2, 10.2)], "a"),
        ([Contender("a", 10.0, 50.0), Contender("b", 12.0, 12.0)], "b"),
        ([Contender("a", 10.0, 10.0), Contender("b", 10.25, 10.25), Contender("c", 10.5, 10.5)], "b"),
        ([Contender("a", failure="it crashed"), Contender("b", -3.0, -3.0)], "b"),
        ([Contender("a", failure="it crashed"), Contender("b", failure="so did this")], "a"),
    ],
)
def test_the_worst_output_decides_then_the_mean_then_the_order(contenders: list[Contender], name: str) -> None:
    assert best(contenders).name == name
