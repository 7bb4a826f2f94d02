"""What is to be written where a target refuses an operator: it converts, gives the same, and the target takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeworthy.convert import convert, operations
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.formats.tflite.operations import as_int8, read
from edgeworthy.targets.remote.there.litert import LiteRTModel
from edgeworthy.targets.rules import find, refused, remedies, written

from .functions import Function, Net

CHANNELS = torch.arange(1.0, 9.0).reshape(1, 8, 1, 1)
TRIANGLE = torch.ones(16, 16).tril()
SPREAD = torch.eye(8).reshape(8, 2, 2, 2)
"""Of a transposed convolution that does what PixelShuffle does: channel 4a + 2b + c goes to channel a at (b, c)."""


def _product(x: torch.Tensor) -> torch.Tensor:
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        x = x[..., :half] * x[..., half:]
    return x[..., 0]


REMEDIES: dict[str, tuple[str, Function, Function]] = {
    "ABS": ("edgetpu", lambda x: x.abs(), lambda x: F.relu(x) + F.relu(x * -1)),
    "BROADCAST_TO": (
        "android-gpu",
        lambda x: x.mean((1, 2, 3), True).expand(1, 64, 64, 32) * 2,
        lambda x: x.mean((1, 2, 3), True) * torch.full((1, 64, 64, 32), 2.0),
    ),
    "CUMSUM": ("edgetpu", lambda x: x[0, 0, :1].cumsum(-1), lambda x: F.linear(x[0, 0, :1], TRIANGLE)),
    "DEPTH_TO_SPACE": (
        "edgetpu",
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: F.conv_transpose2d(x, SPREAD, stride=2),
    ),
    "GATHER": ("edgetpu", lambda x: x[:, [3, 1]], lambda x: torch.cat([x[:, 3:4], x[:, 1:2]], 1)),
    "LEAKY_RELU": ("edgetpu", lambda x: F.leaky_relu(x, 0.1), lambda x: F.relu(x) - 0.1 * F.relu(x * -1)),
    "NEG": ("edgetpu", lambda x: -x, lambda x: x * -1),
    "REDUCE_PROD": ("edgetpu", lambda x: x.prod(-1), _product),
    "SELECT_V2": ("nnapi", lambda x: torch.where(CHANNELS > 3, x, 0.0), lambda x: x * (CHANNELS > 3).float()),
}
"""Operator → a target that refuses it, a form with it, and what its remedy says."""
WRITTEN: dict[str, tuple[Function, Function, float]] = {
    "Erf": (torch.erf, lambda x: torch.tanh(x * (1.1284 + 0.1009 * x * x)), 1e-3),
    "Trilu": (lambda x: x.tril(), lambda x: x * torch.ones(12, 16).tril(), 0.0),
}
"""ONNX operator → a form with it, what its remedy says, and how far that may be off."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["edgetpu", "ethos-u", "nnapi"])
def test_what_becomes_several_operators_has_a_remedy_for_all(target: str, tmp_path: Path) -> None:
    rules, x = find(target), torch.linspace(-4, 4, 8 * 12 * 16).reshape(1, 8, 12, 16)
    found = []
    for number in (0, 1):
        net, path = (
            Net([(was, instead)[number] for was, instead, _ in WRITTEN.values()]).eval(),
            tmp_path / f"{number}.onnx",
        )
        torch.onnx.export(net, (x,), str(path), dynamo=False, input_names=["x"], output_names=[*WRITTEN])
        operators = [as_int8(op) if rules.integer else op for op in operations(describe(path))]
        found.append(refused(rules, operators))
    before, after = found
    assert {(row.operation.onnx, row.remedy) for row in before} == {(name, written()[name]) for name in WRITTEN}
    assert after == []
    for was, instead, most in WRITTEN.values():
        assert (was(x) - instead(x)).abs().max() <= most


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["android-gpu", "edgetpu", "nnapi"])
def test_what_is_to_be_written_is_taken(target: str, tmp_path: Path) -> None:
    rules = find(target)
    cases = {name: forms for name, (of, *forms) in REMEDIES.items() if of == target}
    x = torch.randn(1, 8, 12, 16, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 100.0, -100.0])
    found = []
    for number in (0, 1):
        net, path = Net([forms[number] for forms in cases.values()]).eval(), tmp_path / f"{number}.onnx"
        torch.onnx.export(net, (x,), str(path), dynamo=False, input_names=["x"], output_names=[*cases])
        made = convert(path, tmp_path / str(number), to=("tflite",), targets=(target,)).tflite
        assert made is not None
        operators = [as_int8(op) if rules.integer else op for op in read(made.path)]
        found.append((refused(rules, operators), LiteRTModel(str(made.path), 1).run({"x": x.numpy()})))
    (before, wanted), (after, got) = found
    assert {(name, remedies()[name]) for name in cases} <= {(row.operation.op, row.remedy) for row in before}
    assert after == []
    for name in cases:
        np.testing.assert_allclose(got[name], wanted[name], rtol=2e-5, atol=1e-5, err_msg=name)
