"""What the zoo's convolutional networks are made of.

Dropout and stochastic depth, which do nothing at inference, are left out of all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]


class ConvNorm(nn.Sequential):
    """Convolution without bias, "same" padding for odd kernels; BatchNorm; an activation unless None."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation | None = nn.ReLU,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(outputs)]
        super().__init__(*layers, *([activation()] if activation else []))


class SqueezeExcite(nn.Module):
    """Scales channels by what two 1×1 convolutions make of their means (J. Hu et al., arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int, activation: Activation, gate: Activation) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, channels, 1),
            gate(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale: torch.Tensor = self.scale(x)
        return x * scale


class InvertedResidual(nn.Module):
    """Expand by 1×1, depthwise, perhaps squeeze-and-excite, project by 1×1; a shortcut where shapes allow."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expanded: int,
        kernel: int,
        stride: int,
        activation: Activation,
        squeeze: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *([ConvNorm(inputs, expanded, activation=activation)] if expanded != inputs else []),
            ConvNorm(expanded, expanded, kernel, stride, groups=expanded, activation=activation),
            *([squeeze] if squeeze else []),
            ConvNorm(expanded, outputs, activation=None),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Classifier(nn.Module):
    """Features, their mean over the image, a head: image ``[n, 3, h, w]`` → logits ``[n, classes]``."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.pool(self.features(image)).flatten(1))
        return logits


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of ``by``, but at least 90 % of ``channels``: the mobile families' rounding."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded
