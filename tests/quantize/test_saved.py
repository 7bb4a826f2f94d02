"""Calibration sets that are kept: the samples that were used and those held back, and the same bytes again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import SPARE, CalibrationSet, load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.quantize.saved import Saved, check, save, saved_set

from .calibration_files import MASK, X, npz


def kept(found: CalibrationSet, inputs: Any, path: Path) -> Path:
    save(found.whole, Saved(found.samples, found.description, found.fit_for_deployment), inputs, path)
    return path


def same(one: CalibrationSet, other: CalibrationSet) -> None:
    assert (len(one), one.samples, one.survey.sha256) == (len(other), other.samples, other.survey.sha256)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.parametrize("batch", [1, 4])
def test_the_samples_that_are_used_come_again(tmp_path: Path, batch: int) -> None:
    inputs = (TensorSpec("x", "float32", (batch, 3)), TensorSpec("mask", "int64", (batch, 4)))
    random = np.random.default_rng(0)
    data = {"x": random.normal(size=(1001, 3)), "mask": random.integers(0, 2, (1001, 4), np.int32)}
    found = load_calibration(npz(tmp_path / "c.npz", **data), inputs, samples=200)
    path = kept(found, inputs, tmp_path / "kept.npz")
    with np.load(path) as archive:
        assert {name: (a.shape, str(a.dtype)) for name, a in archive.items()} == {
            "x": ((200 + SPARE * batch, 3), "float32"),
            "mask": ((200 + SPARE * batch, 4), "int64"),
        }
    same(found, load_calibration(path, inputs))  # without saying how many again
    again = kept(load_calibration(path, inputs), inputs, tmp_path / "again.npz")
    same(found, load_calibration(again, inputs))


def test_inputs_without_a_common_batch(tmp_path: Path) -> None:
    inputs = (X, TensorSpec("table", "float32", (7, 2)))
    found = load_calibration({"x": np.ones((5, 1, 3), "f4"), "table": np.ones((5, 7, 2), "f4")}, inputs)
    same(found, load_calibration(kept(found, inputs, tmp_path / "kept.npz"), inputs))


def test_noise_stays_noise(tmp_path: Path) -> None:
    found = load_calibration("random", (X, MASK), samples=5)
    again = load_calibration(kept(found, (X, MASK), tmp_path / "kept.npz"), (X, MASK))
    assert not again.fit_for_deployment
    assert "saved from random noise" in again.description
    same(found, again)


def test_int8_is_the_same_bytes(conv_net: TFLiteModel, tmp_path: Path) -> None:
    shape = conv_net.inputs[0].concrete_shape()[1:]
    rows = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)

    def numbers() -> Iterator[Any]:
        yield from rows

    found = load_calibration(numbers(), conv_net.inputs, samples=20)
    again = load_calibration(kept(found, conv_net.inputs, tmp_path / "kept.npz"), conv_net.inputs)
    made = [
        quantize(conv_net, tmp_path / f"{i}.tflite", Recipe.of("int8"), calibration=data).model.path.read_bytes()
        for i, data in enumerate((found, again))
    ]
    assert made[0] == made[1]


def test_samples_of_other_sizes_dont_fit_one_array(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (1, "length"))
    found = load_calibration([np.ones(3, np.float32), np.ones(4, np.float32)], (spec,))
    with pytest.raises(BadInput, match="of different sizes, and one array can't hold them"):
        kept(found, (spec,), tmp_path / "kept.npz")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_calibration("random", (X,), samples=5)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(BadInput, match="the disk is full") as caught:
        kept(found, (X,), tmp_path / "kept.npz")
    assert "--save-calibration" in (caught.value.remedy or "")
    assert not list(tmp_path.iterdir())


def test_where_it_may_be_saved(tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", x=np.ones((4, 3), np.float32))
    check(tmp_path / "new.npz", str(data))
    with pytest.raises(BadInput, match=r"doesn't end in \.npz"):
        check(tmp_path / "new.npy", str(data))
    with pytest.raises(BadInput, match="the calibration data itself"):
        check(data, str(data), force=True)
    with pytest.raises(BadInput, match="edgeworthy didn't make"):
        check(data, None)
    check(data, None, force=True)
    made = kept(load_calibration("random", (X,), samples=3), (X,), tmp_path / "kept.npz")
    check(made, str(data))
    assert saved_set(made) and saved_set(data) is None and saved_set(tmp_path / "none.npz") is None
