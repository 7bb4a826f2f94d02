"""What a trained model's batch normalization says of data, whatever kind of source the model is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.data.normalization import observed
from edgeworthy.source.load import Source, load_source

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, trained=True, first="conv"):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, bias=False) if first == "conv" else nn.Identity()
        self.norm = nn.BatchNorm2d(8 if first == "conv" else 3)
        self.head = nn.Linear(8 if first == "conv" else 3, 4)
        if trained:
            self.norm.momentum = None
            with torch.no_grad():
                for _ in range(20):
                    self(torch.rand(8, 3, 12, 12) * 4 - 2)

    def forward(self, x):
        return self.head(self.norm(self.first(x)).mean((2, 3)))


make = Net


def untrained():
    return Net(trained=False)


def at_once():
    return Net(first="none")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("normalization")
    (path / "net.py").write_text(NET)
    module = load_source(f"{path}/net.py:make", inputs=["x:float32[1,3,12,12]"]).module
    assert isinstance(module, nn.Module)
    x = torch.zeros(1, 3, 12, 12)
    torch.export.save(torch.export.export(module, (x,)), path / "net.pt2")
    torch.jit.trace(module, x).save(str(path / "net.ts.pt"))
    return path


def source(folder: Path, spec: str) -> Source:
    return load_source(f"{folder}/{spec}", inputs=[] if spec.endswith(".pt2") else ["x:float32[1,3,12,12]"])


def feeds(scale: float = 1.0, shift: float = 0.0) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [{"x": (random.uniform(-2, 2, (1, 3, 12, 12)) * scale + shift).astype(np.float32)} for _ in range(8)]


@pytest.mark.parametrize("spec", ["net.py:make", "net.py:at_once", "net.pt2", "net.ts.pt"])
@pytest.mark.parametrize(("scale", "width"), [(1.0, 1.0), (64.0, 64.0), (0.125, 0.125)])
def test_width_is_that_of_the_data(folder: Path, spec: str, scale: float, width: float) -> None:
    found = observed(source(folder, spec), feeds(scale))
    assert found is not None
    assert found.width == pytest.approx(width, rel=0.25)


def test_shift_is_in_deviations(folder: Path) -> None:
    found = observed(source(folder, "net.py:at_once"), feeds(shift=10.0))
    assert found is not None
    assert found.shift == pytest.approx(10 / np.sqrt(4 / 3), rel=0.1)  # uniform between -2 and 2


def test_a_net_that_was_not_trained_says_nothing(folder: Path) -> None:
    assert observed(source(folder, "net.py:untrained"), feeds()) is None
