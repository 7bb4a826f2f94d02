"""RAFT, PointNet, networks on graphs, a detector with non-maximum suppression inside, and a recommender."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from .architecture import Architecture, Draw, normal, same, uniform

_LEVELS, _RADIUS = 3, 2


def _residual(inputs: int, outputs: int, stride: int, norm: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1), norm(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), norm(outputs), nn.ReLU(),
    )  # fmt: skip


class Raft(nn.Module):
    """Two pictures [n, 3, h, w] → the flow between them [n, 2, h, w] (Z. Teed and J. Deng, arXiv:2003.12039).

    All pairs' correlations in a pyramid, looked up around where the flow points; a convolutional GRU refines it.
    """

    def __init__(self, width: int = 16, hidden: int = 12, steps: int = 2) -> None:
        super().__init__()
        self.hidden, self.steps = hidden, steps
        self.features, self.context = (
            nn.Sequential(_residual(3, 8, 2, norm), _residual(8, 12, 2, norm), _residual(12, size, 2, norm))
            for norm, size in ((nn.InstanceNorm2d, width), (nn.BatchNorm2d, 2 * hidden))
        )
        self.motion = nn.Conv2d(_LEVELS * (2 * _RADIUS + 1) ** 2 + 2, hidden - 2, 3, padding=1)
        self.gates = nn.Conv2d(3 * hidden, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(3 * hidden, hidden, 3, padding=1)
        self.flow = nn.Conv2d(hidden, 2, 3, padding=1)
        self.mask = nn.Conv2d(hidden, 9 * 64, 1)
        line = torch.arange(-_RADIUS, _RADIUS + 1).float()
        self.register_buffer("window", torch.stack(torch.meshgrid(line, line, indexing="xy"), -1))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        one, two = self.features(first), self.features(second)
        n, c, h, w = one.shape
        pairs = torch.einsum("nchw,ncij->nhwij", one, two).reshape(n * h * w, 1, h, w) / c**0.5
        pyramid = [pairs]
        for _ in range(_LEVELS - 1):
            pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
        state, given = self.context(first).split(self.hidden, 1)
        state, given = torch.tanh(state), functional.relu(given)
        rows = torch.arange(h, device=one.device, dtype=one.dtype)
        columns = torch.arange(w, device=one.device, dtype=one.dtype)
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None].expand(n, -1, -1, -1)
        flow = torch.zeros_like(grid)
        for _ in range(self.steps):
            seen = self._lookup(pyramid, grid + flow)
            moved = torch.cat([functional.relu(self.motion(torch.cat([seen, flow], 1))), flow], 1)
            state = self._step(state, torch.cat([given, moved], 1))
            flow = flow + self.flow(state)
        return self._upsampled(flow, self.mask(state))

    def _lookup(self, pyramid: list[torch.Tensor], at: torch.Tensor) -> torch.Tensor:
        n, _, h, w = at.shape
        centres = at.permute(0, 2, 3, 1).reshape(n * h * w, 1, 1, 2)
        found = []
        for level, pairs in enumerate(pyramid):
            points = centres / 2**level + self.get_buffer("window")
            extents = points.new_tensor([1.0, 1.0]) * torch.tensor([pairs.shape[-1] - 1, pairs.shape[-2] - 1])
            values = functional.grid_sample(pairs, 2 * points / extents.clamp(min=1) - 1, align_corners=True)
            found.append(values.reshape(n, h, w, -1))
        return torch.cat(found, -1).permute(0, 3, 1, 2)

    def _step(self, state: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        update, reset = torch.sigmoid(self.gates(torch.cat([state, given], 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat([reset * state, given], 1)))
        return (1 - update) * state + update * candidate

    def _upsampled(self, flow: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Each fine vector is a convex sum of the nine coarse ones around it."""
        n, _, h, w = flow.shape
        weights = mask.view(n, 1, 9, 8, 8, h, w).softmax(2)
        around = functional.unfold(8 * flow, 3, padding=1).view(n, 2, 9, 1, 1, h, w)
        return (weights * around).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(n, 2, 8 * h, 8 * w)


class PointNet(nn.Module):
    """Points [n, 3, p] → classes [n, 10], turned by a network of its own first (C. Qi et al., arXiv:1612.00593)."""

    def __init__(self) -> None:
        super().__init__()
        self.turn, self.turned = self._points(3, 16, 32), nn.Linear(32, 9)
        self.points = self._points(3, 16, 64)
        self.head = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))

    @staticmethod
    def _points(*sizes: int) -> nn.Sequential:
        layers = [(nn.Conv1d(a, b, 1), nn.BatchNorm1d(b), nn.ReLU()) for a, b in pairwise(sizes)]
        return nn.Sequential(*(part for layer in layers for part in layer))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        turn = self.turned(self.turn(points).amax(-1)).view(-1, 3, 3) + torch.eye(3, dtype=points.dtype)
        result: torch.Tensor = self.head(self.points(turn @ points).amax(-1))
        return result


class GraphNet(nn.Module):
    """Nodes [v, 8] and edges [2, e] → classes of nodes [v, 5]: a graph convolution, then attention among neighbours.

    Sources: T. Kipf and M. Welling, arXiv:1609.02907; P. Veličković et al., arXiv:1710.10903.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, width), nn.Linear(width, width), nn.Linear(width, 5)
        self.here, self.there = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        source, target = edges[0], edges[1]
        degree = nodes.new_ones(nodes.shape[0]).index_add(0, target, torch.ones_like(target, dtype=nodes.dtype))
        scale = degree.rsqrt()
        x = self.first(nodes)
        sent = x[source] * (scale[source] * scale[target])[:, None]
        x = functional.relu((x / degree[:, None]).index_add(0, target, sent))
        x = self.second(x)
        score = functional.leaky_relu(self.here(x)[source] + self.there(x)[target], 0.2)[:, 0]
        most = score.new_full((nodes.shape[0],), -1e4).scatter_reduce(0, target, score, "amax")
        weight = torch.exp(score - most[target])
        total = torch.zeros_like(most).scatter_add(0, target, weight)
        share = weight / total[target]
        x = torch.zeros_like(x).scatter_add(0, target[:, None].expand(-1, x.shape[1]), x[source] * share[:, None])
        result: torch.Tensor = self.head(functional.elu(x))
        return result


class Detector(nn.Module):
    """Picture [1, 3, h, w] → boxes [k, 4], scores and classes [k], by Fast NMS within each class (arXiv:1904.02689)."""

    def __init__(self, classes: int = 4, width: int = 16) -> None:
        super().__init__()
        sizes = [3, 8, width, width, width]
        layers = [(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU6()) for a, b in pairwise(sizes)]
        self.body = nn.Sequential(*(part for layer in layers for part in layer))
        self.boxes, self.scores = nn.Conv2d(width, 4, 3, padding=1), nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = self.body(image)
        h, w = features.shape[-2:]
        moved = self.boxes(features)[0].flatten(1).transpose(0, 1)
        scores, classes = self.scores(features)[0].flatten(1).sigmoid().max(0)
        rows = torch.arange(h, device=image.device, dtype=image.dtype) * 16 + 8
        columns = torch.arange(w, device=image.device, dtype=image.dtype) * 16 + 8
        centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).reshape(-1, 2) + 8 * moved[:, :2].tanh()
        halves = 12 * torch.exp(moved[:, 2:].clamp(-1, 1))
        boxes = torch.cat([centres - halves, centres + halves], -1)
        scores, order = scores.sort(descending=True, stable=True)
        boxes, classes = boxes[order], classes[order]
        keep = (self._overlaps(boxes, classes).triu(1).amax(0) <= 0.3) & (scores > 0.4)
        return boxes[keep], scores[keep], classes[keep]

    @staticmethod
    def _overlaps(boxes: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Intersection ÷ union of each two boxes of one class."""
        low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
        common = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low).clamp(min=0).prod(-1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
        return torch.where(classes[:, None] == classes, common / (areas[:, None] + areas - common), 0)


class Recommender(nn.Module):
    """Numbers [n, 6] and categories [n, 4] → a probability [n, 1] (M. Naumov et al., arXiv:1906.00091)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in (50, 20, 100, 10))
        self.bottom = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, width), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(width + 10, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        dense = self.bottom(numbers)
        rows = torch.stack([dense, *(table(categories[:, i]) for i, table in enumerate(self.tables))], 1)
        pairs = rows @ rows.transpose(1, 2)
        first, second = torch.triu_indices(5, 5, 1)
        result: torch.Tensor = self.top(torch.cat([dense, pairs[:, first, second]], -1))
        return result


def _edges() -> Draw:
    return same(lambda generator, count: torch.randint(0, 8, (count, 2, 30), generator=generator))


ARCHITECTURES = {
    "raft": Architecture("geometry", Raft, dict.fromkeys(("first", "second"), normal(3, 64, 64)),
                         dict.fromkeys(("first", "second"), "batch . height width")),
    "pointnet": Architecture("geometry", PointNet, {"points": normal(3, 40)}, {"points": "batch . points"}),
    "graph_net": Architecture("geometry", GraphNet, {"nodes": same(normal(12, 8)), "edges": _edges()},
                              {"nodes": "nodes .", "edges": ". edges"},
                              ({"nodes": 12, "edges": 30}, {"nodes": 17, "edges": 44}, {"nodes": 9, "edges": 12})),
    "detector_nms": Architecture("detection", Detector, {"image": lambda g, n: normal(3, 96, 96)(g, 1)},
                                 {"image": ". . height width"}),
    "recommender": Architecture("sequences", Recommender, {
        "numbers": uniform(6), "categories": lambda g, n: torch.randint(0, 10, (n, 4), generator=g)},
        {"numbers": "batch .", "categories": "batch ."}),
}  # fmt: skip
