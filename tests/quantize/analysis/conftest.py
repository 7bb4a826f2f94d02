"""Models and their files, each made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.analysis import QuantizationAnalysis
from edgeworthy.artifact import TFLiteModel
from edgeworthy.quantize.analysis.analyze import analyze
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .. import tflite_graph
from ..conftest import normal_feeds
from ..tflite_graph import Array
from . import planted


@dataclass(frozen=True)
class Analyzed:
    """A float file, the one made of it, the samples that both were run on, and what was found."""

    floating: TFLiteModel
    quantized: TFLiteModel
    held: list[dict[str, Array]]
    found: QuantizationAnalysis

    def rules(self) -> set[tuple[str, str]]:
        return {(finding.rule, finding.place.tensor) for finding in self.found.findings}


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Analyzed]:
    """By name: ``chain``, ``outlier`` and ``head`` of ``planted``; ``conv_net:SCHEME`` and ``transformer:SCHEME``."""
    folder, made = tmp_path_factory.mktemp("analyzed"), dict[str, Analyzed]()

    def get(name: str) -> Analyzed:
        if name not in made:
            made[name] = _analyzed(name, folder)
        return made[name]

    return get


def _analyzed(name: str, folder: Path) -> Analyzed:
    path, out = folder / f"{name}.tflite", folder / f"{name}_quantized.tflite"
    net, _, scheme = name.partition(":")
    if scheme:
        model = getattr(tflite_graph, net)(path)
        feeds = normal_feeds(model, 16)
        np.savez(folder / "c.npz", **{n: np.stack([f[n] for f in feeds]) for n in feeds[0]})  # type: ignore[arg-type]
        data = load_calibration(folder / "c.npz", model.inputs)
        file = quantize(model, out, Recipe.of(scheme), calibration=data).model
    else:
        makes = {"chain": planted.chain, "outlier": lambda p: planted.chain(p, planted=3), "head": planted.head}
        model = makes[name](path)
        file = planted.force(model, out, normal_feeds(model, 16))
    held = normal_feeds(model, 6, seed=7)
    return Analyzed(model, file, held, analyze(model, file, held, inputs="held out"))
