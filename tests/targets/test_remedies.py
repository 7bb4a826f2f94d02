"""What is to be written where a target refuses an operator: it converts, gives the same, and the target takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from edgeworthy.convert import convert, operations
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.formats.tflite.operations import as_int8, read
from edgeworthy.targets.remote.there.litert import LiteRTModel
from edgeworthy.targets.rules import NodeRefusal, find, refused, remedies, written

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
    "REDUCE_PROD": ("edgetpu", lambda x: x.prod(-1), _product),
    "SELECT_V2": ("nnapi", lambda x: torch.where(CHANNELS > 3, x, 0.0), lambda x: x * (CHANNELS > 3).float()),
}
"""Operator → a target that refuses it, a form with it, and what its remedy says."""
EXACT: dict[str, tuple[Function, Function, float]] = {
    "Erf": (torch.erf, lambda x: torch.tanh(x * (1.1284 + 0.1009 * x * x)), 1e-3),
    "Shrink": (lambda x: F.softshrink(x, 0.5), lambda x: F.relu(x - 0.5) - F.relu(x * -1 - 0.5), 1e-6),
    "Trilu": (lambda x: x.tril(), lambda x: x * torch.ones(12, 16).tril(), 0.0),
}
"""ONNX operator → a form with it, what its remedy says, and how far that may be off."""
WRITTEN: dict[str, tuple[str, str, list[Function]]] = {
    "Acos": ("y = Acos(x)", "edgetpu ethos-u nnapi", []),
    "Acosh": ("y = Acosh(x)", "edgetpu ethos-u nnapi", []),
    "Asin": ("y = Asin(x)", "edgetpu ethos-u nnapi", []),
    "Asinh": ("y = Asinh(x)", "edgetpu ethos-u nnapi", []),
    "Atanh": ("y = Atanh(x)", "edgetpu ethos-u nnapi", []),
    "Erf": ("y = Erf(x)", "edgetpu ethos-u nnapi", [EXACT["Erf"][1], lambda x: x * torch.sigmoid(1.702 * x)]),
    "Mish": ("y = Mish(x)", "edgetpu ethos-u nnapi", [F.silu]),
    "Selu": ("y = Selu(x)", "edgetpu ethos-u nnapi", [F.relu]),
    "Shrink": ("y = Shrink<lambd=0.5, bias=0.5>(x)", "edgetpu ethos-u nnapi", [EXACT["Shrink"][1]]),
    "Sinh": ("y = Sinh(x)", "edgetpu ethos-u nnapi", []),
    "Softplus": ("y = Softplus(x)", "edgetpu ethos-u", [F.relu, F.silu]),
    "Softsign": ("y = Softsign(x)", "edgetpu ethos-u", [torch.tanh, F.hardtanh]),
    "Tan": ("y = Tan(x)", "edgetpu ethos-u nnapi android-gpu", []),
    "ThresholdedRelu": ("y = ThresholdedRelu(x)", "edgetpu ethos-u nnapi", [F.relu, lambda x: F.relu(x - 1.0)]),
    "TopK": (
        "k = Constant<value_ints=[3]>() y, i = TopK(x, k)", "edgetpu ethos-u nnapi android-gpu", [],
    ),
    "Trilu": ("y = Trilu<upper=0>(x)", "edgetpu ethos-u nnapi", [EXACT["Trilu"][1]]),
}  # fmt: skip
"""ONNX operator → a node of it, the targets that refuse parts of it, and what its remedy says, where that is a form."""


def _refusals(target: str, path: Path) -> list[NodeRefusal]:
    rules = find(target)
    found = operations(describe(path), targets=(target,))
    return refused(rules, [as_int8(op) if rules.integer else op for op in found])


def _node(nodes: str, path: Path) -> Path:
    text = f'<ir_version: 10, opset_import: ["": 22]> g (float[1,8,12,16] x) => (y) {{ {nodes} }}'
    onnx.save(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)), path)
    return path


def test_every_operator_that_nobody_wrote_is_tried() -> None:
    assert [*WRITTEN] == sorted(written())


@pytest.mark.parametrize("name", WRITTEN)
def test_what_becomes_several_operators_has_a_remedy_for_all(name: str, tmp_path: Path) -> None:
    """Of whichever of its parts a target refuses; and no target refuses others."""
    nodes, refusing, _ = WRITTEN[name]
    path = _node(nodes, tmp_path / "model.onnx")
    for target in ("edgetpu", "ethos-u", "nnapi", "android-gpu"):
        found = {(row.operation.onnx, row.remedy) for row in _refusals(target, path)}
        assert found == ({(name, written()[name])} if target in refusing.split() else set()), target


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["edgetpu", "ethos-u", "nnapi"])
def test_what_is_to_be_written_for_several_operators_is_taken(target: str, tmp_path: Path) -> None:
    x = torch.linspace(-4, 4, 8 * 12 * 16).reshape(1, 8, 12, 16)
    forms = [form for _, refusing, forms in WRITTEN.values() if target in refusing.split() for form in forms]
    torch.onnx.export(Net(forms).eval(), (x,), str(tmp_path / "model.onnx"), dynamo=False, input_names=["x"])
    assert _refusals(target, tmp_path / "model.onnx") == []
    for was, instead, most in EXACT.values():
        assert (was(x) - instead(x)).abs().max() <= most


@pytest.mark.parametrize("target", ["edgetpu", "ethos-u", "ethos-u85", "nnapi"])
@pytest.mark.parametrize("name", ["Neg", "Cosh"])
def test_a_negation_is_taken_as_a_product(name: str, target: str, tmp_path: Path) -> None:
    """The quantizer has no int8 form of NEG."""
    rows = _refusals(target, _node(f"y = {name}(x)", tmp_path / "model.onnx"))
    assert {row.operation.op for row in rows} <= ({"EXP"} if target == "edgetpu" and name == "Cosh" else set())


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
