"""Folders of images: classes, files that vanish, and folders that hold nothing of use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading
from edgeworthy.data.preprocess import Preprocess
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.validate.inputs import load_labelled

IMAGE = TensorSpec("image", "float32", (1, 3, 4, 4))
PLAIN = Reading(Preprocess())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("dog", "cat", "cat", "emu")):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (number * 50, 0, 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_folders_are_classes_by_their_sorted_names(folder: Path) -> None:
    found = load_labelled(folder, (IMAGE,), PLAIN)
    assert found.labels.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(found.inputs["image"][:, 0, 0, 0] * 255, [50, 100, 0, 150], rtol=1e-6)
    assert "classes are cat, dog, emu" in found.description
    assert load_calibration(folder, (IMAGE,), how=PLAIN).survey.labels == {"cat", "dog", "emu"}


def test_folders_that_are_numbers_are_those(folder: Path) -> None:
    for name, number in (("dog", "7"), ("cat", "0"), ("emu", "10")):
        (folder / name).rename(folder / number)
    assert load_labelled(folder, (IMAGE,), PLAIN).labels.tolist() == [0, 0, 10, 7]


def test_without_folders_there_are_no_classes(folder: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    assert load_calibration(folder, (IMAGE,), how=PLAIN).classes == frozenset()
    with pytest.raises(BadInput, match="no label for every sample") as caught:
        load_labelled(folder, (IMAGE,), PLAIN)
    assert "a folder for each class" in (caught.value.remedy or "")


def test_an_image_that_vanishes_is_named(folder: Path) -> None:
    found = load_calibration(folder, (IMAGE,), how=PLAIN)
    (folder / "cat" / "2.png").unlink()
    with pytest.raises(BadInput, match="can't read the image") as caught:
        list(found)
    assert caught.value.where == str(folder / "cat" / "2.png")


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(BadInput, match="no images and no sound"):
        load_calibration(tmp_path, (IMAGE,), how=PLAIN)
