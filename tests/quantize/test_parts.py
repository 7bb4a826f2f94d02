"""What decides by its small values: found, and left in float with what leads to it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize import devices
from edgeworthy.quantize.parts import compressions, normalizations
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.schemes import get_scheme

from .conftest import normal_feeds
from .test_devices import Calibrate
from .tflite_graph import FC, NO_ACTIVATION, Graph, Weights, i32, worst_sqnr

BINS = 32


def test_the_statistics_of_a_normalization_are_found(transformer: TFLiteModel) -> None:
    model = fb.read(transformer.path.read_bytes())
    kinds = [fb.op_name(model, op) for op in model.subgraphs[0].operators]
    found = Counter(kinds[i] for i in normalizations(model))
    assert found["RSQRT"] == 3
    assert found["MEAN"] == 6
    assert found["ADD"] == 3, "what adds epsilon, and neither beta nor a residual"


def test_a_root_alone_is_no_normalization(tmp_path: Path) -> None:
    g = Graph(x=(1, 8, 8))
    pooled = g.op("mean", [g.inputs[0], i32(1)], (1, 8), keep_dims=False)
    y = g.op("sqrt", [g.op("exp", [pooled], (1, 8))], (1, 8))
    model = fb.read(g.save(tmp_path / "m.tflite", y=y).path.read_bytes())
    assert normalizations(model) == set()


def spectrum(path: Path, end: str, *, mel: bool = False) -> TFLiteModel:
    """Two layers as of a Fourier transform, their power, perhaps its mel bands, a root or logarithm, and a layer."""
    g, weights = Graph(x=(1, 64)), Weights(0)
    halves = [
        g.op("fully_connected", [g.inputs[0], weights(BINS, 64, fan_in=64), g.no_value()], (1, BINS), **FC)
        for _ in "ri"
    ]
    squares = [g.op("mul", [half, half], (1, BINS), **NO_ACTIVATION) for half in halves]
    power = g.op("add", squares, (1, BINS), **NO_ACTIVATION)
    if mel:
        bands = np.abs(weights(BINS, BINS, fan_in=BINS))
        power = g.op("fully_connected", [power, bands, g.no_value()], (1, BINS), **FC)
    safe = g.op("add", [power, np.array(1e-6, np.float32)], (1, BINS), **NO_ACTIVATION)
    exponent = [np.array(0.3, np.float32)] if end == "pow" else []
    loud = g.op(end, [safe, *exponent], (1, BINS))
    y = g.op("fully_connected", [loud, weights(8, BINS, fan_in=BINS), g.no_value()], (1, 8), **FC)
    return g.save(path, y=y)


def kinds(model: TFLiteModel, which: Any) -> Counter[str]:
    content = fb.read(model.path.read_bytes())
    return Counter(fb.op_name(content, content.subgraphs[0].operators[index]) for index in which(content))


@pytest.mark.parametrize(("end", "layers"), [("log", 2), ("sqrt", 0), ("rsqrt", 0), ("pow", 0)])
def test_what_leads_from_squares_to_a_root_or_logarithm_is_found(tmp_path: Path, end: str, layers: int) -> None:
    found = kinds(spectrum(tmp_path / "m.tflite", end), compressions)
    assert found == Counter(MUL=2, ADD=2, FULLY_CONNECTED=layers, **{end.upper(): 1})


@pytest.mark.parametrize("end", ["log", "sqrt"])
def test_mel_bands_between_are_found(tmp_path: Path, end: str) -> None:
    found = kinds(spectrum(tmp_path / "m.tflite", end, mel=True), compressions)
    assert found["FULLY_CONNECTED"] == (3 if end == "log" else 1)


def test_a_long_chain_takes_no_longer_than_its_operators(tmp_path: Path) -> None:
    """Each sum is read twice by the next: there are 2^1500 ways through them."""
    g = Graph(x=(1, 4))
    y = g.op("abs", [g.inputs[0]], (1, 4))
    for _ in range(1500):
        y = g.op("add", [y, g.op("relu", [y], (1, 4))], (1, 4), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=g.op("log", [y], (1, 4)))
    assert kinds(model, compressions) == Counter(ABS=1, ADD=1500, RELU=1500, LOG=1)


def test_a_logarithm_without_squares_stands_alone(tmp_path: Path) -> None:
    g, weights = Graph(x=(1, 64)), Weights(0)
    hidden = g.op("fully_connected", [g.inputs[0], weights(8, 64, fan_in=64), g.no_value()], (1, 8), **FC)
    y = g.op("log", [g.op("logistic", [hidden], (1, 8))], (1, 8))
    assert kinds(g.save(tmp_path / "m.tflite", y=y), compressions) == Counter(LOG=1)


@pytest.mark.parametrize("scheme", ["int8", "static_wi8_ai16"])
@pytest.mark.parametrize("device", ["cpu", "arm"])
def test_layers_of_a_spectrum_keep_int8_weights(tmp_path: Path, device: str, scheme: str) -> None:
    model = spectrum(tmp_path / "m.tflite", "log", mel=True)
    decided = devices.preferences(model.path.read_bytes(), get_scheme(scheme), device)
    computed = Counter(decision.compute for decision in decided.values())
    assert computed == Counter(weights=3, float32=5)


def test_a_spectrum_is_true_in_integers(tmp_path: Path, calibrate: Calibrate) -> None:
    """Of samples between which lie four decades; the last layer is in int8 all the same."""
    model = spectrum(tmp_path / "m.tflite", "log", mel=True)
    feeds = [{"x": 10.0**-i * feed["x"]} for i in range(5) for feed in normal_feeds(model, 4)]
    for scheme in ("int8", "static_wi8_ai16"):
        recipe, data = Recipe.of(scheme, device="arm"), calibrate(model, feeds=feeds)
        made = quantize(model, tmp_path / f"{scheme}.tflite", recipe, calibration=data)
        assert worst_sqnr(model.path, made.model.path, feeds) > 25, scheme
