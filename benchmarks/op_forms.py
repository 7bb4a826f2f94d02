"""The operator forms of ``ops.py``: small modules as models have them, with the extents of a middle layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE = (1, 64, 56, 56)
SMALL = (1, 128, 28, 28)
TOKENS = (1, 196, 192)


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


class Recurrent(nn.Module):
    """All hidden states of a recurrent layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        return self.layer(x)[0]


class Added(nn.Module):
    """Convolutions side by side whose results are added, as RepVGG is trained."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Any:
        return reduce(torch.add, [branch(x) for branch in self.branches])


class Attention(nn.Module):
    """Self-attention as vision transformers write it."""

    def __init__(self, channels: int, heads: int, *, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Any:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = ((q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(n, t, c))


class Multihead(nn.Module):
    """Self-attention by PyTorch's own layer."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, x, x, need_weights=False)[0]


@dataclass(frozen=True)
class OpForm:
    """A row: a name, of which the part before the comma is the family, a module, and the shapes of its inputs.

    ``tokens``: the inputs are int64 below this number; None: they are normal numbers.
    """

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    tokens: int | None = None

    def module(self) -> nn.Module:
        """With the same weights each time."""
        torch.manual_seed(0)
        return self.make().eval()

    def inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        if self.tokens is not None:
            return tuple(torch.randint(self.tokens, shape, generator=random) for shape in self.shapes)
        return tuple(torch.randn(shape, generator=random) for shape in self.shapes)


def _conv(shape: Sequence[int], out: int | None = None, kernel: Any = 3, **more: Any) -> Callable[[], nn.Module]:
    more.setdefault("padding", "same" if more.get("stride", 1) == 1 else kernel // 2)
    return lambda: nn.Conv2d(shape[1], out or shape[1], kernel, **more)


def _of(function: Callable[..., Any]) -> Callable[[], nn.Module]:
    return lambda: Of(function)


_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.ELU, nn.Mish,
    nn.LeakyReLU, nn.Softplus,
)  # fmt: skip


def _windows(x: Tensor) -> Any:
    """[1,56,56,C] → [64,49,C], as Swin has it."""
    return x.reshape(1, 8, 7, 8, 7, 64).transpose(2, 3).reshape(64, 49, 64) * 2


def _every_second(x: Tensor) -> Tensor:
    """[N,C,H,W] → [N,4C,H/2,W/2], as patches are merged and YOLO begins."""
    return torch.cat([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)


def _sum_of_parts(x: Tensor) -> Tensor:
    a, b, c, d, e, f = torch.split(x, 32, -1)
    return torch.add(torch.add(a * b, c * d), e * f)


def _turned(x: Tensor) -> Tensor:
    """Each of the parts of axis 1 times its index."""
    return torch.stack([part * float(i) for i, part in enumerate(x.unbind(1))], 1)


def _rows() -> Iterator[OpForm]:
    def row(name: str, make: Callable[[], nn.Module], *shapes: tuple[int, ...], tokens: int | None = None) -> OpForm:
        return OpForm(name, make, shapes or (IMAGE,), tokens)

    yield row("convolution, 3×3", _conv(IMAGE))
    yield row("convolution, 3×3 stride 2", _conv(IMAGE, stride=2))
    yield row("convolution, 1×1", _conv(IMAGE, 256, 1))
    yield row("convolution, 7×7 stride 2", _conv((1, 3), 64, 7, stride=2), (1, 3, 224, 224))
    yield row("convolution, 4×4 patches", lambda: nn.Conv2d(3, 96, 4, 4), (1, 3, 224, 224))
    yield row("convolution, 16×16 patches", lambda: nn.Conv2d(3, 192, 16, 16), (1, 3, 224, 224))
    yield row("convolution, dilation 2", _conv(SMALL, dilation=2), SMALL)
    yield row("convolution, dilation 12", _conv(SMALL, dilation=12), SMALL)
    yield row("convolution, dilation 36", _conv(SMALL, dilation=36), SMALL)
    yield row("convolution, 3×3 and 1×1 added", lambda: Added(_conv(IMAGE)(), _conv(IMAGE, kernel=1)()))
    yield row("convolution, 2 groups", _conv(IMAGE, groups=2))
    yield row("convolution, 32 groups", _conv(SMALL, groups=32), SMALL)
    yield row("convolution, reflected border", _conv(IMAGE, padding=1, padding_mode="reflect"))
    yield row("convolution, 1-D", lambda: nn.Conv1d(64, 64, 3, padding=1), (1, 64, 1000))
    yield row("convolution, 1-D causal, dilation 4", lambda: nn.Conv1d(64, 64, 3, padding=8, dilation=4), (1, 64, 500))
    yield row("convolution, 3-D", lambda: nn.Conv3d(16, 16, 3, padding=1), (1, 16, 8, 28, 28))
    for size in (3, 5, 7, 9, 11):
        yield row(f"depthwise, {size}×{size}", _conv(IMAGE, kernel=size, groups=64))
    yield row("depthwise, 3×3 stride 2", _conv(IMAGE, groups=64, stride=2))
    yield row("depthwise, 7×7 stride 2", _conv(IMAGE, kernel=7, groups=64, stride=2))
    yield row("depthwise, 1×31", _conv(SMALL, kernel=(1, 31), groups=128), SMALL)
    yield row("depthwise, dilation 2", _conv(IMAGE, groups=64, dilation=2))
    yield row("depthwise, 7×7 and 3×3 added", lambda: Added(*(_conv(IMAGE, kernel=k, groups=64)() for k in (7, 3))))
    yield row("depthwise, two outputs a channel", _conv(IMAGE, 128, groups=64))
    yield row("transposed, 2×2 stride 2", lambda: nn.ConvTranspose2d(64, 32, 2, 2))
    yield row("transposed, 4×4 stride 2", lambda: nn.ConvTranspose2d(64, 32, 4, 2, 1))
    yield row("transposed, 3×3 stride 2", lambda: nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1))
    yield row("transposed, depthwise 4×4 stride 2", lambda: nn.ConvTranspose2d(64, 64, 4, 2, 1, groups=64))
    yield row("transposed, rows by 16, stride 8", lambda: nn.ConvTranspose1d(64, 32, 16, 8, 4), (1, 64, 200))
    yield row("max pool, 2×2 stride 2", lambda: nn.MaxPool2d(2))
    yield row("max pool, 3×3 stride 2", lambda: nn.MaxPool2d(3, 2))
    yield row("max pool, 3×3 stride 2, padded", lambda: nn.MaxPool2d(3, 2, 1))
    yield row("max pool, the same after a ReLU", lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)))
    yield row("max pool, 5×5 stride 1, padded", lambda: nn.MaxPool2d(5, 1, 2))
    yield row("average pool, 2×2 stride 2", lambda: nn.AvgPool2d(2))
    yield row("average pool, 3×3, padding counts", lambda: nn.AvgPool2d(3, 1, 1))
    yield row("average pool, 3×3, padding doesn't", lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    yield row("average pool, of all", lambda: nn.AdaptiveAvgPool2d(1))
    yield row("average pool, adaptive 7×7", lambda: nn.AdaptiveAvgPool2d(7))
    yield row("resize, nearest ×2", lambda: nn.Upsample(scale_factor=2), SMALL)
    yield row("resize, bilinear ×2", lambda: nn.Upsample(scale_factor=2, mode="bilinear"), SMALL)
    yield row("resize, bilinear ×2, corners", lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
              SMALL)  # fmt: skip
    yield row("norm, batch", lambda: nn.BatchNorm2d(64))
    yield row("norm, group of 8", lambda: nn.GroupNorm(8, 64))
    yield row("norm, group of all", lambda: nn.GroupNorm(1, 64))
    yield row("norm, instance", lambda: nn.InstanceNorm2d(64, affine=True))
    yield row("norm, layer", lambda: nn.LayerNorm(192), TOKENS)
    yield row("norm, RMS", lambda: nn.RMSNorm(192), TOKENS)
    yield row("norm, L2 (F.normalize)", _of(lambda x: F.normalize(x, dim=-1)), TOKENS)
    for activation in _ACTIVATIONS:
        yield row(f"activation, {activation.__name__}", activation)
    yield row("activation, PReLU", lambda: nn.PReLU(64))
    yield row("activation, clamp(0, 1)", _of(lambda x: x.clamp(0, 1)))
    yield row("activation, clamp(-2, 2)", _of(lambda x: x.clamp(-2, 2)))
    yield row("recurrent, LSTM of 16 steps", lambda: Recurrent(nn.LSTM(32, 32, batch_first=True)), (1, 16, 32))
    yield row("recurrent, LSTM of 100 steps", lambda: Recurrent(nn.LSTM(64, 128, batch_first=True)), (1, 100, 64))
    yield row("recurrent, LSTM both ways", lambda: Recurrent(nn.LSTM(32, 32, batch_first=True, bidirectional=True)),
              (1, 32, 32))  # fmt: skip
    yield row("recurrent, GRU of 32 steps", lambda: Recurrent(nn.GRU(32, 64, batch_first=True)), (1, 32, 32))
    yield row("attention, written out", lambda: Attention(192, 3, fused=False), TOKENS)
    yield row("attention, scaled_dot_product", lambda: Attention(192, 3, fused=True), TOKENS)
    yield row("attention, nn.MultiheadAttention", lambda: Multihead(192, 3), TOKENS)
    yield row("product, Linear", lambda: nn.Linear(192, 768), TOKENS)
    yield row("product, Linear of one row", lambda: nn.Linear(1024, 1000), (1, 1024))
    yield row("product, two activations", _of(torch.matmul), (1, 3, 196, 64), (1, 3, 64, 196))
    yield row("movement, image to tokens", _of(lambda x: x.flatten(2).transpose(1, 2) * 2))
    yield row("movement, windows of 7×7", _of(_windows), (1, 56, 56, 64))
    yield row("movement, PixelShuffle", lambda: nn.PixelShuffle(2), SMALL)
    yield row("movement, PixelUnshuffle", lambda: nn.PixelUnshuffle(2))
    yield row("movement, channel shuffle", lambda: nn.ChannelShuffle(4))
    yield row("movement, every second pixel", _of(_every_second))
    yield row("movement, every second channel", _of(lambda x: torch.cat([-x[..., 1::2], x[..., ::2]], -1)), TOKENS)
    yield row("movement, concatenation of 3", _of(lambda x: torch.cat([x, x * 2, x + 1], 1)))
    yield row("movement, concatenation of 8", _of(lambda x: torch.cat([x + float(i) for i in range(8)], 1)))
    yield row("movement, split into 6", _of(_sum_of_parts), TOKENS)
    yield row("movement, unbind and stack", _of(_turned), (1, 4, 196, 192))
    yield row("movement, roll", _of(lambda x: x.roll((-3, -3), (1, 2)) * 2), (1, 56, 56, 64))
    yield row("movement, expand", _of(lambda x: torch.cat([x, x.mean(1, keepdim=True).expand_as(x)], -1)), TOKENS)
    yield row("movement, reflected border", _of(lambda x: F.pad(x, (3, 3, 3, 3), mode="reflect") * 2))
    yield row("softmax, last axis", _of(lambda x: x.softmax(-1)), (1, 3, 196, 196))
    yield row("softmax, channels", _of(lambda x: x.softmax(1)), (1, 21, 56, 56))
    yield row("softmax, log", _of(lambda x: x.log_softmax(-1)), TOKENS)
    yield row("softmax, log of channels", _of(lambda x: x.log_softmax(1)), (1, 21, 56, 56))
    yield row("softmax, rows of an image", _of(lambda x: x.softmax(2)), (1, 21, 56, 56))
    yield row("embedding", lambda: nn.Embedding(5000, 192), (1, 128), tokens=5000)
    yield row("reduction, mean of tokens", _of(lambda x: x.mean(1)), TOKENS)
    yield row("reduction, max of channels", _of(lambda x: x.amax(1, keepdim=True)))
    yield row("reduction, squeeze and excite", lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, 16, 1), nn.ReLU(), nn.Conv2d(16, 64, 1), nn.Sigmoid()))  # fmt: skip
    yield row("reduction, argmax", _of(lambda x: x.argmax(1)), (1, 21, 56, 56))
    yield row("reduction, cumsum", _of(lambda x: x.cumsum(1)), TOKENS)


FORMS = tuple(_rows())
