"""Seeded weights and real inputs for networks that nobody has trained.

A fresh network is a poor test of a converter: BatchNorm computes x, biases and layer scales are nought, and
after fifty layers the outputs are tiny or all alike. ``seed_weights`` gives every parameter a value that
matters.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from .training import deterministic

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
TransposedConvolution = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_MATRICES = ("MultiheadAttention", "Conv1D", "Experts")
"""What the names of other modules that multiply by their parameters end in: PyTorch's, and those of transformers."""


def photos(n: int, size: int, seed: int = 0) -> torch.Tensor:
    """``n`` crops of scikit-learn's two sample photographs, float32 ``[n, 3, size, size]``.

    Crops are 160 to 400 pixels wide before they are resized; colours are normalised with ImageNet's mean and
    deviation.
    """
    try:
        from sklearn.datasets import load_sample_images
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the photographs come with scikit-learn: pip install 'edgeworthy[samples]'", name=error.name
        ) from error
    pictures = load_sample_images().images
    draw = np.random.default_rng(seed)
    crops = []
    for index in range(n):
        picture = pictures[index % len(pictures)]
        side = int(draw.integers(160, 401))
        top, left = (int(draw.integers(0, extent - side + 1)) for extent in picture.shape[:2])
        crop = torch.tensor(picture[top : top + side, left : left + side]).permute(2, 0, 1)[None] / 255
        crops.append(nn.functional.interpolate(crop, (size, size), mode="bilinear", antialias=True))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _STD))
    return (torch.cat(crops) - mean) / std


def seed_weights(model: nn.Module, batch: dict[str, torch.Tensor], seed: int) -> None:
    """Give ``model`` random weights under which signals keep their size, and leave it in eval mode.

    Convolutions are drawn with He's deviation √(2 / fan-in), Linears with √(1 / fan-in), recurrent layers as PyTorch
    does; norms get scales in 0.5..1.5 and offsets; embeddings, class tokens and layer scales are drawn from 0.2..1 with
    either sign. BatchNorm's statistics are those of ``batch`` (several examples, in the order of ``forward``'s
    arguments), moved by up to 10 %, so that they normalise without being exact; frozen ones are drawn.

    Source: K. He et al., *Delving Deep into Rectifiers*, arXiv:1502.01852.
    """
    with deterministic(seed), torch.no_grad():
        model.eval()
        for module in model.modules():
            _seed_module(module)
        norms = [m for m in model.modules() if isinstance(m, BatchNorm)]
        if norms:
            _take_statistics(model, norms, batch)
    model.eval()


def _seed_module(module: nn.Module) -> None:
    kind = type(module).__name__
    for name, parameter in module.named_parameters(recurse=False):
        if "Norm" in kind:
            parameter.uniform_(0.5, 1.5) if name == "weight" else parameter.normal_(0, 0.2)
        elif isinstance(module, nn.RNNBase):
            parameter.uniform_(-1, 1).div_(math.sqrt(module.hidden_size))
        elif isinstance(module, nn.Linear | Convolution | TransposedConvolution) or kind.endswith(_MATRICES):
            parameter.normal_(0, _deviation(module, parameter) if parameter.ndim > 1 else 0.1)
        else:
            parameter.uniform_(0.2, 1).mul_(torch.randint_like(parameter, 0, 2).mul_(2).sub_(1))
    if "FrozenBatchNorm" in kind:
        for name, buffer in module.named_buffers(recurse=False):
            buffer.uniform_(0.5, 1.5) if name in ("weight", "running_var") else buffer.normal_(0, 0.2)


def _deviation(layer: nn.Module, weight: nn.Parameter) -> float:
    if isinstance(layer, nn.Linear):
        return math.sqrt(1 / layer.in_features)
    if not isinstance(layer, Convolution | TransposedConvolution):
        return math.sqrt(1 / max(weight.shape[-2:]))
    fan_in: float = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, TransposedConvolution):
        # An output pixel sees every stride-th tap of the kernel.
        fan_in /= math.prod(layer.stride)
    return math.sqrt(2 / fan_in)


def _take_statistics(model: nn.Module, norms: list[BatchNorm], batch: dict[str, torch.Tensor]) -> None:
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    model(*batch.values())
    for norm in norms:
        norm.momentum = 0.1
        mean, variance = norm.running_mean, norm.running_var
        if mean is not None and variance is not None:
            # A channel that hardly varies here would be blown up on another input.
            variance.clamp_(min=float(variance.mean()) / 10).mul_(torch.empty_like(variance).uniform_(0.9, 1.1))
            mean.add_(variance.sqrt() * torch.empty_like(mean).uniform_(-0.1, 0.1))
