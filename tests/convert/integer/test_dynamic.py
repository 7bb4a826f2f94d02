"""What ONNX Runtime's ``quantize_dynamic`` writes: ranges that are found at run time, for ConvInteger and its like."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

import edgeworthy
from edgeworthy.formats.onnx.summary import summarize
from edgeworthy.formats.tflite import edit

from .nets import Made, converted, reference, samples

SHAPE = (1, 6, 10)


def layers() -> nn.Module:
    return nn.Sequential(nn.Conv1d(6, 8, 3, padding=1), nn.ReLU(), nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 5))


def positive() -> nn.Module:
    """The same with weights above 0: the zero point of unsigned steps is then far from their middle."""
    made = layers()
    for weight in made.parameters():
        weight.data.abs_()
    return made


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
    """Weights around 0 become hybrid kernels' with the same scales; others are computed as they are written."""
    signed = weights is QuantType.QInt8
    path = written(layers if signed else positive, tmp_path, weights, per_channel)
    assert {"ConvInteger", "MatMulInteger"} <= {node.op_type for node in onnx.load(path).graph.node}
    assert not summarize(path).quantizes
    made = converted(path)
    if not signed:
        assert made.summary.op_counts["ROUND"] and not summarize(path).ranged
        assert len(made.float_ops) == 3 and "zero point" in made.reasons
        assert sqnr_db(path) > 100
        return
    assert summarize(path).ranged and not made.float_ops
    assert not {"ROUND", "CAST", "QUANTIZE", "DEQUANTIZE"} & set(made.summary.op_counts)
    assert sqnr_db(path) > 35


def test_hybrid_layers_hold_the_model_s_own_integers_and_are_as_true_as_onnx_runtime(tmp_path: Path) -> None:
    """Against PyTorch in float64."""
    path = written(layers, tmp_path, QuantType.QInt8, per_channel=False)
    torch.manual_seed(0)
    net = layers().eval().double()
    made, run = converted(path), reference(path)
    given = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    own = sorted(tuple(np.unique(w)) for n, w in given.items() if n.endswith("_quantized"))
    file = edit.read((tmp_path / "out/model_dynamic_wi8_afp32.tflite").read_bytes())
    held = [t for t in file.subgraphs[0].tensors if t.type == edit.TensorType.INT8]
    assert sorted(tuple(np.unique(edit.values(file, t))) for t in held) == own
    assert all(len(t.quantization.scale) == t.shape[0] for t in held)
    ours = theirs = 0.0
    for feed in samples(SHAPE, 6, seed=1):
        truth = net(torch.from_numpy(feed["x"]).double()).detach().numpy()
        ours, theirs = ours + np.square(made.run(feed)[0] - truth).sum(), theirs + np.square(run(feed)[0] - truth).sum()
    assert ours < 1.5 * theirs


def test_what_keeps_its_float_form_is_named_in_the_report(tmp_path: Path) -> None:
    path = written(positive, tmp_path, QuantType.QUInt8, per_channel=False)
    made = edgeworthy.convert(str(path), tmp_path / "out", convert={"to": ["tflite"]})
    (file,) = [a for a in made.artifacts if a.kind == "tflite"]
    assert file.path == "model_float32.tflite"
    assert sum("stays float: its weights have another zero point" in note for note in file.notes) == 3


def test_the_file_is_called_what_it_is(tmp_path: Path) -> None:
    made = edgeworthy.convert(str(written(layers, tmp_path, QuantType.QInt8, per_channel=False)), tmp_path / "out")
    assert [a.path for a in made.artifacts if a.kind == "tflite"] == ["model_dynamic_wi8_afp32.tflite"]


@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_an_lstm_has_the_weights_that_its_integers_stand_for(
    weights: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    """Its input and states aren't rounded, so it is as near as these are; and its files say that it is float."""
    path = written(recurrent, tmp_path, weights, per_channel)
    assert "DynamicQuantizeLSTM" in {node.op_type for node in onnx.load(path).graph.node}
    assert sqnr_db(path) > 35
    assert summarize(path).ranged and not summarize(path).quantizes
    made = converted(path)
    assert made.summary.op_counts["FULLY_CONNECTED"] > 20 and not {"GEMM", "LSTM"} & set(made.summary.op_counts)
    assert len(made.float_ops) == (weights is QuantType.QUInt8), made.reasons
    file = edit.read((tmp_path / "out/model_dynamic_wi8_afp32.tflite").read_bytes())
    types = [
        graph.tensors[op.inputs[1]].type
        for _, graph, op in edit.operators(file)
        if edit.op_name(file, op) == "FULLY_CONNECTED"
    ]
    assert types.count(edit.TensorType.INT8) == len(types) - len(made.float_ops)
