"""Convolutional families made for phones, each from its paper's table: 3 channels in, 1,000 classes out."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from .blocks import Classifier, ConvNorm, InvertedResidual, SqueezeExcite, divisible

CLASSES = 1000


def mobilenet_v2(width: float = 1.0) -> nn.Module:
    """M. Sandler et al., *MobileNetV2*, arXiv:1801.04381, table 2."""
    # expansion, channels, repeats, first stride
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    channels = divisible(32 * width)
    layers: list[nn.Module] = [ConvNorm(3, channels, 3, 2, activation=nn.ReLU6)]
    for expansion, outputs, repeats, first_stride in table:
        for repeat in range(repeats):
            block = InvertedResidual(
                channels,
                divisible(outputs * width),
                expanded=channels * expansion,
                kernel=3,
                stride=first_stride if repeat == 0 else 1,
                activation=nn.ReLU6,
            )
            layers.append(block)
            channels = divisible(outputs * width)
    last = divisible(1280 * max(1.0, width))
    layers.append(ConvNorm(channels, last, activation=nn.ReLU6))
    return Classifier(nn.Sequential(*layers), nn.Linear(last, CLASSES))


def mobilenet_v3_large(width: float = 1.0) -> nn.Module:
    """A. Howard et al., *Searching for MobileNetV3*, arXiv:1905.02244, table 1."""
    relu, swish = nn.ReLU, nn.Hardswish
    # kernel, expanded, channels, squeeze-and-excite, activation, stride
    table = (
        (3, 16, 16, False, relu, 1),
        (3, 64, 24, False, relu, 2),
        (3, 72, 24, False, relu, 1),
        (5, 72, 40, True, relu, 2),
        (5, 120, 40, True, relu, 1),
        (5, 120, 40, True, relu, 1),
        (3, 240, 80, False, swish, 2),
        (3, 200, 80, False, swish, 1),
        (3, 184, 80, False, swish, 1),
        (3, 184, 80, False, swish, 1),
        (3, 480, 112, True, swish, 1),
        (3, 672, 112, True, swish, 1),
        (5, 672, 160, True, swish, 2),
        (5, 960, 160, True, swish, 1),
        (5, 960, 160, True, swish, 1),
    )
    channels = divisible(16 * width)
    layers: list[nn.Module] = [ConvNorm(3, channels, 3, 2, activation=swish)]
    for kernel, expanded, outputs, squeezes, activation, stride in table:
        wide = divisible(expanded * width)
        squeeze = SqueezeExcite(wide, divisible(wide / 4), nn.ReLU, nn.Hardsigmoid) if squeezes else None
        block = InvertedResidual(
            channels,
            divisible(outputs * width),
            expanded=wide,
            kernel=kernel,
            stride=stride,
            activation=activation,
            squeeze=squeeze,
        )
        layers.append(block)
        channels = divisible(outputs * width)
    wide = divisible(960 * width)
    layers.append(ConvNorm(channels, wide, activation=swish))
    hidden = divisible(1280 * width)
    head = nn.Sequential(nn.Linear(wide, hidden), swish(), nn.Linear(hidden, CLASSES))
    return Classifier(nn.Sequential(*layers), head)


def efficientnet_b0(width: float = 1.0) -> nn.Module:
    """M. Tan and Q. Le, *EfficientNet*, arXiv:1905.11946, table 1."""
    # expansion, kernel, channels, repeats, first stride
    table = (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )
    channels = divisible(32 * width)
    layers: list[nn.Module] = [ConvNorm(3, channels, 3, 2, activation=nn.SiLU)]
    for expansion, kernel, outputs, repeats, first_stride in table:
        for repeat in range(repeats):
            wide = channels * expansion
            block = InvertedResidual(
                channels,
                divisible(outputs * width),
                expanded=wide,
                kernel=kernel,
                stride=first_stride if repeat == 0 else 1,
                activation=nn.SiLU,
                squeeze=SqueezeExcite(wide, max(1, channels // 4), nn.SiLU, nn.Sigmoid),
            )
            layers.append(block)
            channels = divisible(outputs * width)
    last = divisible(1280 * width)
    layers.append(ConvNorm(channels, last, activation=nn.SiLU))
    return Classifier(nn.Sequential(*layers), nn.Linear(last, CLASSES))


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's figures 3c and 3d: half of the channels pass, or with stride 2 both shrink; all mix."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.splits = stride == 1
        entering = half if self.splits else inputs
        plain = partial(ConvNorm, activation=None)
        self.left = (
            nn.Identity()
            if self.splits
            else nn.Sequential(plain(inputs, inputs, 3, stride, groups=inputs), ConvNorm(inputs, half))
        )
        self.right = nn.Sequential(
            ConvNorm(entering, half), plain(half, half, 3, stride, groups=half), ConvNorm(half, half)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1) if self.splits else (x, x)
        return _shuffle(torch.cat([self.left(left), self.right(right)], dim=1))


def _shuffle(x: torch.Tensor) -> torch.Tensor:
    """Channels of the two halves in turn."""
    n, channels, height, width = x.shape
    return x.view(n, 2, channels // 2, height, width).transpose(1, 2).reshape(n, channels, height, width)


def shufflenet_v2(width: float = 1.0) -> nn.Module:
    """N. Ma et al., *ShuffleNet V2*, arXiv:1807.11164, table 5 (1×)."""
    # channels, units
    table = ((116, 4), (232, 8), (464, 4))
    channels = 24
    layers: list[nn.Module] = [ConvNorm(3, channels, 3, 2), nn.MaxPool2d(3, 2, padding=1)]
    for full, units in table:
        outputs = divisible(full * width, by=2)
        layers.append(ShuffleUnit(channels, outputs, stride=2))
        layers.extend(ShuffleUnit(outputs, outputs, stride=1) for _ in range(units - 1))
        channels = outputs
    layers.append(ConvNorm(channels, 1024))
    return Classifier(nn.Sequential(*layers), nn.Linear(1024, CLASSES))
