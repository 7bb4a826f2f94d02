"""The zoo: that the architectures are the papers', and that their outputs are worth comparing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgeworthy.convert import convert
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.samples import zoo
from edgeworthy.source.load import load_source

from ..noops import noops

# Parameters as the papers' authors, torchvision and transformers count them, for 1,000 classes.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_large": 5_483_032,
    "efficientnet_b0": 5_288_548,
    "shufflenet_v2": 2_278_604,
    "densenet121": 7_978_856,
    "convnext_tiny": 28_589_128,
    "bert_base": 109_482_240,
    "vit_base": 86_567_656,
}


def _outputs(model: nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        output = model(**inputs)
    return output if isinstance(output, tuple) else (output,)


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "_seeded", lambda model, examples, seed: model)
    with torch.device("meta"):
        model = zoo.ZOO[name].factory()
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", zoo.ZOO)
def test_small_outputs_have_size_and_depend_on_the_input(name: str) -> None:
    model: Any = zoo.ZOO[name].factory(small=True)
    other: Any = zoo.ZOO[name].factory(seed=1, small=True)
    assert not model.training
    outputs = _outputs(model, model.example_inputs)
    elsewhere = _outputs(model, other.example_inputs)
    for here, there in zip(outputs, elsewhere, strict=True):
        assert here.shape == there.shape and here.shape[0] == 1
        assert 0.1 < here.std() < 10 and here.abs().max() < 100
        assert (here - there).std() > 0.05 * here.std()
        assert torch.isfinite(here).all()


@pytest.mark.parametrize("name", ["mobilenet_v2", "bert_base"])
def test_the_seed_decides_the_weights_whatever_the_threads(name: str) -> None:
    threads = torch.get_num_threads()
    first = zoo.ZOO[name].factory(small=True).state_dict()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        again = getattr(zoo, f"{name}_small")().state_dict()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    other = zoo.ZOO[name].factory(seed=1, small=True).state_dict()
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


def test_batch_norms_do_something() -> None:
    model = zoo.ZOO["resnet18"].factory(small=True)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 12
    for norm in norms:
        assert norm.running_mean is not None and norm.running_mean.abs().min() > 0
        assert norm.weight.std() > 0.1 and norm.bias.std() > 0.05


def test_names_of_the_zoo_are_importable() -> None:
    assert zoo.ZOO["unet"].spec() == "edgeworthy.samples.zoo:unet"
    assert zoo.ZOO["unet"].spec(small=True) == "edgeworthy.samples.zoo:unet_small"
    with pytest.raises(AttributeError, match="no attribute 'lenet_small'"):
        _ = zoo.lenet_small
    with pytest.raises(AttributeError):
        _ = zoo.lenet


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.ZOO)
def test_nothing_in_a_converted_model_does_nothing(name: str, tmp_path: Path) -> None:
    onnx = export_onnx(load_source(zoo.ZOO[name].spec(small=True)), tmp_path / "model.onnx").model
    for io_layout in ("keep", "nhwc"):
        made = convert(onnx, tmp_path / io_layout, to=("tflite",), io_layout=io_layout).tflite
        assert made is not None
        assert noops(made.path) == []
    assert made is not None
    calibration = load_calibration("random", made.inputs)
    for scheme in ("float16", "int8"):
        path = tmp_path / f"{scheme}.tflite"
        quantize(made, path, Recipe.of(scheme), calibration=calibration if scheme == "int8" else None)
        assert noops(path) == []
