"""What ONNX Runtime's ``quantize_dynamic`` writes: ranges that are found at run time, for ConvInteger and its like."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from edgeworthy.formats.onnx.summary import summarize

from .nets import Made, converted, reference, samples

SHAPE = (1, 6, 10)


def layers() -> nn.Module:
    return nn.Sequential(nn.Conv1d(6, 8, 3, padding=1), nn.ReLU(), nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 5))


def recurrent() -> nn.Module:
    """Both directions, with a convolution before and a linear layer behind."""
    return Made(
        lambda x, conv, lstm, last: last(lstm(conv(x).transpose(1, 2))[0]),
        nn.Conv1d(6, 8, 3, padding=1),
        nn.LSTM(8, 12, bidirectional=True, batch_first=True),
        nn.Linear(24, 4),
    )


def written(make: Callable[[], nn.Module], folder: Path, weights: QuantType, per_channel: bool) -> Path:
    torch.manual_seed(0)
    x = torch.zeros(SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(make().eval(), (x,), folder / "float.onnx", dynamo=False, opset_version=17, input_names=["x"])
    path = folder / "dynamic.onnx"
    quantize_dynamic(folder / "float.onnx", path, weight_type=weights, per_channel=per_channel)
    return path


def sqnr_db(path: Path) -> float:
    """Of the TFLite file, against ONNX Runtime's run of the same integers."""
    run, made = reference(path), converted(path)
    signal = noise = 0.0
    for feed in samples(SHAPE, 6, seed=1):
        (want,), (got,) = run(feed), made.run(feed)
        signal, noise = signal + np.square(want).sum(), noise + np.square(want - got).sum()
    return float(10 * np.log10(signal / max(noise, 1e-30)))


@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_convolutions_and_products_are_what_onnx_runtime_computes(
    weights: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    path = written(layers, tmp_path, weights, per_channel)
    assert {"ConvInteger", "MatMulInteger"} <= {node.op_type for node in onnx.load(path).graph.node}
    assert not summarize(path).quantizes
    assert sqnr_db(path) > 100


@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_an_lstm_has_the_weights_that_its_integers_stand_for(
    weights: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    """Its input and states aren't rounded, so it is as near as these are; and its files say that it is float."""
    path = written(recurrent, tmp_path, weights, per_channel)
    assert "DynamicQuantizeLSTM" in {node.op_type for node in onnx.load(path).graph.node}
    assert sqnr_db(path) > 35
    assert summarize(path).quantizes
    (said,) = [op for op in converted(path).float_ops if op.op == "LSTM"]
    assert "at run time" in said.reason
