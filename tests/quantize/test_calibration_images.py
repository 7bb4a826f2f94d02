"""Calibration data from a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading
from edgeworthy.data.preprocess import Preprocess
from edgeworthy.quantize.calibration import load_calibration

from .calibration_files import X, refused

PHOTO = TensorSpec("image", "float32", (2, 3, 8, 8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(7):
        Image.fromarray(np.full((8, 8, 3), i * 10, np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_images_become_feeds(folder: Path) -> None:
    found = load_calibration(folder, (PHOTO,), how=Reading(Preprocess(mean=(0.5,))), samples=4)
    feeds = list(found)
    assert [f["image"].shape for f in feeds] == [(2, 3, 8, 8)] * 2
    values = [round(float(v + 0.5) * 255) for f in feeds for v in f["image"][:, 0, 0, 0]]
    assert values == [0, 20, 40, 60]
    assert "4 of 7 images" in found.description
    assert "mean 0.5" in found.description


def test_images_need_stated_preprocessing(folder: Path) -> None:
    error = refused(folder, (PHOTO,))
    assert "it isn't said how the images become inputs" in error.what
    assert any("mean" in line for line in error.details)


def test_images_feed_one_input_only(folder: Path) -> None:
    assert "2 inputs" in str(refused(folder, (PHOTO, X), how=Reading(Preprocess())))


def test_a_folder_without_images(tmp_path: Path) -> None:
    assert "no images" in str(refused(tmp_path, (PHOTO,), how=Reading(Preprocess())))
