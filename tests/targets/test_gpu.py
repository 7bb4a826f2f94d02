"""Every target on CUDA, on a GPU: `make test-gpu`. And what they say where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import Artifact, OnnxModel, SavedModel
from edgeworthy.benchmarks import gpu
from edgeworthy.errors import NotAvailable
from edgeworthy.targets import TARGETS, cuda, get
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.tensorflow import GpuSession, called
from edgeworthy.targets.worker import Worker

ON_CUDA = [name for name, target in TARGETS.items() if target.device == "cuda"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ON_CUDA)
def test_parity_receipt_and_latency(
    name: str, pytorch_model: PyTorchModel, onnx_model: OnnxModel, saved_model: SavedModel, images: Any, expected: Any
) -> None:
    if why := TARGETS[name].missing():
        pytest.skip(why)
    models: dict[str, Artifact] = {m.kind: m for m in (pytorch_model, onnx_model, saved_model)}
    model = models[TARGETS[name].kind]
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if model is saved_model else images}
    with Worker(name, model) as worker:
        np.testing.assert_allclose(worker.run(feeds)["logits"], expected, atol=1e-5)  # float32, and not TF32
        times = worker.time(feeds, 20)
        receipt = worker.receipt
    print(f"\n{name}: {np.median(times) / 1e6:.3f} ms with the copies there and back; {receipt}")
    assert "CPU" not in receipt.ran.split(" and ")[0]
    if receipt.delegated is not None and receipt.nodes is not None:
        assert len(receipt.fallback) == receipt.nodes - receipt.delegated


@pytest.mark.parametrize("name", ["torch-cuda", "torch-compile:cuda", "torchscript:cuda", "tensorflow:gpu"])
def test_a_build_that_finds_no_gpu_says_so(name: str) -> None:
    """What a user sees whose driver is there and whose framework is built for the CPU."""
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(NotAvailable, match="finds no GPU") as absent:
        get(name).version()
    assert absent.value.remedy


def test_what_tensorflow_ran_on_the_cpu_is_not_called_the_gpu(
    saved_model: SavedModel, tensorflow: Any, images: Any, expected: Any
) -> None:
    """Without a GPU, TensorFlow takes the CPU and doesn't say so: the receipt does."""
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    loaded = tensorflow.saved_model.load(str(saved_model.path))
    session = GpuSession(tensorflow, saved_model, loaded, *called(loaded, saved_model), precision="float32")
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    assert session.receipt.ran == "nothing yet"
    np.testing.assert_allclose(session.run(feeds)["logits"], expected, atol=1e-5)
    session.prepare(feeds)()
    receipt = session.receipt
    assert (receipt.asked, receipt.ran, receipt.delegated) == ("GPU", "CPU", 0)
    assert receipt.nodes == len(receipt.fallback) >= 3
    assert any("Conv2D" in node for node in receipt.fallback)


def test_without_a_gpu_the_command_says_so_and_exits_with_3(tmp_path: Path, capsys: Any) -> None:
    why = cuda.missing()
    if why is None:
        pytest.skip("there is a GPU")
    assert gpu.main(["-o", str(tmp_path / "out")]) == 3
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
