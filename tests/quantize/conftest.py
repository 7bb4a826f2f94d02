"""Models and calibration data that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.quantize.calibration import CalibrationSet, load_calibration

from . import tflite_graph
from .tflite_graph import Array

Feeds = Callable[[TFLiteModel, int, int], list[dict[str, Array]]]


@pytest.fixture(scope="session")
def conv_net(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    return tflite_graph.conv_net(tmp_path_factory.mktemp("models") / "conv_net.tflite")


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    return tflite_graph.transformer(tmp_path_factory.mktemp("models") / "transformer.tflite")


def normal_feeds(model: TFLiteModel, count: int, seed: int = 0) -> list[dict[str, Array]]:
    """Standard normal float inputs, and integers below 4."""
    random = np.random.default_rng(seed)
    feeds = []
    for _ in range(count):
        feed: dict[str, Array] = {}
        for spec in model.inputs:
            shape = spec.concrete_shape()
            if spec.dtype == "float32":
                feed[spec.name] = random.normal(size=shape).astype(np.float32)
            else:
                feed[spec.name] = random.integers(0, 4, shape).astype(spec.dtype)
        feeds.append(feed)
    return feeds


@pytest.fixture
def calibrate(tmp_path: Path) -> Callable[..., CalibrationSet]:
    """Calibration data of ``count`` feeds, by way of an ``.npz`` file."""

    def make(model: TFLiteModel, count: int = 32, feeds: list[dict[str, Array]] | None = None) -> CalibrationSet:
        feeds = feeds if feeds is not None else normal_feeds(model, count)
        path = tmp_path / "calibration.npz"
        np.savez(path, **{name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]})  # type: ignore[arg-type]
        return load_calibration(path, model.inputs)

    return make
