from __future__ import annotations

import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import CheckFailed
from edgeworthy.targets import TARGETS, find
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.torch_compile import Graphs
from edgeworthy.targets.worker import Worker

compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="Inductor needs a C++ compiler: apt-get install g++"
)

TOKENS = (TensorSpec("ids", "int64", ("batch", 3)), TensorSpec("scale", "float32", ("batch", 3, 4)))
BOTH = (TensorSpec("scores", "float32", ("batch", 3, 2)), TensorSpec("sums", "float32", ("batch", 3)))
FACTORIES = '''
    import torch
    from torch import nn


    class Tokens(nn.Module):
        """Two inputs, of which one is int64, and two outputs."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 2)
            nn.init.constant_(self.head.weight, 0.25)
            nn.init.zeros_(self.head.bias)
            with torch.no_grad():
                self.embedding.weight.copy_(torch.arange(40.0).reshape(10, 4) / 40)
            self.example_inputs = {"ids": torch.tensor([[1, 2, 3], [0, 9, 4]]), "scale": torch.ones(2, 3, 4)}

        def forward(self, ids, scale):
            x = self.embedding(ids) * scale
            return self.head(x), x.sum(-1)


    class Breaks(Tokens):
        def forward(self, ids, scale):
            print("before any operation")
            x = torch.tanh(self.embedding(ids) * scale)
            print("after some")  # the break's line
            return self.head(x), x.sum(-1)


    class Refused(Tokens):
        def forward(self, ids, scale):
            table = {int(k): k for k in ids.flatten()}
            return self.head(self.embedding(ids) * scale), scale.sum(-1) + float(sum(table))


    class Described(nn.Module):
        """Its example is a property, which TorchScript would compile."""

        def __init__(self):
            super().__init__()
            self.inner = Tokens()

        @property
        def example_inputs(self) -> dict[str, torch.Tensor]:
            return {name: value.clone() for name, value in self.inner.example_inputs.items()}

        def forward(self, ids, scale):
            return self.inner(ids, scale)


    class Calls(Tokens):
        @torch.jit.ignore
        def half(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

        def forward(self, ids, scale):
            x = self.half(self.embedding(ids)) * scale
            return self.head(x), x.sum(-1)


    class Branches(Tokens):
        def forward(self, ids, scale):
            if scale.sum() > 0:
                scale = scale + 0
            return super().forward(ids, scale)
'''


@pytest.fixture(scope="session")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.py"
    path.write_text(textwrap.dedent(FACTORIES))
    return path


def tokens(file: Path, factory: str) -> PyTorchModel:
    return PyTorchModel.of(f"{file}:{factory}", TOKENS, BOTH)


def feeds(batch: int) -> dict[str, Any]:
    ids = np.arange(batch * 3, dtype=np.int64).reshape(batch, 3) % 10
    return {"ids": ids, "scale": np.linspace(-2, 2, batch * 12, dtype=np.float32).reshape(batch, 3, 4)}


def by_hand(fed: dict[str, Any], squash: Any = None) -> tuple[Any, Any]:
    x = (np.arange(40).reshape(10, 4) / 40)[fed["ids"]] * fed["scale"].astype(float)
    x = x if squash is None else squash(x)
    return np.repeat(x.sum(-1, keepdims=True) / 4, 2, axis=-1), x.sum(-1)


def check(outputs: dict[str, Any], wanted: tuple[Any, Any]) -> None:
    for got, want in zip(outputs.values(), wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


@compiler
def test_it_compiles_in_the_first_inference_and_again_for_other_sizes(tokens_file: Path) -> None:
    with Worker("torch-compile", tokens(tokens_file, "Tokens")) as worker:
        assert worker.receipt.nodes is None
        for batch in (2, 5, 3):
            check(worker.run(feeds(batch)), by_hand(feeds(batch)))
        assert worker.first_ms and worker.first_ms > 20 * min(worker.time(feeds(3), 5)) / 1e6
        receipt = worker.receipt
    assert (receipt.ran, receipt.nodes, receipt.delegated, receipt.partitions) == ("Inductor", 4, 4, 1)
    assert receipt.fallback == ()
    told = " ".join(receipt.notes)
    for part in ("compiled within the first inference, in", "kernels", "compiled again for other shapes"):
        assert part in told


@compiler
def test_a_graph_break_is_named_with_its_reason_and_line(tokens_file: Path) -> None:
    line = 1 + textwrap.dedent(FACTORIES).splitlines().index('        print("after some")  # the break\'s line')
    model = tokens(tokens_file, "Breaks")
    with Worker("torch-compile", model) as worker:
        check(worker.run(feeds(2)), by_hand(feeds(2), np.tanh))
        receipt = worker.receipt
    assert (receipt.ran, receipt.partitions) == ("Inductor and eager", 2)
    assert (receipt.nodes or 0) - (receipt.delegated or 0) == len(receipt.fallback) == 2
    assert all("graph break: " in reason and "`print`" in reason for reason in receipt.fallback)
    assert receipt.fallback[0].endswith(f"tokens.py:{line}")
    with (
        Worker("torch-compile,require_full_delegation=true", model) as worker,
        pytest.raises(CheckFailed, match="Inductor was asked for, and took"),
    ):
        worker.run(feeds(2))


def test_breaks_without_a_line_are_counted_once() -> None:
    graphs = Graphs(breaks=[("print", " at a.py:3"), ("jump", " at a.py:5")])
    assert graphs.ended({"print\n  more": 3}) == ("print at a.py:3", "jump at a.py:5", "print", "print")
    assert Graphs().ended({}) == ()


def test_without_a_compiler_it_is_missing_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "apt-get install g++" in (TARGETS["torch-compile"].missing() or "")
    assert find("torch-compile").version is None
