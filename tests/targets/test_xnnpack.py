"""The table of what XNNPACK leaves: the runtime leaves every form in it, and takes what is to be written instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.convert.builders.tensor import Spec
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.convert.forms import choose
from edgeworthy.formats.tflite.operations import Operand, Operation, read
from edgeworthy.targets.remote.there.litert import LiteRTModel
from edgeworthy.targets.rules import written
from edgeworthy.targets.xnnpack import forms, why_left

from .functions import Function, Net


def _ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape)


def _step(x: torch.Tensor) -> torch.Tensor:
    return F.relu6((x - 0.5) * 1e30) / 6


def _product(x: torch.Tensor) -> torch.Tensor:
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        x = x[..., :half] * x[..., half:]
    return x[..., 0]


FORMS: dict[str, tuple[Function, Function]] = {
    "STRIDED_SLICE backwards": (lambda x: x.flip(-1), lambda x: x @ torch.eye(16).flip(0)),
    "STRIDED_SLICE": (lambda x: x[:, :, ::5, ::3], lambda x: F.conv2d(x, _ones(8, 1, 1, 1), stride=(5, 3), groups=8)),
    "MIRROR_PAD": (
        lambda x: F.pad(x, (6, 0, 0, 0), mode="reflect"),
        lambda x: x @ F.pad(torch.eye(16), (6, 0), mode="reflect"),
    ),
    "PADV2": (lambda x: F.pad(x, (1, 1), value=3.0), lambda x: F.pad(x - 3.0, (1, 1)) + 3.0),
    "RESIZE_NEAREST_NEIGHBOR": (
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.conv_transpose2d(x, _ones(8, 1, 2, 2), stride=2, groups=8),
    ),
    "GATHER": (lambda x: x[:, [0, 3, 1]], lambda x: torch.cat([x[:, 0:1], x[:, 3:4], x[:, 1:2]], 1)),
    "CONCATENATION": (
        lambda x: torch.cat([F.relu(x * i) for i in range(2, 8)], 1),
        lambda x: torch.cat([F.relu(torch.cat([x * i for i in part], 1)) for part in ((2, 3, 4), (5, 6, 7))], 1),
    ),
    "TILE": (lambda x: x.repeat(1, 2, 1, 1), lambda x: torch.cat([x, x], 1)),
    "BROADCAST_TO": (
        lambda x: x.mean((1, 2, 3), keepdim=True).expand(1, 8, 96, 128),
        lambda x: x.mean((1, 2, 3), keepdim=True) + torch.zeros(1, 8, 96, 128),
    ),
    "SELECT_V2": (
        lambda x: torch.where(x > 0.5, x.sin(), x.cos()),
        lambda x: _step(x) * x.sin() + (1 - _step(x)) * x.cos(),
    ),
    "GREATER": (lambda x: (x > 0.5).float(), _step),
    "CUMSUM": (lambda x: x.cumsum(-1), lambda x: x @ torch.triu(_ones(16, 16))),
    "POW": (lambda x: x.abs() ** 2.5, lambda x: torch.exp(2.5 * torch.log(x.abs()))),
    "SIGN": (lambda x: x.sign(), lambda x: (x * 1e38).clamp(-1, 1)),
    "REDUCE_PROD": (lambda x: x.prod(-1), _product),
    "CONV_3D": (
        lambda x: F.conv3d(x[:, None], _ones(4, 1, 5, 3, 3)),
        lambda x: torch.stack([F.conv2d(x[:, i : i + 5], _ones(4, 5, 3, 3)) for i in range(4)], 2),
    ),
    "MAX_POOL_2D": (lambda x: F.max_pool2d(x, 1, 2), lambda x: F.conv2d(x, _ones(8, 1, 1, 1), stride=2, groups=8)),
}
"""Operator → a form of it that is left, and one that is taken."""

PADDED_POOL: Function = lambda x: F.max_pool2d(F.relu(x), 3, 2, 1)  # noqa: E731
OURS: tuple[Function, ...] = (
    PADDED_POOL,
    lambda x: F.max_pool2d(x, 3, 2, 1),
    lambda x: F.pad(x, (3, 2, 1, 5), mode="reflect"),
    lambda x: x.clamp(0, 1),
    lambda x: x.log_softmax(-1),
    lambda x: x.log_softmax(1),
    lambda x: x.mean(-1, keepdim=True).expand(1, 8, 12, 16),
    lambda x: x[:, :, 1::2, ::4],
    lambda x: torch.stack([x, x * 2], 1),
    lambda x: torch.stack(x[:, :3].unbind(1)[::-1], -1),
    lambda x: x.split([3, 5], 1)[1].exp(),
)
"""What needs no other form."""
OF_OTHERS = {"SPLIT_V", "UNPACK", "PACK", "RELU_0_TO_1", "LOG_SOFTMAX"}
"""What only other converters write."""


def ran(functions: list[Function], folder: Path) -> tuple[list[Operation], dict[str, object], float]:
    """Operators, receipt, and the largest error against PyTorch."""
    x, net = torch.randn(1, 8, 12, 16, generator=torch.Generator().manual_seed(0)), Net(functions).eval()
    x[0, 0, 0, :4] = torch.tensor([0.0, 0.4, 100.0, -100.0])
    path = folder / "net.onnx"
    outputs = [f"y{i}" for i in range(len(functions))]
    torch.onnx.export(net, (x,), str(path), dynamo=False, opset_version=18, input_names=["x"], output_names=outputs)
    made = convert(path, folder, to=("tflite",)).tflite
    assert made is not None
    model = LiteRTModel(str(made.path), 1)
    got = model.run({"x": x.numpy()})
    errors = [
        np.max(np.abs(got[name] - want.numpy()) / (1 + np.abs(want.numpy())))
        for name, want in zip(outputs, net(x), strict=True)
    ]
    return read(made.path), model.receipt(), float(max(errors))


@pytest.mark.filterwarnings("ignore")
def test_what_is_in_the_table_is_left(tmp_path: Path) -> None:
    operators, receipt, error = ran([left for left, _ in FORMS.values()], tmp_path)
    assert error < 1e-5
    fallback = list(receipt["fallback"])  # type: ignore[call-overload]
    said = {why_left(op) for op in operators if f"{op.op} {op.name}" in fallback}
    known = {(form.says, form.instead) for form in forms() if not OF_OTHERS & {*form.of}}
    assert known <= said, "each form is among what the runtime left"
    assert {name.split()[0] for name in FORMS} <= {node.split()[0] for node in fallback}


@pytest.mark.filterwarnings("ignore")
def test_what_is_to_be_written_is_taken(tmp_path: Path) -> None:
    _, receipt, error = ran([*(taken for _, taken in FORMS.values()), *OURS], tmp_path)
    assert error < 1e-5
    assert (receipt["partitions"], receipt["fallback"]) == (1, [])


def test_operators_of_others(tmp_path: Path) -> None:
    b = TfliteBuilder([("x", Spec("float32", (2, 5)))])
    b.forms = choose().toggled("clamp_by_bounds").toggled("log_softmax_in_steps")
    (x,) = b.inputs
    sizes, axis = b.int32s([2, 3]), b.const(np.int32(1))
    first, _ = b.emit("split_v", [x, sizes, axis], [Spec("float32", (2, 2)), Spec("float32", (2, 3))], num_splits=2)
    turned = b.pack(b.unpack(first, 0)[::-1], 1)
    y = b.binary("minimum", b.binary("maximum", turned, b.like(turned, 0)), b.like(turned, 1))
    b.save([("y", b.unary("log_softmax", y))], tmp_path / "other.tflite")
    fallback = LiteRTModel(str(tmp_path / "other.tflite"), 1).receipt()["fallback"]
    assert {node.split()[0] for node in fallback} == OF_OTHERS
    assert {why_left(op)[0] for op in read(tmp_path / "other.tflite")} == {
        "XNNPACK takes SPLIT into at most four, SLICE and CONCATENATION", "XNNPACK doesn't take this clamp by itself",
        "XNNPACK has no LOG_SOFTMAX, in no type",
    }  # fmt: skip


def test_int8_operators_that_are_left(branches: TFLiteModel) -> None:
    """A bias in int32 is no reason: what XNNPACK computes in float32 alone is said to have no int8 kernel."""
    fallback = set(LiteRTModel(str(branches.path), 1).receipt()["fallback"])  # type: ignore[call-overload]
    left = {op.op: (op, why_left(op)[0]) for op in read(branches.path) if f"{op.op} {op.name}" in fallback}
    assert {left[op][1] for op in ("HARD_SWISH", "PRELU", "SOFTMAX", "GELU")} == {"XNNPACK has no int8 kernel for it"}
    assert left["GATHER"][1] == "XNNPACK looks nothing up"
    assert {op for op, (_, why) in left.items() if "computes int32" in why} <= {"TOPK_V2"}
    conv = next(op for op in read(branches.path) if op.op == "CONV_2D")
    assert conv.inputs[2].dtype == "int32" and "int32" not in why_left(conv)[0]


def test_every_form_has_its_case() -> None:
    tested = {name.split()[0] for name in FORMS} | OF_OTHERS
    assert all(set(form.of) & tested for form in forms())


def test_what_is_left_of_several_operators_says_what_to_write_for_all() -> None:
    x = Operand("x", "float32", (1, 8))
    part = Operation("SELECT_V2", "erf", (Operand("c", "bool", (1, 8)), x, x), (x,), onnx="Erf")
    assert why_left(part)[1] == written()["Erf"] != why_left(replace(part, onnx="Where"))[1]
