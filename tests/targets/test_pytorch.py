from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.targets.pytorch import PyTorch, PyTorchModel
from edgeworthy.targets.worker import Worker

from .conftest import LOGITS, NCHW


def test_float32_and_float64_in_workers(pytorch_model: PyTorchModel, images: Any, expected: Any) -> None:
    with Worker("pytorch", pytorch_model) as single, Worker("pytorch", pytorch_model, float64=True) as double:
        a, b = single.run({"image": images})["logits"], double.run({"image": images})["logits"]
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        assert double.receipt.precision == "float64"
    np.testing.assert_allclose(b, expected, rtol=1e-12)
    np.testing.assert_allclose(a, expected, atol=1e-5)
    assert np.abs(a - expected).max() > 0  # it really is float32


def test_weights_come_from_the_snapshot(factory_file: Path, pytorch_model: PyTorchModel, images: Any) -> None:
    drawn = PyTorchModel.of(f"{factory_file}:make", NCHW, LOGITS, seed=5)
    with Worker("pytorch", drawn) as worker:
        other = worker.run({"image": images})["logits"]
        worker.load(pytorch_model)
        saved = worker.run({"image": images})["logits"]
    assert np.abs(other - saved).max() > 1e-3


def test_wrong_number_of_outputs_is_said(factory_file: Path, images: Any) -> None:
    two = (*LOGITS, TensorSpec("more", "float32", (1,)))
    with (
        Worker("pytorch", PyTorchModel.of(f"{factory_file}:make", NCHW, two)) as worker,
        pytest.raises(BadInput, match="gave 1 outputs, and 2 were expected"),
    ):
        worker.run({"image": images})


def test_version() -> None:
    assert PyTorch().version()[0].isdigit()


def test_program_files_run_in_float64_too(net: Any, tmp_path: Path, images: Any, expected: Any) -> None:
    import torch

    example = torch.from_numpy(images)
    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (example,), dynamic_shapes={"image": {0: batch}})
    torch.export.save(program, tmp_path / "net.pt2")
    torch.jit.trace(net, example).save(tmp_path / "net.ts.pt")
    with Worker("pytorch", float64=True) as worker:
        for name in ("net.pt2", "net.ts.pt"):
            worker.load(PyTorchModel.of(str(tmp_path / name), NCHW, LOGITS))
            np.testing.assert_allclose(worker.run({"image": images})["logits"], expected, rtol=1e-10)
