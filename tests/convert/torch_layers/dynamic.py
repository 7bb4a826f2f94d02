"""Models with dimensions that are known at run time only; each runs at two sizes."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .case import Case, Draw, First, Function, integers, normal, uniform

BATCH = {0: "batch"}
IMAGE = {2: "height", 3: "width"}
LENGTH = {2: "length"}
SEQUENCE = {1: "sequence"}
ALL = {0: "batch", 1: "sequence"}


def dynamic(name: str, axes: dict[int, str], of: Callable[..., Any], *sizes: Sequence[Draw]) -> Case:
    """A case with the same dynamic axes on every input, at two ``sizes``. ``of`` makes a module, or is a function."""
    inputs, other = sizes
    makes_module = isinstance(of, type) or not signature(of).parameters
    make = of if makes_module else lambda: Function(of)
    return Case(f"dynamic_{name}", make, tuple(inputs), (axes,) * len(inputs), tuple(other))


class _SequenceModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.position = nn.Embedding(16, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        result: torch.Tensor = self.layer(x).mean(1)
        return result


class _VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 5, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1) + self.position
        result: torch.Tensor = self.block(tokens)[:, 0]
        return result


class _FeaturePyramid(nn.Module):
    """Upsamples to the size of another feature map."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.high, self.low = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = self.high(x)
        return high + F.interpolate(self.low(high), size=high.shape[-2:], mode=self.mode)


class _Windows(nn.Module):
    """Window attention's partition and its inverse, as in Swin."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, h, w, c = x.shape
        windows = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        windows = windows.softmax(1)
        return windows.view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)


def _conv_net(head: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, 2, 1), head)


def _classifier() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


def _padded_to_four(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, (4 - x.shape[3] % 4) % 4, 0, (4 - x.shape[2] % 4) % 4))


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _batches(*shape: int) -> tuple[tuple[Draw], tuple[Draw]]:
    """Two batch sizes of one input."""
    return (normal(2, *shape),), (normal(3, *shape),)


_IMAGES = (normal(1, 3, 16, 16),), (normal(1, 3, 24, 20),)
_SMALL = (normal(1, 3, 5, 6),), (normal(1, 3, 7, 9),)

DYNAMIC = [
    dynamic(
        "batch_mlp", BATCH, lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), *_batches(6)
    ),
    dynamic("batch_conv_net", BATCH, lambda: _conv_net(_classifier()), *_batches(3, 16, 16)),
    dynamic("batch_vision_transformer", BATCH, _VisionTransformer, *_batches(3, 8, 8)),
    dynamic("batch_windows", BATCH, _Windows, *_batches(4, 6, 3)),
    dynamic(
        "batch_flatten",
        BATCH,
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)),
        *_batches(3, 8, 8),
    ),
    dynamic("batch_conv1d", BATCH, lambda: nn.Sequential(nn.Conv1d(3, 4, 3, 2), nn.BatchNorm1d(4)), *_batches(3, 9)),
    dynamic(
        "batch_conv3d",
        BATCH,
        lambda: nn.Sequential(nn.Conv3d(2, 3, 3, groups=1), nn.MaxPool3d(2)),
        *_batches(2, 7, 7, 7),
    ),
    dynamic("batch_deconv", BATCH, lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1), *_batches(3, 5, 6)),
    dynamic("batch_deconv_depthwise", BATCH, lambda: nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4), *_batches(4, 5, 6)),
    dynamic("batch_upsample", BATCH, lambda: nn.Upsample(scale_factor=2, mode="bilinear"), *_batches(3, 5, 6)),
    dynamic("batch_bicubic", BATCH, lambda: nn.Upsample(scale_factor=2, mode="bicubic"), *_batches(3, 5, 6)),
    dynamic("batch_pixel_shuffle", BATCH, lambda: nn.PixelShuffle(2), *_batches(8, 5, 6)),
    dynamic("batch_group_norm", BATCH, lambda: nn.GroupNorm(2, 6), *_batches(6, 4, 5)),
    dynamic("batch_max_pool", BATCH, lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), *_batches(3, 8, 8)),
    dynamic(
        "batch_adaptive_max", BATCH, lambda: First(nn.AdaptiveMaxPool2d(1, return_indices=True)), *_batches(3, 4, 4)
    ),
    dynamic(
        "batch_attention",
        BATCH,
        lambda: nn.MultiheadAttention(8, 2, batch_first=True),
        (normal(2, 5, 8),) * 3,
        (normal(3, 5, 8),) * 3,
    ),
    dynamic("batch_lstm", BATCH, lambda: First(nn.LSTM(4, 5, batch_first=True)), *_batches(6, 4)),
    dynamic("batch_gru", BATCH, lambda: First(nn.GRU(4, 5, batch_first=True, bidirectional=True)), *_batches(6, 4)),
    dynamic(
        "batch_grid_sample",
        BATCH,
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        (normal(2, 3, 5, 6), uniform(-1, 1, 2, 4, 4, 2)),
        (normal(3, 3, 5, 6), uniform(-1, 1, 3, 4, 4, 2)),
    ),
    dynamic(
        "batch_einsum",
        BATCH,
        lambda x, y: torch.einsum("bid,bjd->bij", x, y),
        (normal(2, 3, 4), normal(2, 5, 4)),
        (normal(3, 3, 4), normal(3, 5, 4)),
    ),
    dynamic(
        "batch_gather",
        BATCH,
        lambda x, i: x.gather(1, i),
        (normal(2, 6), integers(0, 6, 2, 4)),
        (normal(3, 6), integers(0, 6, 3, 4)),
    ),
    dynamic(
        "batch_scatter",
        BATCH,
        lambda x, i: torch.zeros_like(x).scatter(1, i, 1.0),
        (normal(2, 6), integers(0, 6, 2, 1)),
        (normal(3, 6), integers(0, 6, 3, 1)),
    ),
    dynamic("batch_slice_assign", BATCH, lambda x: torch.cat([x[:, 1:], x[:, :1] * 0], 1), *_batches(4, 3)),
    dynamic("batch_topk", BATCH, lambda x: tuple(x.topk(2)), *_batches(6)),
    dynamic("batch_norm_of_rows", BATCH, lambda x: F.normalize(x - x.mean(0)), *_batches(6)),
    dynamic(
        "batch_one_hot",
        BATCH,
        lambda i: F.one_hot(i, 4).float() * 0.9 + 0.1,
        (integers(0, 4, 2),),
        (integers(0, 4, 5),),
    ),
    dynamic("batch_outer", BATCH, lambda x: x @ x.T, *_batches(4)),
    dynamic("batch_zeros", BATCH, lambda x: x * 0 + torch.zeros(x.shape[0], 3), *_batches(3)),
    dynamic("sequence", SEQUENCE, _SequenceModel, (integers(0, 11, 2, 6),), (integers(0, 11, 2, 9),)),
    dynamic("batch_and_sequence", ALL, _SequenceModel, (integers(0, 11, 2, 6),), (integers(0, 11, 3, 9),)),
    dynamic("causal_attention", {2: "sequence"}, _causal, (normal(2, 2, 5, 4),) * 3, (normal(2, 2, 7, 4),) * 3),
    dynamic(
        "cumulative_positions", SEQUENCE, lambda m: m.cumsum(1) * m, (integers(0, 2, 2, 6),), (integers(0, 2, 2, 9),)
    ),
    dynamic(
        "sequence_einsum",
        ALL,
        lambda x, y: torch.einsum("bihd,bjhd->bhij", x, y),
        (normal(2, 4, 2, 3),) * 2,
        (normal(3, 5, 2, 3),) * 2,
    ),
    dynamic(
        "length_conv1d",
        LENGTH,
        lambda: nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 2, 3, 2)),
        (normal(1, 3, 12),),
        (normal(1, 3, 17),),
    ),
    dynamic(
        "length_deconv1d", LENGTH, lambda: nn.ConvTranspose1d(3, 4, 4, 2, 1), (normal(1, 3, 6),), (normal(1, 3, 9),)
    ),
    dynamic("image_conv_net", IMAGE, lambda: _conv_net(_classifier()), *_IMAGES),
    dynamic("image_segmentation", IMAGE, lambda: _conv_net(nn.Upsample(scale_factor=4, mode="bilinear")), *_IMAGES),
    dynamic("image_segmentation_nearest", IMAGE, lambda: _conv_net(nn.Upsample(scale_factor=4)), *_IMAGES),
    dynamic("image_pyramid", IMAGE, lambda: _FeaturePyramid("bilinear"), *_IMAGES),
    dynamic("image_pyramid_nearest", IMAGE, lambda: _FeaturePyramid("nearest"), *_IMAGES),
    dynamic("image_instance_norm", IMAGE, lambda: _conv_net(nn.InstanceNorm2d(5, affine=True)), *_IMAGES),
    dynamic("image_group_norm", IMAGE, lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6)), *_IMAGES),
    dynamic("image_avg_pool", IMAGE, lambda: nn.AvgPool2d(3, 2, 1), *_SMALL),
    dynamic("image_avg_pool_excluded", IMAGE, lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), *_SMALL),
    dynamic("image_max_pool", IMAGE, lambda: nn.MaxPool2d(3, 2, 1), *_SMALL),
    dynamic(
        "image_pixel_shuffle", IMAGE, lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2)), *_SMALL
    ),
    dynamic("image_pixel_unshuffle", IMAGE, lambda: nn.PixelUnshuffle(2), *_IMAGES),
    dynamic("image_channel_shuffle", IMAGE, lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.ChannelShuffle(3)), *_SMALL),
    dynamic("image_deconv", IMAGE, lambda: nn.ConvTranspose2d(3, 4, 2, 2), *_SMALL),
    dynamic("image_deconv_padded", IMAGE, lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), *_SMALL),
    dynamic("image_reflect", IMAGE, lambda: nn.ReflectionPad2d(1), *_SMALL),
    dynamic("image_replicate", IMAGE, lambda: nn.ReplicationPad2d(1), *_SMALL),
    dynamic("image_circular", IMAGE, lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), *_SMALL),
    dynamic("image_padded_to_four", IMAGE, _padded_to_four, *_SMALL),
    dynamic("image_squeeze_excite", IMAGE, lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)), *_SMALL),
    dynamic("image_tokens", IMAGE, lambda x: x.flatten(2).transpose(1, 2), *_SMALL),
    dynamic("image_crop", IMAGE, lambda x: x[:, :, 1:-1, 2:], *_SMALL),
    dynamic("image_softmax", IMAGE, lambda x: x.softmax(1).argmax(1), *_SMALL),
]
