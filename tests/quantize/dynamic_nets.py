"""Small networks with dynamic dimensions; each expands, gathers or shifts by extents known only while it runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PickedRows(nn.Module):
    """The rows that a score ranks highest, whole: indices expanded along the last axis.

    The example's scores are far apart, so that rounding them doesn't change which are the highest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(6, 6)
        with torch.no_grad():
            self.lin.weight.copy_(torch.eye(6) + 0.01 * torch.randn(6, 6))
        ranks = torch.tensor([[3.0, 0.0, 4.0, 1.0, 2.0], [1.0, 4.0, 0.0, 2.0, 3.0]])
        self.example_inputs = {"x": ranks[..., None] + 0.1 * torch.randn(2, 5, 6)}

    def forward(self, x: Tensor) -> Tensor:
        y = self.lin(x)
        index = y.amax(-1).topk(2)[1]
        return y.gather(1, index[..., None].expand(-1, -1, 6))


class YoloHead(nn.Module):
    """Boxes from a softmax over bins (DFL), anchored to a grid that is made from the map's own extents."""

    def __init__(self, bins: int = 8, classes: int = 5) -> None:
        super().__init__()
        self.bins = bins
        self.stem = nn.Conv2d(3, 16, 3, stride=8, padding=1)
        self.box = nn.Conv2d(16, 4 * bins, 1)
        self.score = nn.Conv2d(16, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.silu(self.stem(image))
        b, _, h, w = x.shape
        bins = torch.arange(self.bins, dtype=x.dtype)
        sides = self.box(x).view(b, 4, self.bins, h * w).softmax(2)
        sides = (sides * bins[None, None, :, None]).sum(2)
        grid_y, grid_x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        centre = torch.stack((grid_x, grid_y)).reshape(1, 2, h * w).expand(b, -1, -1)
        boxes = torch.cat((centre - sides[:, :2], centre + sides[:, 2:]), 1) * 8
        return torch.cat((boxes / 64, self.score(x).view(b, -1, h * w).sigmoid()), 1)


class ArcFace(nn.Module):
    """Cosines to class centres, with a margin on the class that scores highest."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, stride=2)
        self.centres = nn.Parameter(torch.randn(classes, 12))

    def forward(self, face: Tensor) -> Tensor:
        x = F.normalize(torch.relu(self.conv(face)).mean((2, 3)))
        cosine = F.linear(x, F.normalize(self.centres))
        margin = torch.zeros_like(cosine).scatter(1, cosine.argmax(1, keepdim=True), 0.0)
        return 8 * (cosine - margin)


class PointNet(nn.Module):
    """Points turned by a matrix of their own, and a global feature handed back to every point."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Linear(3, 9)
        self.point = nn.Conv1d(3, 16, 1)
        self.head = nn.Conv1d(32, 4, 1)

    def forward(self, points: Tensor) -> Tensor:
        b, n, _ = points.shape
        matrix = self.turn(points.mean(1)).view(b, 3, 3) + torch.eye(3).expand(b, 3, 3)
        x = torch.relu(self.point((points @ matrix).transpose(1, 2)))
        whole = x.amax(2, keepdim=True).expand(-1, -1, n)
        return self.head(torch.cat((x, whole), 1))


class BeamStep(nn.Module):
    """One step of a beam search: the best continuations of all beams, and the states that they come from."""

    def __init__(self, words: int = 11, beams: int = 3) -> None:
        super().__init__()
        self.beams, self.words = beams, words
        self.cell = nn.Linear(8, 8)
        self.out = nn.Linear(8, words)

    def forward(self, state: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """state [batch, beams, 8], score [batch, beams]."""
        state = torch.tanh(self.cell(state))
        total = score[..., None] + self.out(state).log_softmax(-1)
        best, index = total.flatten(1).topk(self.beams)
        origin = torch.div(index, self.words, rounding_mode="floor")
        return best, state.gather(1, origin[..., None].expand(-1, -1, 8))


class MaskedLanguageModel(nn.Module):
    """Attention under a padding mask, with positions by index and logits from the tied embedding."""

    def __init__(self, words: int = 40, width: int = 16) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(32, width)
        self.qkv, self.norm = nn.Linear(width, 3 * width), nn.LayerNorm(width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        b, n = input_ids.shape
        x = self.words(input_ids) + self.places(torch.arange(n))[None].expand(b, -1, -1)
        q, k, v = self.qkv(x).view(b, n, 3, 2, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mask = attention_mask[:, None, None, :].expand(b, 1, n, n).bool()
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, n, -1)
        return F.linear(self.norm(x + y), self.words.weight)


class RotaryGroupedAttention(nn.Module):
    """Causal attention with rotary positions, two key heads shared by four query heads."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.q, self.kv, self.out = nn.Linear(width, 32), nn.Linear(width, 32), nn.Linear(32, width)
        self.register_buffer("speed", 1 / 100 ** (torch.arange(0, 8, 2) / 8))

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        angle = torch.arange(n)[:, None] * self.speed[None]
        cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()

        def turned(t: Tensor) -> Tensor:
            first, second = t.chunk(2, -1)
            return t * cos + torch.cat((-second, first), -1) * sin

        q = turned(self.q(x).view(b, n, 4, 8).transpose(1, 2))
        k, v = self.kv(x).view(b, n, 2, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        k = turned(k)[:, :, None].expand(b, 2, 2, n, 8).reshape(b, 4, n, 8)
        v = v[:, :, None].expand(b, 2, 2, n, 8).reshape(b, 4, n, 8)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Unshuffled(nn.Module):
    """Its extents must be even."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(F.pixel_unshuffle(image, 2))
