"""The model families edgeworthy is measured on, with seeded weights and example inputs (``samples.seeding``).

Each is addressed as ``edgeworthy.samples.zoo:NAME``. ``NAME_small`` is the same architecture, narrower,
shallower and on smaller inputs, for tests that should take seconds. ``docs/models.md`` says what became of
each.

A factory takes ``seed=0`` and ``small=False`` and returns the module in eval mode. Its ``example_inputs``
(input name → tensor of batch size 1) are a crop of a photograph or a sentence of random words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

_EXAMPLES = 8
"""Examples that BatchNorm's statistics are taken from."""

_SMALL_ENCODER = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}


@dataclass(frozen=True)
class ZooModel:
    """One architecture: its factory's name, one line about it, and the factory."""

    name: str
    summary: str
    factory: Callable[..., nn.Module]

    def spec(self, *, small: bool = False) -> str:
        """The model as a source for ``edgeworthy run``."""
        return f"{__name__}:{self.name}{'_small' if small else ''}"


def mlp(seed: int = 0, small: bool = False) -> nn.Module:
    from .dense_nets import MLP

    size, widths = (8, (64, 64)) if small else (32, (1024, 512, 256))
    return _on_photos(MLP((3 * size * size, *widths, 10)), seed, size)


def resnet18(seed: int = 0, small: bool = False) -> nn.Module:
    from .conv_nets import resnet

    depths, width = ((1, 1, 1, 1), 16) if small else ((2, 2, 2, 2), 64)
    return _on_photos(resnet(depths, bottleneck=False, width=width), seed, 64 if small else 224)


def resnet50(seed: int = 0, small: bool = False) -> nn.Module:
    from .conv_nets import resnet

    depths, width = ((1, 1, 1, 1), 16) if small else ((3, 4, 6, 3), 64)
    return _on_photos(resnet(depths, bottleneck=True, width=width), seed, 64 if small else 224)


def mobilenet_v2(seed: int = 0, small: bool = False) -> nn.Module:
    from .mobile_nets import mobilenet_v2

    return _on_photos(mobilenet_v2(0.25 if small else 1), seed, 64 if small else 224)


def mobilenet_v3_large(seed: int = 0, small: bool = False) -> nn.Module:
    from .mobile_nets import mobilenet_v3_large

    return _on_photos(mobilenet_v3_large(0.35 if small else 1), seed, 64 if small else 224)


def efficientnet_b0(seed: int = 0, small: bool = False) -> nn.Module:
    from .mobile_nets import efficientnet_b0

    return _on_photos(efficientnet_b0(0.25 if small else 1), seed, 64 if small else 224)


def shufflenet_v2(seed: int = 0, small: bool = False) -> nn.Module:
    from .mobile_nets import shufflenet_v2

    return _on_photos(shufflenet_v2(0.5 if small else 1), seed, 64 if small else 224)


def densenet121(seed: int = 0, small: bool = False) -> nn.Module:
    from .conv_nets import densenet

    depths, growth = ((2, 2, 2, 2), 8) if small else ((6, 12, 24, 16), 32)
    return _on_photos(densenet(depths, growth), seed, 64 if small else 224)


def convnext_tiny(seed: int = 0, small: bool = False) -> nn.Module:
    from .conv_nets import convnext

    depths, width = ((1, 1, 2, 1), 16) if small else ((3, 3, 9, 3), 96)
    return _on_photos(convnext(depths, [width << stage for stage in range(4)]), seed, 64 if small else 224)


def unet(seed: int = 0, small: bool = False) -> nn.Module:
    from .conv_nets import UNet

    return _on_photos(UNet(8 if small else 32), seed, 64 if small else 224)


def bert_base(seed: int = 0, small: bool = False) -> nn.Module:
    from .dense_nets import Bert

    if small:
        return _on_words(Bert(**_SMALL_ENCODER, vocab_size=1000, max_position_embeddings=64), seed, 1000, 16)
    return _on_words(Bert(), seed, 30522, 128)


def vit_base(seed: int = 0, small: bool = False) -> nn.Module:
    from .dense_nets import ViT

    if small:
        return _on_photos(ViT(classes=1000, image_size=64, **_SMALL_ENCODER), seed, 64)
    return _on_photos(ViT(classes=1000), seed, 224)


ZOO: dict[str, ZooModel] = {
    factory.__name__: ZooModel(factory.__name__, summary, factory)
    for factory, summary in (
        (mlp, "MLP 3072-1024-512-256-10 with BatchNorm"),
        (resnet18, "ResNet-18"),
        (resnet50, "ResNet-50"),
        (mobilenet_v2, "MobileNetV2"),
        (mobilenet_v3_large, "MobileNetV3-Large: squeeze-and-excite, hard-swish"),
        (efficientnet_b0, "EfficientNet-B0: squeeze-and-excite, SiLU"),
        (shufflenet_v2, "ShuffleNetV2 1×: channel split and shuffle"),
        (densenet121, "DenseNet-121: concatenations"),
        (convnext_tiny, "ConvNeXt-Tiny: LayerNorm, GELU, layer scale"),
        (unet, "U-Net: transposed convolution, bilinear and nearest resize, pixel shuffle"),
        (bert_base, "BERT-base encoder, 128 tokens, with an attention mask"),
        (vit_base, "ViT-B/16"),
    )
}


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """``NAME_small`` for every NAME of the zoo."""
    model = ZOO.get(name.removesuffix("_small"))
    if model is None or not name.endswith("_small"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return partial(model.factory, small=True)


def _on_photos(model: nn.Module, seed: int, size: int) -> nn.Module:
    from .seeding import photos

    return _seeded(model, {"image": photos(_EXAMPLES, size, seed)}, seed)


def _on_words(model: nn.Module, seed: int, vocabulary: int, length: int) -> nn.Module:
    """With sentences of random words; the last quarter of each is padding, which the mask hides."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, vocabulary, (_EXAMPLES, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[:, length * 3 // 4 :] = 0
    return _seeded(model, {"input_ids": ids * mask, "attention_mask": mask}, seed)


def _seeded(model: nn.Module, examples: dict[str, torch.Tensor], seed: int) -> nn.Module:
    from .seeding import seed_weights

    seed_weights(model, examples, seed)
    model.example_inputs = {name: value[:1].clone() for name, value in examples.items()}  # type: ignore[assignment]
    return model
