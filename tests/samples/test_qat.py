"""``sample:digits_qat``: training with its steps gains on rounding afterwards, and its file computes on integers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.convert import convert
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.samples import SAMPLES, qat
from edgeworthy.source.load import load_source


@pytest.mark.slow
def test_training_with_4_bits_beats_rounding_to_4_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SAMPLES["digits_cnn"].factory()
    labelled = SAMPLES["digits_qat"].labelled()
    assert labelled is not None
    images, labels = labelled
    digits, classes = torch.from_numpy(images["image"]), torch.from_numpy(labels)
    x = torch.cat([digits, *_harder(digits)])
    y = classes.repeat(len(x) // len(digits))
    monkeypatch.setattr(qat, "trained", lambda name, make, train, form: _fresh(make, train))
    before = time.process_time()
    trained, rounded = qat.digits_qat(), qat.post_training()
    assert time.process_time() - before < 60
    with torch.no_grad():
        scores = {name: model(x) for name, model in (("trained", trained), ("rounded", rounded))}
    right = {name: float((s.argmax(1) == y).double().mean()) for name, s in scores.items()}
    loss = {name: float(torch.nn.functional.cross_entropy(s, y)) for name, s in scores.items()}
    assert right["trained"] > right["rounded"]
    assert loss["trained"] < loss["rounded"]
    assert float((scores["trained"][: len(digits)].argmax(1) == classes).double().mean()) >= 0.99


def _harder(digits: torch.Tensor) -> Iterator[torch.Tensor]:
    """Shifted by a pixel, and with noise: of the 360 digits alone both get all but a few, which tells nothing."""
    random = torch.Generator().manual_seed(0)
    extent = float(digits.max() - digits.min())
    for rows, columns in itertools.product((-1, 0, 1), repeat=2):
        moved = torch.roll(digits, (rows, columns), (2, 3))
        yield moved + 0.1 * extent * torch.randn(digits.shape, generator=random)
        yield moved


def _fresh(make: type[qat.DigitsQAT], train: object) -> qat.DigitsQAT:
    from edgeworthy.samples import training

    with training.deterministic():
        model = make()
        assert callable(train)
        train(model)
    return model.eval()


def test_its_file_computes_on_integers_of_4_bits(tmp_path: Path) -> None:
    source = load_source("sample:digits_qat")
    path = tmp_path / "m.onnx"
    export_onnx(source, path)
    made = convert(path, tmp_path, to=["tflite"])
    assert made.tflite is not None
    assert not made.float_ops
    summary = summarize(made.tflite.path)
    assert summary.scheme == "static_wi8_ai8"
    assert set(summary.op_counts) == {
        "QUANTIZE", "CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "DEQUANTIZE",
    }  # fmt: skip
    interpreter = Interpreter(str(made.tflite.path))
    interpreter.allocate_tensors()
    for tensor in summary.graphs[0].tensors:
        if tensor.is_constant and tensor.dtype == "int8":
            index = next(t["index"] for t in interpreter.get_tensor_details() if t["name"] == tensor.name)
            assert np.abs(interpreter.get_tensor(index)).max() <= 7
    labelled = SAMPLES["digits_qat"].labelled()
    assert labelled is not None
    images, labels = labelled
    runner = interpreter.get_signature_runner()
    got = np.concatenate([next(iter(runner(image=image[None]).values())) for image in images["image"]])
    assert (got.argmax(1) == labels).mean() >= 0.99
