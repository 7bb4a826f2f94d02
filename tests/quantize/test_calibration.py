"""Calibration data from arrays in files, at random, and from a bundled sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import FORMS, SPARE, load_calibration

from .calibration_files import MASK, X, npz, refused

# ---- .npz and .npy ----


def test_every_sample_becomes_a_feed(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    mask = np.arange(16, dtype=np.int64).reshape(4, 4)
    found = load_calibration(npz(tmp_path / "c.npz", x=data, mask=mask, labels=np.zeros(4)), (X, MASK))
    feeds = list(found)
    assert len(found) == len(feeds) == found.samples == 4
    assert found.fit_for_deployment
    np.testing.assert_array_equal(np.concatenate([f["x"] for f in feeds]), data)
    np.testing.assert_array_equal(np.concatenate([f["mask"] for f in feeds]), mask)
    assert feeds[0]["x"].shape == (1, 3)
    assert list(found)[2]["x"].tolist() == [[6, 7, 8]], "it can be iterated again"


def test_one_array_is_enough_for_one_input(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.ones((5, 3), np.float32))
    assert len(load_calibration(tmp_path / "c.npy", (X,))) == 5
    assert "one array can't feed a model with 2 inputs" in str(refused(tmp_path / "c.npy", (X, MASK)))


def test_samples_may_come_as_whole_feeds(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    feeds = list(load_calibration(npz(tmp_path / "c.npz", x=data), (X,)))
    np.testing.assert_array_equal(np.stack([f["x"] for f in feeds]), data)


def test_samples_are_grouped_by_the_models_batch(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (4, 3))
    data = np.arange(30, dtype=np.float32).reshape(10, 3)
    found = load_calibration(npz(tmp_path / "c.npz", x=data), (spec,))
    assert (len(found), found.samples) == (2, 8)
    assert [f["x"].shape for f in found] == [(4, 3), (4, 3)]
    short = npz(tmp_path / "short.npz", x=data[:3])
    assert "the model takes 4 samples at once, and there are 3" in str(refused(short, (spec,)))


def test_a_dynamic_batch_takes_one_sample_at_a_time(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", ("batch", "time", 2))
    found = load_calibration(npz(tmp_path / "c.npz", x=np.zeros((3, 7, 2), np.float32)), (spec,))
    assert [f["x"].shape for f in found] == [(1, 7, 2)] * 3


def test_inputs_without_a_common_batch_take_whole_feeds(tmp_path: Path) -> None:
    inputs = (X, TensorSpec("table", "float32", (7, 2)))
    path = npz(tmp_path / "c.npz", x=np.ones((5, 1, 3), np.float32), table=np.ones((5, 7, 2), np.float32))
    feed = next(iter(load_calibration(path, inputs)))
    assert feed["x"].shape == (1, 3)
    assert feed["table"].shape == (7, 2)


def test_of_many_samples_evenly_spaced_ones_are_taken(tmp_path: Path) -> None:
    data = np.arange(1000, dtype=np.float32)[:, None].repeat(3, 1)
    found = load_calibration(npz(tmp_path / "c.npz", x=data), (X,), samples=11)
    assert [int(f["x"][0, 0]) for f in found] == [0, 100, 200, 300, 400, 500, 599, 699, 799, 899, 999]
    assert "11 of 1000 samples" in found.description


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": np.ones((4, 5), np.float32)}, r"shape \[4, 5\]; expected \[samples,3\]"),
        ({"x": np.ones(3, np.float32)}, r"shape \[3\]; expected \[samples,3\]"),
        ({"x": np.ones((4, 3), np.uint8)}, "is uint8, and the input is float32"),
        ({"x": np.ones((4, 3), np.complex64)}, "is complex64, and the input is float32"),
        ({"x": np.full((4, 3), 1e300)}, "sample 0 of input 'x' has Inf"),
        ({"x": np.zeros((0, 3), np.float32)}, "there are no samples"),
        ({"y": np.ones((4, 3), np.float32)}, "no array for input 'x'"),
    ],
)
def test_data_that_doesnt_fit(tmp_path: Path, arrays: dict[str, Any], problem: str) -> None:
    path = npz(tmp_path / "c.npz", **arrays)
    with pytest.raises(BadInput, match=problem) as caught:
        load_calibration(path, (X,))
    assert caught.value.where == str(path)


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "Inf"), (-np.inf, "Inf")])
def test_the_sample_with_a_bad_value_is_named(tmp_path: Path, value: float, kind: str) -> None:
    data = np.ones((9, 3), np.float32)
    data[6, 1] = value
    assert f"sample 6 of input 'x' has {kind} in it" in str(refused(npz(tmp_path / "c.npz", x=data)))


def test_missing_arrays_are_told_with_those_that_exist(tmp_path: Path) -> None:
    error = refused(npz(tmp_path / "c.npz", image=np.ones(1), label=np.ones(1)))
    assert {"array: image", "array: label", "input: x:float32[1,3]"} <= set(error.details)


def test_different_numbers_of_samples(tmp_path: Path) -> None:
    path = npz(tmp_path / "c.npz", x=np.ones((4, 3), np.float32), mask=np.ones((5, 4), np.int64))
    assert "different numbers of samples" in str(refused(path, (X, MASK)))


def test_dtypes_are_cast_where_no_value_changes(tmp_path: Path) -> None:
    path = npz(tmp_path / "c.npz", x=np.full((2, 3), 0.1, np.float64), mask=np.full((2, 4), 3, np.int32))
    feed = next(iter(load_calibration(path, (X, MASK))))
    assert (feed["x"].dtype, feed["mask"].dtype) == (np.float32, np.int64)
    small = TensorSpec("mask", "int8", (1, 4))
    big = npz(tmp_path / "big.npz", mask=np.full((2, 4), 300, np.int64))
    assert "some values don't fit" in str(refused(big, (small,)))


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_cut_off_files(tmp_path: Path, suffix: str, share: float) -> None:
    data = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".npz":
        np.savez(whole, x=data)
    else:
        np.save(whole, data)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    error = refused(cut)
    assert "can't be read" in error.what
    assert error.where == str(cut)


def test_a_damaged_member_of_an_archive(tmp_path: Path) -> None:
    path = npz(tmp_path / "c.npz", x=np.ones((100, 3), np.float32))
    content = bytearray(path.read_bytes())
    content[400:500] = bytes(100)
    path.write_bytes(content)
    assert "can't be read" in refused(path).what


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = npz(tmp_path / "c.npz", x=np.array([{"a": 1}], dtype=object))
    assert "pickled Python objects" in refused(path).what


# ---- no data, unknown forms ----


@pytest.mark.parametrize("spec", [None, "", "missing.npz", "missing_folder"])
def test_without_data_every_form_is_named(spec: str | None) -> None:
    assert set(FORMS) <= set(refused(spec).details)


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "data.doc").write_text("1,2,3\n")
    assert "'.doc'" in str(refused(tmp_path / "data.doc"))


def test_too_few_samples_asked_for(tmp_path: Path) -> None:
    assert "0 calibration samples are too few" in str(refused("random", samples=0))


# ---- random and bundled samples ----


def test_random_is_seeded_and_not_fit_for_deployment() -> None:
    inputs = (TensorSpec("x", "float32", (1, 3)), MASK)
    one, same, other = (list(load_calibration("random", inputs, samples=6, seed=s)) for s in (1, 1, 2))
    assert len(one) == 6
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0]["x"], other[0]["x"])
    assert {int(v) for feed in one for v in feed["mask"].ravel()} == {1}, "a mask of zeros makes NaN of a softmax"
    found = load_calibration("random", inputs)
    assert not found.fit_for_deployment
    assert "random noise (seed 0)" in found.description


def test_random_is_like_the_examples() -> None:
    """Extents that a pixel unshuffle takes, ids of the whole vocabulary, and values far from 0."""
    inputs = (
        TensorSpec("image", "float32", ("batch", 1, "height", "width")),
        TensorSpec("ids", "int64", ("batch", "words")),
    )
    random = np.random.default_rng(0)
    examples: dict[str, Any] = {
        "image": random.normal(100, 5, (3, 1, 6, 8)).astype(np.float32),
        "ids": random.integers(50, 1000, (3, 5)),
    }
    found = load_calibration("random", inputs, samples=32, examples=examples)
    feeds = list(found)
    assert (len(feeds), found.samples) == (11, 33)
    assert {f["image"].shape for f in feeds} == {(3, 1, 6, 8)}
    assert {f["ids"].shape for f in feeds} == {(3, 5)}
    ids = np.concatenate([f["ids"].ravel() for f in feeds])
    assert (examples["ids"].min() <= ids).all() and (ids <= examples["ids"].max()).all() and np.ptp(ids) > 500
    assert abs(np.mean([f["image"].mean() for f in feeds]) - 100) < 2
    np.testing.assert_array_equal(feeds[0]["image"], examples["image"])


def test_without_examples_random_takes_other_extents_than_one() -> None:
    feeds = list(load_calibration("random", (TensorSpec("x", "float32", ("batch", 3, "height", "width")),), samples=4))
    assert len({feeds[0]["x"].shape[axis] for axis in (0, 2, 3)} | {1}) == 4


def test_a_bundled_sample_gives_its_own_data() -> None:
    spec = TensorSpec("x", "float32", (1, 1))
    from edgeworthy.samples import SAMPLES

    arrays = SAMPLES["linear_regression"].calibration(5, 0)
    (name,) = arrays
    found = load_calibration("sample:linear_regression", (TensorSpec(name, "float32", spec.shape),), samples=5)
    np.testing.assert_array_equal(np.concatenate([f[name] for f in found]), arrays[name].reshape(-1, 1))
    assert found.fit_for_deployment


@pytest.mark.parametrize(
    ("count", "batch", "used", "spare"),
    [(200, 1, 128, 16), (100, 1, 84, 16), (16, 1, 12, 4), (2, 1, 1, 1), (9, 3, 6, 1)],
)
def test_feeds_are_held_out_where_that_is_asked(tmp_path: Path, count: int, batch: int, used: int, spare: int) -> None:
    """What is used is what ``--samples`` takes of the same file, and nothing that is held out is among it."""
    np.savez(tmp_path / "c.npz", x=np.arange(count, dtype=np.float32)[:, None])
    inputs = [TensorSpec("x", "float32", (batch, 1))]
    found = load_calibration(tmp_path / "c.npz", inputs, hold_out=True)
    assert (found.samples, found.spare) == (used, spare)
    same = load_calibration(tmp_path / "c.npz", inputs, samples=used)
    values = [feed["x"].ravel().tolist() for feed in found]
    assert values == [feed["x"].ravel().tolist() for feed in same]
    held, said = found.held_out(100)
    assert len(held) == spare and said.startswith("samples held out")
    assert not {v for feed in held for v in feed["x"].ravel().tolist()} & {v for row in values for v in row}


@pytest.mark.parametrize(("spec", "name"), [("sample:linear_regression", "x"), ("random", "x")])
def test_what_is_drawn_is_drawn_once_more_to_be_held_out(spec: str, name: str) -> None:
    """The samples that are used stay those that are used without."""
    inputs = (TensorSpec(name, "float32", (1, 1)),)
    plain, found = (load_calibration(spec, inputs, samples=6, hold_out=held) for held in (False, True))
    assert [feed[name].item() for feed in plain] == [feed[name].item() for feed in found]
    assert (plain.spare, found.spare, found.samples) == (0, SPARE, 6)
    assert found.survey.sha256 == plain.survey.sha256


def test_too_few_samples_to_hold_any_out_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.zeros((5, 1), np.float32))
    with pytest.raises(BadInput, match="the model takes 3 at once") as caught:
        load_calibration(tmp_path / "c.npz", [TensorSpec("x", "float32", (3, 1))], hold_out=True)
    assert "give 6 at least" in str(caught.value)


def test_an_unknown_sample_lists_those_that_exist() -> None:
    error = refused("sample:nothing")
    assert "sample:digits_cnn" in error.details


@pytest.mark.parametrize("names", [np.array(["a.png", "b.png"]), np.array([b"a"]), np.zeros(2, "datetime64[s]")])
def test_what_holds_no_numbers_is_not_told_by_its_shape(tmp_path: Path, names: Any) -> None:
    np.savez(tmp_path / "names.npz", x=names)
    with pytest.raises(BadInput, match=r"'x' holds (texts|datetime64\[s\]) and no numbers") as caught:
        load_calibration(tmp_path / "names.npz", [TensorSpec("x", "float32", (1, 4))])
    assert "x:float32[1,4]" in str(caught.value.remedy)
