"""The benchmark of operator forms: its table, its page, and that what is done isn't done again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from edgeworthy.benchmarks import ops
from edgeworthy.benchmarks.op_forms import FORMS, OpForm
from edgeworthy.benchmarks.ops import IN_A_CHAIN, OURS, THEIRS, FileTime, OpRow
from edgeworthy.convert import prepare
from edgeworthy.convert.forms import table
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.schemes import INT8
from edgeworthy.source.load import from_module

PAGE = Path(__file__).parents[2] / "docs/kernels.md"
PADDED = "max pool, 3×3 stride 2, padded"
ROW = OpRow(PADDED, [
    FileTime(THEIRS, "float32", 50, 49, 52),
    FileTime(OURS, "float32", 200, 199, 201, 1e-7, 7, 7, 1),
    FileTime(IN_A_CHAIN, "float32", 100, 99, 101, 1e-7, 5, 5, 1),
    FileTime("without mirror_in_slices", "float32", 1000, 990, 1010, 1e-7, 2, 1, 1),
    FileTime(IN_A_CHAIN, INT8.name, 80, 79, 81, 1e-2, 5, 5, 1),
    FileTime("without mirror_in_slices", INT8.name, 1600, 1590, 1610, 1e-2, 2, 1, 1),
])  # fmt: skip


def test_there_are_many_forms_of_all_families() -> None:
    names = [form.name for form in FORMS]
    assert len(names) == len(set(names)) >= 60
    assert {name.partition(",")[0] for name in names} == {
        "convolution", "depthwise", "transposed", "max pool", "average pool", "resize", "norm", "activation",
        "recurrent", "attention", "product", "movement", "softmax", "embedding", "reduction",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["depthwise, 3×3", "embedding", "movement, unbind and stack"])
def test_a_form_has_the_same_weights_and_inputs_each_time(name: str) -> None:
    (form,) = (form for form in FORMS if form.name == name)
    with torch.no_grad():
        assert torch.equal(form.module()(*form.inputs()), form.module()(*form.inputs()))
    assert not torch.equal(form.inputs()[0], form.inputs(1)[0])


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("convolution, dilation 36", (128, 128, 1, 1)),
        ("convolution, 3×3 and 1×1 added", (64, 64, 3, 3)),
        ("depthwise, 7×7 and 3×3 added", (64, 1, 7, 7)),
    ],
)
def test_a_form_of_a_pass_is_one_that_the_pass_changes(name: str, weights: tuple[int, ...], tmp_path: Path) -> None:
    (form,) = (form for form in FORMS if form.name == name)
    made = export_onnx(from_module(form.module(), form.name, form.inputs()), tmp_path / "m.onnx").model
    (conv,) = prepare(read_onnx(made.path), io_layout="nhwc").model.graph
    assert conv.inputs[1] is not None and conv.inputs[1].shape == weights


def test_a_row_of_the_page() -> None:
    text = ops.markdown([ROW, OpRow("other", failure="it died\nthere")])
    other = "without mirror_in_slices 10.00, 1 partitions, int8 20.00"
    assert f"| {PADDED} | 50 ± 2 | 4.00 | 2.00 | 5 · 5 · 1 | 0.80 | {other} |" in text
    assert "| other | it died there |" in text


def test_where_the_layout_of_the_ends_changes_nothing_there_is_one_file() -> None:
    row = OpRow("norm", [FileTime(THEIRS, "float32", 4, 4, 4), FileTime(OURS, "float32", 2, 2, 2, 0, 3, 3, 1)])
    assert "| norm | 4 ± 0 | 0.50 | 0.50 | 3 · 3 · 1 | – |  |" in ops.markdown([row])


def test_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measured(form: OpForm, folder: Path, *, seconds: float, quantizes: bool) -> OpRow:
        asked.append(form.name)
        return ROW

    monkeypatch.setattr(ops, "measured", measured)
    command = ["ops.py", "--only", PADDED, "--out", str(tmp_path), "--json"]
    for more, times in (([], 1), ([], 1), (["--anew"], 2)):
        monkeypatch.setattr("sys.argv", [*command, *more])
        assert ops.main() == 0
        assert json.loads(capsys.readouterr().out) == [asdict(ROW)]
        assert len(asked) == times


def test_the_page_has_the_table_that_lowering_reads() -> None:
    assert ops.rules() in PAGE.read_text(encoding="utf-8"), "run benchmarks/ops.py --write docs/kernels.md"


@pytest.mark.slow
def test_a_row_is_measured(tmp_path: Path) -> None:
    """What else there is of a form is a file of its own, and all of them compute what PyTorch does."""
    (form,) = (form for form in FORMS if form.name == PADDED)
    row = ops.measured(form, tmp_path, seconds=0.05, quantizes=True)
    assert not row.failure
    other = "without mirror_in_slices"
    assert [(f.name, f.scheme) for f in row.files] == [
        (THEIRS, "float32"), (OURS, "float32"), (IN_A_CHAIN, "float32"), (other, "float32"),
        (IN_A_CHAIN, INT8.name), (other, INT8.name),
    ]  # fmt: skip
    assert all(0 < f.low <= f.us <= f.high for f in row.files)
    assert all(f.error == 0 for f in row.files if f.scheme == "float32")
    chain, plain = row.of(IN_A_CHAIN), row.of(other)
    assert chain and plain
    assert (chain.nodes, chain.delegated) == (5, 5)
    assert (plain.nodes, plain.delegated) == (2, 1)
    assert "mirror_in_slices" in table().forms
