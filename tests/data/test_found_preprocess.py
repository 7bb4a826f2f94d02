"""Preprocessing that the model's makers wrote down: what is read from where, against what they compute with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.found_preprocess import find, fitting, of_processor, of_timm, of_transforms
from edgeworthy.data.preprocess import ImageReader, Preprocess, stated
from edgeworthy.errors import BadInput
from edgeworthy.source.load import Source, load_source

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Smooth, so that another rounding of edges shows little, and of another aspect ratio."""
    y, x = np.mgrid[:300, :400]
    pixels = np.stack((x / 2 + 20, y / 2 + 60, 255 - (x + y) / 4), -1).clip(0, 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def source(shape: tuple[int | str, ...] = (1, 3, 224, 224), dtype: str = "float32", **more: Any) -> Source:
    return Source("m.onnx", "onnx", None, None, (TensorSpec("image", dtype, shape),), {}, **more)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViTImageProcessor", {}),
        ("ViTImageProcessor", {"size": {"height": 224, "width": 160}, "resample": 3, **IMAGENET}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
        ("CLIPImageProcessor", {}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 256}, "crop_size": {"height": 192, "width": 224}}),
        ("MobileNetV2ImageProcessor", {}),
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 288}, "crop_size": {"height": 256, "width": 256}}),
        ("ViTImageProcessor", {"do_rescale": False, "do_normalize": False}),
        ("ViTImageProcessor", {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}),
    ],
)  # fmt: skip
def test_what_a_processor_of_transformers_computes(
    name: str, options: dict[str, Any], photo: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    processor = getattr(transformers, name)(**options)
    processor.save_pretrained(tmp_path)
    with Image.open(photo) as image:
        wanted = np.asarray(processor(image.convert("RGB"), return_tensors="np")["pixel_values"])
    found = find(source(("b", 3, "h", "w")), [tmp_path])
    assert found is not None
    assert found.origin == str(tmp_path / "preprocessor_config.json")
    got = ImageReader(TensorSpec("image", "float32", ("b", 3, "h", "w")), found)(photo)
    assert got.shape == wanted.shape[1:]
    assert np.abs(got - wanted[0]).max() < 0.03 * np.ptp(wanted)
    assert np.abs(got - wanted[0]).mean() < 0.005 * np.ptp(wanted)


def test_configs_of_other_things_are_none(tmp_path: Path) -> None:
    assert of_processor({"feature_size": 80, "sampling_rate": 16000, "do_normalize": True}) is None
    assert of_processor({"tokenizer_class": "BertTokenizer"}) is None
    assert find(source(), [tmp_path]) is None


@pytest.mark.parametrize(
    "text", ["{", '{"size": "large", "crop_size": [], "image_mean": [0.5]}', '{"image_mean": ["x"]}']
)
def test_a_broken_config_is_an_error_that_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(BadInput, match="can't be read") as caught:
        find(source(), [tmp_path])
    assert caught.value.where == str(tmp_path / "preprocessor_config.json")


def test_timm() -> None:
    config = {
        "input_size": (3, 240, 240), "crop_pct": 0.9, "interpolation": "bicubic", "crop_mode": "center",
        "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "url": "",
    }  # fmt: skip
    found = of_timm(config)
    assert found is not None
    assert (found.size, found.resize, found.fit, found.interpolation) == ((240, 240), 266, "crop", "bicubic")
    assert (found.mean, found.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    squashed = of_timm(config | {"crop_mode": "squash"})
    assert squashed and (squashed.fit, squashed.resize) == ("stretch", None)
    assert of_timm({"num_classes": 10}) is None
    made = source()
    made.module = SimpleNamespace(pretrained_cfg=config)  # type: ignore[assignment]
    for_224 = find(made)
    assert for_224 and (for_224.size, for_224.resize) == (None, round(266 * 224 / 240))


def test_torchvision() -> None:
    preset = SimpleNamespace(
        crop_size=[224], resize_size=[232], mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225],
        interpolation=SimpleNamespace(value="bilinear"),
    )  # fmt: skip
    found = of_transforms(preset, "here")
    assert found == Preprocess((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resize=232, origin="here")
    assert of_transforms(SimpleNamespace(), "here") is None
    torchvision = pytest.importorskip("torchvision")
    spec = "torchvision:mobilenet_v3_small"
    real = find(load_source(spec, weights=None, inputs=("x:float32[1,3,224,224]",)))
    assert real is not None
    assert real.resize == torchvision.models.MobileNet_V3_Small_Weights.DEFAULT.transforms().resize_size[0]


def test_found_steps_are_made_to_fit_the_input() -> None:
    found = Preprocess((224, 224), (0.5,), (0.5,), resize=256)
    for shape in ((1, 3, 112, 112), (1, 112, 112, 3)):
        smaller = fitting(found, TensorSpec("x", "float32", shape))
        assert (smaller.size, smaller.resize) == (None, 128)
    assert fitting(found, TensorSpec("x", "float32", (1, 3, "h", "w"))) == found
    raw = fitting(found, TensorSpec("x", "uint8", (1, 224, 224, 3)))
    assert (raw.mean, raw.std, raw.size) == ((0.0,), (1.0,), (224, 224))


def test_what_a_user_says_wins_field_by_field() -> None:
    base = Preprocess((224, 224), (0.5,), (0.25,), resize=256, origin="a file")
    changed = stated(base, {"mean": [0.1, 0.2, 0.3], "size": [128]})
    assert (changed.mean, changed.std, changed.size, changed.resize) == ((0.1, 0.2, 0.3), (0.25,), (128, 128), 256)
    assert changed.origin == "a file, with another mean, size"
    assert stated(Preprocess(fit="stretch"), {"crop": [96, 128]}) == Preprocess((96, 128), fit="crop")
    assert stated(base, {}) is not None and stated(base, {}) == base
    with pytest.raises(BadInput, match="they differ"):
        stated(base, {"crop": [224], "size": [256]})


def test_flags_over_toml_over_found_and_a_warning_without_any(tmp_path: Path) -> None:
    """The command line as a whole: what it says, and the ranges that come of it."""
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / f"images/{i}.png")
    (tmp_path / "net.py").write_text(
        "import torch\n\n\ndef make():\n    net = torch.nn.Conv2d(3, 4, 3)\n"
        "    net.example_inputs = (torch.randn(1, 3, 16, 16),)\n    return net\n"
    )

    def told(*flags: str) -> tuple[str, list[str]]:
        command = [sys.executable, "-m", "edgeworthy", "quantize", *flags]
        command += ["-o", "out", "--to", "tflite", "--scheme", "int8", "--calibration", "images", "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        report = json.loads(ran.stdout)
        return report["quantization"][0]["calibration"]["description"], report["warnings"]

    text, warnings = told("net.py:make")
    assert "mean 0, std 1" in text
    assert any("nothing says how the images of images become inputs" in w for w in warnings)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": 16, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]})
    )
    text, warnings = told("net.py:make")
    assert "preprocessing from " in text and "preprocessor_config.json: RGB" in text and "std 0.25,0.25,0.25" in text
    assert not any("nothing says" in w for w in warnings)
    (tmp_path / "e.toml").write_text(
        '[model]\nsource = "net.py:make"\n[quantize.preprocess]\nmean = [0.1]\nstd = [0.3]\n'
    )
    text, _ = told("e.toml", "--std", "0.7,0.8,0.9", "--crop", "16", "--resize", "18", "--layout", "NCHW")
    assert "shorter side 18, crop to 16×16" in text and "mean 0.1, std 0.7,0.8,0.9" in text
