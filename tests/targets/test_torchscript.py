from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.errors import CheckFailed
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker

from .conftest import LOGITS, NCHW
from .test_torch_compile import by_hand, check, feeds, tokens, tokens_file

__all__ = ["tokens_file"]


@pytest.mark.parametrize("target", ["torchscript", "torchscript,method=trace"])
def test_several_inputs_and_outputs_and_any_batch(tokens_file: Path, target: str) -> None:
    with Worker(target, tokens(tokens_file, "Tokens")) as worker:
        for batch in (2, 5, 3):
            check(worker.run(feeds(batch)), by_hand(feeds(batch)))
        receipt = worker.receipt
    assert (receipt.ran, receipt.nodes, receipt.delegated, receipt.fallback) == ("TorchScript", 4, 4, ())


def test_an_example_that_is_a_property_is_no_code_of_the_model(tokens_file: Path) -> None:
    with Worker("torchscript", tokens(tokens_file, "Described")) as worker:
        check(worker.run(feeds(2)), by_hand(feeds(2)))


def test_weights_are_those_of_the_snapshot(pytorch_model: PyTorchModel, images: Any, expected: Any) -> None:
    with Worker("torchscript", pytorch_model) as worker:
        np.testing.assert_allclose(worker.run({"image": images})["logits"], expected, atol=1e-5)
        assert len(worker.time({"image": images}, 4)) == 4


def test_a_module_that_it_cant_take_says_why(tokens_file: Path) -> None:
    with Worker("torchscript") as worker:
        with pytest.raises(CheckFailed, match=r"torch\.jit\.script can't take this module") as failed:
            worker.load(tokens(tokens_file, "Refused"))
        assert "float(sum(table))" in " ".join(failed.value.details) and "<--- HERE" in failed.value.details[-1]
        assert failed.value.remedy == "try torchscript,method=trace"
        worker.load(tokens(tokens_file, "Tokens"))  # the worker lives on
        check(worker.run(feeds(1)), by_hand(feeds(1)))


def test_what_it_leaves_to_python_is_named(tokens_file: Path) -> None:
    with Worker("torchscript", tokens(tokens_file, "Calls")) as worker:
        check(worker.run(feeds(2)), by_hand(feeds(2), lambda x: x / 2))
        receipt = worker.receipt
    assert receipt.ran == "TorchScript and Python"
    assert receipt.fallback == ("prim::PythonOp half",)
    assert (receipt.nodes or 0) - (receipt.delegated or 0) == 1


def test_a_branch_that_tracing_froze_is_told(tokens_file: Path) -> None:
    with Worker("torchscript,method=trace", tokens(tokens_file, "Branches")) as worker:
        check(worker.run(feeds(2)), by_hand(feeds(2)))
        assert any("TracerWarning" in note and "Python boolean" in note for note in worker.receipt.notes)


def test_a_source_that_is_torchscript_already_runs_as_it_is(
    net: Any, tmp_path: Path, images: Any, expected: Any
) -> None:
    import torch

    torch.jit.trace(net, torch.from_numpy(images)).save(tmp_path / "net.ts.pt")
    with Worker("torchscript", PyTorchModel.of(str(tmp_path / "net.ts.pt"), NCHW, LOGITS)) as worker:
        np.testing.assert_allclose(worker.run({"image": images})["logits"], expected, atol=1e-5)
        assert worker.receipt.nodes
