"""Branches and loops as PyTorch's two exporters write them, against PyTorch itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

from ...conformance.adapters import RUNNERS, convert_to


class HigherOrder(torch.nn.Module):
    """``torch.cond``, ``while_loop`` and ``scan``, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, xs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.cond(x.sum() > 0, lambda x: self.a(x).relu(), lambda x: self.b(x).tanh(), (x,))
        count, z = while_loop(
            lambda i, v: (i < 7) & (v.abs().max() < 1), lambda i, v: (i + 1, self.a(v) * 2), (torch.tensor(0), y)
        )

        def step(state: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            new = torch.tanh(self.b(state) + x)
            return new, new * 2

        last, outputs = scan(step, z, xs, dim=0)
        return y, count, z, last, outputs


@torch.jit.script
def halve(x: torch.Tensor, n: int) -> torch.Tensor:
    for _ in range(n):
        if bool(x.sum() > 0):  # noqa: SIM108
            x = x * 0.5 - 1
        else:
            x = x + 2
    return x


def check(model: onnx.ModelProto, feeds: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]], folder: Path) -> None:
    names = [value.name for value in model.graph.input]
    for artifact, run in RUNNERS.items():
        (folder / artifact).mkdir()
        made = convert_to(artifact, model.SerializeToString(), folder / artifact)
        for feed, want in zip(feeds, wanted, strict=True):
            got = run(made, {n: np.asarray(v) for n, v in zip(names, feed, strict=True)})
            for value, expected in zip(model.graph.output, want, strict=True):
                np.testing.assert_allclose(got[value.name], np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_higher_order_operators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = HigherOrder().eval()
    x, xs = torch.randn(2, 8), torch.randn(4, 2, 8)
    program = torch.onnx.export(module, (x, xs), dynamo=True, verbose=False)
    assert program is not None
    assert {"If", "Loop", "Scan"} <= {node.op_type for node in program.model_proto.graph.node}
    feeds = [(x, xs), (-x, xs), (30 * x, xs)]
    with torch.no_grad():
        wanted = [module(*feed) for feed in feeds]
    check(program.model_proto, feeds, wanted, tmp_path)
    assert len({int(want[1]) for want in wanted}) > 1


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_loop(tmp_path: Path) -> None:
    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    feeds = [(x, 0), (x, 1), (-x, 7)]
    path = tmp_path / "m.onnx"
    torch.onnx.export(halve, (x, torch.tensor(3)), path, dynamo=False, opset_version=17, input_names=["x", "n"])
    check(onnx.load(path), feeds, [(halve(*feed),) for feed in feeds], tmp_path)
