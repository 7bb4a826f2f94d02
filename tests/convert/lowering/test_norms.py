"""Norms of instances and of groups with trained scales: as exact as before, in one pass over the image less."""

from __future__ import annotations

from copy import deepcopy
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.formats.tflite.operations import read
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.targets.remote.there.litert import LiteRTModel

NORMS = [nn.InstanceNorm2d(6, affine=True), nn.GroupNorm(1, 6), nn.GroupNorm(3, 6)]


def trained(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm.eval()


def made(norm: nn.Module, folder: Path, *, dynamic: bool) -> TFLiteModel:
    """The file for [1,6,13,9], or for images of any size and number."""
    path = folder / "norm.onnx"
    axes = {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n", 2: "h", 3: "w"}} if dynamic else {}
    torch.onnx.export(
        norm, (torch.zeros(1, 6, 13, 9),), str(path), dynamo=False, opset_version=21 if dynamic else 18,
        input_names=["x"], output_names=["y"], dynamic_axes=axes,
    )  # fmt: skip
    file = convert(path, folder, to=("tflite",)).tflite
    assert file is not None
    return file


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", NORMS, ids=["instance", "group of all", "groups"])
def test_scale_and_deviation_are_one_factor(norm: nn.Module, tmp_path: Path) -> None:
    """Of the products over the image there are two: the squares, and that with the factor."""
    file = made(trained(norm), tmp_path, dynamic=False)
    products = [op for op in read(file.path) if op.op == "MUL"]
    assert sum(prod(op.outputs[0].shape or (0,)) == 6 * 13 * 9 for op in products) == 2
    assert LiteRTModel(str(file.path), 1).receipt()["fallback"] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("norm", NORMS, ids=["instance", "group of all", "groups"])
def test_no_digits_are_lost(norm: nn.Module, dynamic: bool, tmp_path: Path) -> None:
    """Against PyTorch in float64, also where the mean is a hundred times what it deviates by."""
    file = made(trained(norm), tmp_path, dynamic=dynamic)
    exact = deepcopy(trained(norm)).double()
    for size in [(1, 6, 13, 9), *([(3, 6, 1, 7), (2, 6, 16, 31)] if dynamic else [])]:
        noise = torch.randn(size, generator=torch.Generator().manual_seed(1))
        for x, most in ((noise, 1e-5), (noise + 100, 5e-4), (noise * 1e15, 1e-5), (noise * 0, 1e-6)):
            (got,) = LiteRTModel(str(file.path), 1).run({"x": x.numpy()}).values()
            with torch.no_grad():
                want = exact(x.double()).numpy()
            assert np.abs(got - want).max() < most


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", NORMS, ids=["instance", "group of all", "groups"])
def test_int8(norm: nn.Module, tmp_path: Path) -> None:
    described = describe(made(trained(norm), tmp_path, dynamic=False).path)
    samples = torch.randn(32, 6, 13, 9, generator=torch.Generator().manual_seed(2)) * 2 + 1
    np.savez(tmp_path / "data.npz", x=samples.numpy()[:, None])
    path = tmp_path / "int8.tflite"
    quantize(described, path, Recipe.of("int8"), calibration=load_calibration(tmp_path / "data.npz", described.inputs))
    x = samples[:1]
    (got,) = LiteRTModel(str(path), 1).run({"x": x.numpy()}).values()
    with torch.no_grad():
        want = norm(x).numpy()
    assert 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum()) > 20
