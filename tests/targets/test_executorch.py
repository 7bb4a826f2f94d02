from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import CheckFailed
from edgeworthy.targets import find
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker

pytestmark = pytest.mark.device

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.linear = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(8, 4)
        self.example_inputs = {"x": torch.zeros(1, 3, 8, 8), "ids": torch.tensor([0, 1])}

    def forward(self, x, ids):
        y = torch.relu(self.conv(x)).mean((2, 3))
        return self.linear(y), torch.cumsum(y, 1)[:, ids]

def make():
    return Net()

class Branch(torch.nn.Module):
    example_inputs = {"x": torch.ones(2)}

    def forward(self, x):
        return x + 1 if x.sum() > 0 else x

def branch():
    return Branch()
"""
INPUTS = (TensorSpec("x", "float32", ("batch", 3, 8, 8)), TensorSpec("ids", "int64", (2,)))
OUTPUTS = (TensorSpec("logits", "float32", ("batch", 4)), TensorSpec("sums", "float32", ("batch", 2)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find("executorch").missing():
        pytest.skip("no ExecuTorch: edgeworthy targets install executorch")
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture(scope="module")
def worker(file: Path) -> Iterator[Worker]:
    with Worker("executorch", PyTorchModel.of(f"{file}:make", INPUTS, OUTPUTS)) as worker:
        yield worker


def feeds(batch: int, fill: float | None = None) -> dict[str, Any]:
    images = np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)
    return {"x": images if fill is None else np.full_like(images, fill), "ids": np.array([7, 0])}


@pytest.mark.parametrize(("batch", "fill"), [(1, None), (1, 0.0), (1, 1e30), (3, None), (1, None)])
def test_it_computes_what_pytorch_does(worker: Worker, file: Path, batch: int, fill: float | None) -> None:
    import importlib.util

    import torch

    spec = importlib.util.spec_from_file_location("net_of_executorch", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = feeds(batch, fill)
    with torch.inference_mode():
        wanted = module.make().eval().double()(torch.from_numpy(given["x"]).double(), torch.from_numpy(given["ids"]))
    got = worker.run(given)
    for name, value in zip(("logits", "sums"), wanted, strict=True):
        np.testing.assert_allclose(got[name], value.numpy(), rtol=1e-5, atol=1e-6)


def test_its_receipt_names_what_xnnpack_left(worker: Worker) -> None:
    receipt = worker.receipt
    assert (receipt.ran, receipt.nodes, receipt.delegated, receipt.partitions) == ("XNNPACK", 6, 3, 2)
    assert [node.split()[0] for node in receipt.fallback] == [
        "aten.mean.dim",
        "aten.cumsum.default",
        "aten.index.Tensor",
    ]
    assert all(t > 0 for t in worker.time(feeds(1), 3))


def test_full_delegation_and_refusals_are_failures(file: Path) -> None:
    whole = Worker("executorch,require_full_delegation=true", PyTorchModel.of(f"{file}:make", INPUTS, OUTPUTS))
    with whole as worker, pytest.raises(CheckFailed, match="took 3 of 6 nodes"):
        worker.run(feeds(1))
    spec = (TensorSpec("x", "float32", (2,)),)
    with pytest.raises(CheckFailed, match=r"torch\.export can't export this module"):
        Worker("executorch", PyTorchModel.of(f"{file}:branch", spec, spec)).__enter__()


def test_the_kit_serves_it() -> None:
    assert kits.KITS["executorch"].serves("executorch")
