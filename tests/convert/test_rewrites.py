"""What refusals tell to write instead: it converts, it computes the same, and the refusal says where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx.defs
import pytest
import torch
from torch.nn import functional as F

import edgeworthy
from edgeworthy.convert import convert
from edgeworthy.convert.lowering import is_lowered
from edgeworthy.convert.lowering.lower import rewrites as of_onnx
from edgeworthy.errors import BadInput, UnsupportedNodes
from edgeworthy.export.errors import rewrites as of_pytorch
from edgeworthy.targets.remote.there.litert import LiteRTModel

Function = Callable[[torch.Tensor], torch.Tensor]
WEIGHTS = torch.arange(12.0).reshape(4, 3)
SQUARE = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
INVERSE = torch.linalg.inv(SQUARE)


def ids(x: torch.Tensor) -> torch.Tensor:
    return (x[0, 0, :, :3].abs() * 2).clamp(0, 3).long()


def windows(x: torch.Tensor) -> torch.Tensor:
    bounds = [(0, 3), (2, 6), (5, 8)]
    rows = [torch.stack([x[..., a:b, c:d].amax((-2, -1)) for c, d in bounds], -1) for a, b in bounds]
    return torch.stack(rows, -2)


def drawn(x: torch.Tensor) -> torch.Tensor:
    """What torch.multinomial does with exponential noise (it has its own generator)."""
    noise = x.sigmoid()
    return (x.softmax(-1) / -torch.log(noise)).argmax(-1)


PYTORCH: dict[str, tuple[Function, Function]] = {
    "aten._cdist_forward": (
        lambda x: torch.cdist(x[0], x[0] + 1),
        lambda x: ((x[0][..., :, None, :] - (x[0] + 1)[..., None, :, :]) ** 2).sum(-1).sqrt(),
    ),
    "aten._linalg_solve_ex": (
        lambda x: torch.linalg.solve(SQUARE, x[0, 0, :2]),
        lambda x: INVERSE @ x[0, 0, :2],
    ),
    "aten.adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 3), windows),
    "aten.cummax": (
        lambda x: x.cummax(-1)[0],
        lambda x: torch.stack([x[..., : i + 1].amax(-1) for i in range(8)], -1),
    ),
    "aten.kthvalue": (lambda x: x.kthvalue(3, -1)[0], lambda x: x.sort(-1)[0][..., 3 - 1]),
    "aten.linalg_inv_ex": (lambda x: torch.linalg.inv(SQUARE) @ x[0, 0, :2], lambda x: INVERSE @ x[0, 0, :2]),
    "aten.median": (lambda x: x.median(-1)[0], lambda x: x.sort(-1)[0][..., (8 - 1) // 2]),
    "aten.searchsorted": (
        lambda x: torch.searchsorted(torch.arange(-1.0, 2), x),
        lambda x: (torch.arange(-1.0, 2) < x[..., None]).sum(-1),
    ),
    "prims.hypot": (lambda x: torch.hypot(x, x + 1), lambda x: torch.sqrt(x * x + (x + 1) * (x + 1))),
    "prims.prod": (
        lambda x: (x.abs() + 0.1).cumprod(-1),
        lambda x: torch.exp(torch.cumsum(torch.log(x.abs() + 0.1), -1)),
    ),
}
"""Operator of PyTorch → what can't be exported, and what is to be written."""

ONNX: dict[str, tuple[Function, Function]] = {
    "Bernoulli": (lambda x: torch.ceil(x.tanh() - x.sigmoid()).clamp(0, 1), lambda x: (x.sigmoid() < x.tanh()).float()),
    "Multinomial": (
        drawn,
        lambda x: (x.softmax(-1).log() - torch.log(-torch.log(x.sigmoid()))).argmax(-1),
    ),
    "SequenceEmpty": (
        lambda x: F.embedding_bag(ids(x), WEIGHTS, mode="mean"),
        lambda x: F.embedding(ids(x), WEIGHTS).mean(-2),
    ),
}
"""ONNX operator → what is exported with it, and what is to be written."""

CASES = {**PYTORCH, **ONNX}


class Net(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(rewrite(x) for _, rewrite in CASES.values())


@pytest.mark.filterwarnings("ignore")
def test_what_is_to_be_written_converts(tmp_path: Path) -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 1.0, -50.0])
    names = [f"y{i}" for i in range(len(CASES))]
    torch.onnx.export(
        Net(), (x,), str(tmp_path / "net.onnx"), dynamo=False, opset_version=18, input_names=["x"], output_names=names
    )
    made = convert(tmp_path / "net.onnx", tmp_path, to=("tflite",)).tflite
    assert made is not None
    got = LiteRTModel(str(made.path), 1).run({"x": x.numpy()})
    for name, (operator, (refused, _)) in zip(names, CASES.items(), strict=True):
        want = refused(x).numpy()
        np.testing.assert_allclose(got[name].reshape(want.shape), want, rtol=2e-5, atol=1e-5, err_msg=operator)


SOURCE = """
import torch
from torch.nn import functional as F


class Net(torch.nn.Module):
    example_inputs = {"x": torch.ones(1, 4, 8, 8)}

    def forward(self, x):
        y = x * 2
        return CALL


def make():
    return Net().eval()
"""


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        ("torch.cdist(y[0], y[0])", of_pytorch()["aten._cdist_forward"]),
        ("F.embedding_bag((y[0, 0] > 0).long(), torch.eye(3), mode='mean')", of_onnx()["SequenceEmpty"]),
    ],
)
def test_a_refusal_says_where_and_what(call: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SOURCE.replace("CALL", call))
    line = SOURCE.splitlines().index("        return CALL") + 1
    with pytest.raises(BadInput) as refused:
        edgeworthy.run(f"{tmp_path}/net.py:make", tmp_path / "out", stages=("convert",), convert={"to": ["tflite"]})
    said = str(refused.value)
    assert f"net.py:{line}" in said
    assert remedy in said
    if isinstance(refused.value, UnsupportedNodes):
        assert {n.source.partition(":")[2] for n in refused.value.nodes} == {str(line)}


def test_tables_speak_of_what_is_refused() -> None:
    lowered = {op for op in of_onnx() if is_lowered("", op, onnx.defs.get_schema(op).since_version)}
    assert not lowered, "these have a lowering now: take them out of convert/lowering/rewrites.toml"
    assert set(PYTORCH) == set(of_pytorch())
    assert set(ONNX) <= set(of_onnx())
