"""The bundled sample, and the families of the zoo and of `torch_models` with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from . import pictures
from .subject import Feed, Subject

_MEAN, _DEVIATION = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)
_ZOO, _CODE = "edgeworthy.samples.zoo", "edgeworthy.benchmarks.quantized.torch_models"


def _photographs(size: int, count: int, seed: int) -> list[Feed]:
    return [
        {"image": pictures.channels_first(pictures.crop(size, size, seed * 10_000 + i), _MEAN * 255, _DEVIATION * 255)}
        for i in range(count)
    ]


def _digits(count: int, seed: int) -> list[Feed]:
    """The first seed's are of the training images, the others' of the test images."""
    from edgeworthy.samples import digits

    images = digits.digits()[min(seed, 1)].images
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    return [{"image": images[index : index + 1]} for index in chosen]


def _sentences(count: int, seed: int) -> list[Feed]:
    """Random words; the rest of each sentence is padding, which the mask hides."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(count):
        mask = (np.arange(64) < draw.integers(8, 65)).astype(np.int64)[None]
        found.append({"input_ids": draw.integers(0, 30_522, (1, 64)) * mask, "attention_mask": mask})
    return found


def _walks(count: int, seed: int) -> list[Feed]:
    """64 features that wander and return, as measured ones do."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(count):
        steps, value = draw.normal(0, 0.5, (32, 64)), np.zeros((32, 64))
        for t in range(32):
            value[t] = 0.8 * value[t - 1] + steps[t]
        found.append({"features": value[None].astype(np.float32)})
    return found


def _seeded(
    name: str, summary: str, feeds: Callable[[int, int], list[Feed]], data: str, *, home: str = _ZOO, factory: str = ""
) -> Subject:
    spec = f"{home}:{factory or name}"
    return Subject(name, summary, lambda: spec, feeds, data)


_PHOTOS = "crops of photographs"

UNTRAINED = (
    Subject(
        "digits_cnn", "the bundled sample, trained", lambda: "sample:digits_cnn", _digits, "handwritten digits",
        package="scikit-learn's digits",
    ),
    _seeded("mobilenet_v2", "MobileNetV2", partial(_photographs, 224), _PHOTOS),
    _seeded("mobilenet_v3_large", "MobileNetV3-L", partial(_photographs, 224), _PHOTOS),
    _seeded("efficientnet_b0", "EfficientNet-B0", partial(_photographs, 224), _PHOTOS),
    _seeded("resnet18", "ResNet-18", partial(_photographs, 224), _PHOTOS),
    _seeded("convnext_tiny", "ConvNeXt-T", partial(_photographs, 224), _PHOTOS),
    _seeded("vit_small", "ViT-S/16", partial(_photographs, 224), _PHOTOS, home=_CODE),
    _seeded("bert_small", "BERT-small, 64 tokens", _sentences, "random words under a mask", home=_CODE),
    _seeded("detector", "a YOLO-like head on a small backbone", partial(_photographs, 256), _PHOTOS, home=_CODE),
    _seeded("lstm", "two LSTMs over 32 steps", _walks, "random walks", home=_CODE),
    _seeded("gru", "two GRUs over 32 steps", _walks, "random walks", home=_CODE),
)  # fmt: skip
