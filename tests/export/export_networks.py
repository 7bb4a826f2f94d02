"""Networks to export, and what is asked of the files."""

import textwrap
from pathlib import Path

import onnx

from edgeworthy.export.onnx_export import Export, export_onnx
from edgeworthy.source.load import load_source
from edgeworthy.vocabulary import MODULE_KEY, SOURCE_KEY

NETS = """
    from dataclasses import dataclass

    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)))

    class Net(nn.Module):
        example_inputs = {"image": torch.randn(1, 3, 16, 16)}

        def __init__(self):
            super().__init__()
            self.block = Block()
            self.heads = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 2)])

        def forward(self, image, mask=None):
            y = self.block(image).mean((2, 3))
            logits = self.heads[0](y)
            return {"logits": logits, "mask": self.heads[1](y), "extra": (logits + 1, None)}

    @dataclass
    class Pair:
        low: torch.Tensor
        high: torch.Tensor

    class Pairs(nn.Module):
        example_inputs = torch.randn(2, 3)

        def forward(self, x):
            return Pair(x - 1, x + 1)

    class Same(nn.Module):
        example_inputs = {"x": torch.randn(2, 3), "unused": torch.zeros(1)}

        def forward(self, x, unused):
            y = x * 2
            return x, y, y

    class Star(nn.Module):
        def forward(self, *parts):
            return parts[0] + parts[1]

    class Branch(nn.Module):
        example_inputs = torch.ones(2, 3)

        def forward(self, x):
            if x.sum() > 0:
                return x * 2
            return x - 5

    class Eigen(nn.Module):
        example_inputs = torch.randn(3, 3)

        def forward(self, x):
            y = x + 1
            return torch.linalg.eigvals(y).real

    class Fixed(nn.Module):
        example_inputs = torch.randn(3, 4)

        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3, 4))

        def forward(self, x):
            return x + self.bias

    class Recurrent(nn.Module):
        example_inputs = {"x": torch.ones(2, 5, 4)}

        def __init__(self):
            super().__init__()
            self.layer = nn.LSTM(4, 4, batch_first=True)

        def forward(self, x):
            return self.layer(x)[0]


    class Random(nn.Module):
        example_inputs = torch.randn(3, 4)

        def forward(self, x):
            return x + torch.rand_like(x)

    class Text(nn.Module):
        example_inputs = torch.randn(3, 4)

        def forward(self, x):
            return {"y": x, "label": "cat"}

    class Keywords(nn.Module):
        example_inputs = {"left": torch.randn(2, 3), "right": torch.randn(2, 3)}

        def forward(self, **parts):
            return parts["left"] - parts["right"]

    class Ordered(nn.Module):
        example_inputs = torch.tensor([[1.0, 0, 1, 2, 0], [3, 3, 3, 0, 1]])

        def forward(self, x):
            high, places = x.sort(stable=True, descending=True)
            return high, places, x.argsort(stable=True, dim=1), x.sort(dim=0, stable=True)[1]

    class OrderedInBranch(nn.Module):
        example_inputs = torch.tensor([[1.0, 0, 1, 2, 0], [3, 3, 3, 0, 1]])

        def forward(self, x):
            ordered, reverse = (lambda x: x.sort(stable=True)[1] * 1.0), (lambda x: x.flip(1))
            return torch.cond(x.sum() > 0, ordered, reverse, (x,))

    class Biased(nn.Module):
        # attention with a bias for each head, as Swin and BEiT have it
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(8, 24)
            self.bias = nn.Parameter(torch.randn(2, 5, 5))

        def forward(self, x):
            n = x.shape[0]
            q, k, v = (part.view(n, 5, 2, 4).transpose(1, 2) for part in self.project(x).chunk(3, -1))
            y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=self.bias.expand(n, -1, -1, -1))
            return y.transpose(1, 2).reshape(n, 5, 8)
"""


def line_of(text: str) -> str:
    lines = textwrap.dedent(NETS).lstrip().splitlines()
    return f"nets.py:{next(i for i, line in enumerate(lines, 1) if text in line)}"


def export(spec: str, *inputs: str, output: str = "out/model.onnx", **options: object) -> Export:
    return export_onnx(load_source(spec, inputs=inputs), Path(output), **options)


def names_in(folder: str | Path) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def provenance(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Operator → module path and source line of each of its nodes."""
    found: dict[str, list[tuple[str, str]]] = {}
    for node in onnx.load(path).graph.node:
        props = {entry.key: entry.value for entry in node.metadata_props}
        assert set(props) == {MODULE_KEY, SOURCE_KEY}
        found.setdefault(node.op_type, []).append((props[MODULE_KEY], props[SOURCE_KEY]))
    return found
