"""Convolutional families from their papers, for 3-channel images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .blocks import Classifier, ConvNorm

CLASSES = 1000


class ResidualBlock(nn.Module):
    """Convolutions 3×3, 3×3 (``bottleneck``: 1×1, 3×3, 1×1) beside a shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = width * 4 if bottleneck else width
        self.layers = (
            nn.Sequential(
                ConvNorm(inputs, width),
                ConvNorm(width, width, 3, stride),
                ConvNorm(width, outputs, activation=None),
            )
            if bottleneck
            else nn.Sequential(ConvNorm(inputs, width, 3, stride), ConvNorm(width, width, 3, activation=None))
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else ConvNorm(inputs, outputs, stride=stride, activation=None)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


def resnet(depths: Sequence[int], *, bottleneck: bool, width: int = 64) -> nn.Module:
    """K. He et al., *Deep Residual Learning*, arXiv:1512.03385, table 1.

    Stages halve the image in their 3×3 convolution.
    """
    layers: list[nn.Module] = [ConvNorm(3, width, 7, 2), nn.MaxPool2d(3, 2, padding=1)]
    channels = width
    for stage, depth in enumerate(depths):
        inner = width << stage
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(ResidualBlock(channels, inner, stride, bottleneck))
            channels = inner * 4 if bottleneck else inner
    return Classifier(nn.Sequential(*layers), nn.Linear(channels, CLASSES))


class DenseLayer(nn.Module):
    """BatchNorm, ReLU and 1×1 convolution, then the same with 3×3; the result is appended to the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            ConvNorm(inputs, 4 * growth),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


def densenet(depths: Sequence[int], growth: int) -> nn.Module:
    """G. Huang et al., *Densely Connected Convolutional Networks*, arXiv:1608.06993, table 1."""
    channels = 2 * growth
    layers: list[nn.Module] = [ConvNorm(3, channels, 7, 2), nn.MaxPool2d(3, 2, padding=1)]
    for stage, depth in enumerate(depths):
        if stage > 0:
            halved = channels // 2
            transition = nn.Conv2d(channels, halved, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), transition, nn.AvgPool2d(2)]
            channels = halved
        for _ in range(depth):
            layers.append(DenseLayer(channels, growth))
            channels += growth
    layers += [nn.BatchNorm2d(channels), nn.ReLU()]
    return Classifier(nn.Sequential(*layers), nn.Linear(channels, CLASSES))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of an NCHW tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7, LayerNorm, an inverted bottleneck of two Linears with GELU, layer scale, shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.layer_scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.pointwise(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.layer_scale * y).permute(0, 3, 1, 2)


def convnext(depths: Sequence[int], widths: Sequence[int]) -> nn.Module:
    """Z. Liu et al., *A ConvNet for the 2020s*, arXiv:2201.03545, section 2."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6)]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage > 0:
            before = widths[stage - 1]
            layers += [ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)]
        layers += [ConvNeXtBlock(width) for _ in range(depth)]
    head = nn.Sequential(nn.LayerNorm(widths[-1], eps=1e-6), nn.Linear(widths[-1], CLASSES))
    return Classifier(nn.Sequential(*layers), head)


class UNet(nn.Module):
    """Encoder and decoder with shortcuts: image ``[n, 3, h, w]`` → logits ``[n, classes, h, w]``.

    Four levels each halve the image, so 16 must divide ``h`` and ``w``. The four ways up differ, to have them
    all in one model: transposed convolution, bilinear resize, nearest resize, pixel shuffle.

    Source: O. Ronneberger et al., *U-Net*, arXiv:1505.04597, with padded convolutions and BatchNorm.
    """

    def __init__(self, width: int, classes: int = 21) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        self.down = nn.ModuleList(_double(*pair) for pair in zip([3, *widths], widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        w0, w1, w2, w3, w4 = widths
        self.up = nn.ModuleList(
            [
                nn.ConvTranspose2d(w4, w3, 2, 2),
                nn.Sequential(Enlarge("bilinear"), nn.Conv2d(w3, w2, 3, padding=1)),
                nn.Sequential(Enlarge("nearest"), nn.Conv2d(w2, w1, 3, padding=1)),
                nn.Sequential(nn.Conv2d(w1, 4 * w0, 1), nn.PixelShuffle(2)),
            ]
        )
        self.merge = nn.ModuleList(_double(2 * w, w) for w in (w3, w2, w1, w0))
        self.classify = nn.Conv2d(w0, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.down[0](image)
        shortcuts = []
        for stage in list(self.down)[1:]:
            shortcuts.append(x)
            x = stage(self.pool(x))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([shortcuts.pop(), up(x)], dim=1))
        logits: torch.Tensor = self.classify(x)
        return logits


class Enlarge(nn.Module):
    """Twice the height and width."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2.0, mode=self.mode)


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(ConvNorm(inputs, outputs, 3), ConvNorm(outputs, outputs, 3))
