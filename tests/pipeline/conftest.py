"""A small model of a user's own, with data."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.convert.routes import CONVERTERS

from . import converters

NET = """
import torch
from torch import nn

from helper import WIDTH


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTH, 3, padding=1)
        self.head = nn.Linear(WIDTH * 16, 3)
        self.scale = 1.0

    def forward(self, image):
        return self.head(torch.relu(self.conv(image)).flatten(1)) * self.scale


def make():
    net = Net()
    net.example_inputs = {"image": torch.ones(1, 1, 4, 4)}
    return net
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with net.py (a factory), helper.py, calibration.npz and labelled.npz; it is on ``sys.path``."""
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "helper.py").write_text("WIDTH = 4\n")
    random = np.random.default_rng(0)
    images = random.normal(size=(16, 1, 4, 4)).astype(np.float32)
    np.savez(folder / "calibration.npz", image=images)
    np.savez(folder / "labelled.npz", image=images, labels=np.arange(16) % 3)
    monkeypatch.delitem(sys.modules, "helper", raising=False)  # of another test's folder
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the package of `converters`, on the path of this process and of those that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    converters.install(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    vars(CONVERTERS).pop("_found", None)
    yield folder
    vars(CONVERTERS).pop("_found", None)
    for name in ("edge_info", "edge_converters", "edge_broken", "edge_wrong"):
        sys.modules.pop(name, None)
