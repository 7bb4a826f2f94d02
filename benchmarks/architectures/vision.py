"""Classifiers of images of the ``transformers`` package, those of ``samples/zoo.py``, and SqueezeNet."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeworthy.samples.zoo import ZOO

from .architecture import Architecture, normal
from .pretrained import configured

SIZE = 64
_STAGES: dict[str, Any] = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
_ENCODER: dict[str, Any] = {"image_size": SIZE, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                            "intermediate_size": 96}  # fmt: skip
ANY_SIZE, BATCH = "batch . height width", "batch . . ."

_CLASSIFIERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mobilenet_v1": ("MobileNetV1", ANY_SIZE, {"image_size": SIZE, "depth_multiplier": 0.5}),
    "regnet": ("RegNet", ANY_SIZE, {"embedding_size": 16, **_STAGES, "groups_width": 16}),
    "resnext_d": ("ResNet", ANY_SIZE, {"embedding_size": 16, "hidden_sizes": [32, 64, 96, 128],
                                       "depths": [1, 1, 1, 1], "downsample_in_bottleneck": True}),
    "bit": ("Bit", ANY_SIZE, {"embedding_size": 16, "hidden_sizes": [32, 64, 64, 64], "depths": [1, 1, 1, 1],
                              "num_groups": 8, "layer_type": "preactivation", "global_padding": "same"}),
    "efficientnet_v1": ("EfficientNet", ANY_SIZE, {"image_size": SIZE, "width_coefficient": 0.25,
                                                   "depth_coefficient": 0.3, "hidden_dim": 320}),
    "convnext_v2": ("ConvNextV2", ANY_SIZE, {"hidden_sizes": [16, 32, 64, 96], "depths": [1, 1, 2, 1]}),
    "hgnet_v2": ("HGNetV2", ANY_SIZE, {"stem_channels": [3, 8, 8], "embedding_size": 8,
                                       "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1],
                                       "stage_in_channels": [8, 16, 32, 48], "stage_mid_channels": [8, 16, 24, 32],
                                       "stage_out_channels": [16, 32, 48, 64], "stage_num_blocks": [1, 1, 1, 1],
                                       "stage_numb_of_layers": [2, 2, 2, 2]}),
    "swin": ("Swin", BATCH, {"image_size": SIZE, "embed_dim": 24, "depths": [1, 2], "num_heads": [2, 4],
                             "window_size": 4}),
    "swin_v2": ("Swinv2", BATCH, {"image_size": SIZE, "embed_dim": 24, "depths": [1, 2], "num_heads": [2, 4],
                                  "window_size": 4}),
    "poolformer": ("PoolFormer", ANY_SIZE, _STAGES),
    "pvt": ("Pvt", BATCH, {"image_size": SIZE, **_STAGES, "num_attention_heads": [1, 2, 3, 4],
                           "sequence_reduction_ratios": [8, 4, 2, 1]}),
    "pvt_v2": ("PvtV2", ANY_SIZE, {"image_size": SIZE, **_STAGES, "num_attention_heads": [1, 2, 3, 4]}),
    "mobilevit": ("MobileViT", BATCH, {"image_size": SIZE, "hidden_sizes": [24, 32, 48],
                                          "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]}),
    "mobilevit_v2": ("MobileViTV2", BATCH, {"image_size": SIZE, "width_multiplier": 0.25}),
    "swiftformer": ("SwiftFormer", ANY_SIZE, {"image_size": SIZE, "depths": [1, 1, 1, 1],
                                              "embed_dims": [16, 32, 48, 64]}),
    "levit": ("Levit", BATCH, {"image_size": SIZE, "hidden_sizes": [32, 48, 64], "num_attention_heads": [2, 3, 4],
                               "depths": [1, 1, 1], "key_dim": [8, 8, 8]}),
    "cvt": ("Cvt", ANY_SIZE, {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]}),
    "focalnet": ("FocalNet", ANY_SIZE, {"image_size": SIZE, "embed_dim": 16, "depths": [1, 1, 1, 1],
                                        "hidden_sizes": [16, 32, 48, 64], "focal_windows": [3, 3, 3, 3]}),
    "hiera": ("Hiera", BATCH, {"image_size": [SIZE, SIZE], "embed_dim": 16, "depths": [1, 1, 1, 1],
                               "num_heads": [1, 2, 4, 8]}),
    "deit": ("DeiT", BATCH, _ENCODER),
    "beit": ("Beit", BATCH, {**_ENCODER, "use_relative_position_bias": True}),
    "dinov2": ("Dinov2", ANY_SIZE, {**_ENCODER, "patch_size": 16}),
    "ijepa": ("IJepa", BATCH, {**_ENCODER, "patch_size": 16}),
}  # fmt: skip
"""Name → transformers' name of it, what may vary of the image, and its configuration.

MobileViTV2 asks whether an eighth of the height is even, which PyTorch 2.13 can't solve where the height varies.
"""
_SIZES = {"dinov2": ({"height": 96, "width": SIZE}, {"height": 128, "width": 96}, {"height": SIZE, "width": 32})}
"""Exported at the configuration's own size, its positions are those of that size alone."""


def _sample(name: str) -> Architecture:
    def make() -> nn.Module:
        return ZOO[name].factory(small=True)

    if name == "bert_base":
        from .architecture import mask, tokens

        inputs = {"input_ids": tokens(1000, 16), "attention_mask": mask(16)}
        return Architecture("text", make, inputs, dict.fromkeys(inputs, "batch length"))
    size = 8 if name == "mlp" else SIZE
    return Architecture("vision", make, {"image": normal(3, size, size)},
                        {"image": BATCH if name in ("mlp", "vit_base") else ANY_SIZE})  # fmt: skip


_FIRES = (None, (64, 16), (128, 16), None, (128, 32), (256, 32), None, (256, 48), (384, 48), (384, 64), (512, 64))
"""Channels that a fire of SqueezeNet 1.1 takes in, and those that it squeezes them to; None: a max pool."""


class _Fire(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.narrow, self.wide = nn.Conv2d(squeezed, 4 * squeezed, 1), nn.Conv2d(squeezed, 4 * squeezed, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        squeezed = self.squeeze(image).relu()
        return torch.cat([self.narrow(squeezed).relu(), self.wide(squeezed).relu()], dim=1)


def _squeezenet() -> nn.Module:
    """SqueezeNet 1.1. Source: F. Iandola et al., arXiv:1602.07360, and the 1.1 of its authors."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, ceil_mode=True) if fire is None else _Fire(*fire) for fire in _FIRES]
    return nn.Sequential(*layers, nn.Conv2d(512, 16, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


ARCHITECTURES = {
    **{name: _sample(name) for name in ZOO},
    "squeezenet": Architecture("vision", _squeezenet, {"input": normal(3, SIZE, SIZE)}, {"input": ANY_SIZE}),
    **{
        name: Architecture(
            "vision",
            configured(f"{kind}ForImageClassification", "pixel_values", "logits", {"num_labels": 16, **options}),
            {"pixel_values": normal(3, SIZE, SIZE)},
            {"pixel_values": axes},
            _SIZES.get(name, ()),
        )
        for name, (kind, axes, options) in _CLASSIFIERS.items()
    },
}
