"""ONNX Runtime's other form: QLinearConv and its like, whose operands are integers."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnxruntime.quantization import QuantFormat, quantize_static

from .nets import NETS, WAYS, Feeds, agreement, converted, quantized, samples


@pytest.mark.parametrize("way", ["int8 by channel", "uint8 by tensor"])
@pytest.mark.parametrize("net", ["conv", "depthwise", "gemm", "add", "mul sigmoid", "concat", "leaky"])
def test_is_integer_and_within_one_step(tmp_path: Path, net: str, way: str) -> None:
    make, shape, inner = NETS[net]
    quantized(make, shape, tmp_path, **WAYS[way])
    path = tmp_path / "qoperator.onnx"
    quantize_static(
        str(tmp_path / "float.onnx"),
        str(path),
        Feeds(samples(shape, 8, seed=0)),
        quant_format=QuantFormat.QOperator,
        **WAYS[way],
    )
    assert any(n.op_type.startswith(("QLinear", "QGemm")) for n in onnx.load(path).graph.node)
    made = converted(path)
    assert not made.float_ops
    ops = [op for op in made.ops if op != "TRANSPOSE"]
    assert set(ops) - {"QUANTIZE", "DEQUANTIZE"} <= inner
    assert ops.count("DEQUANTIZE") == 1
    assert agreement(path, shape, made) >= 0.999


def test_integers_are_moved_between_operators(tmp_path: Path) -> None:
    """A MaxPool of uint8 stands between two of them, and the average's own steps are finer than its operand's."""
    make, shape, _ = NETS["pool"]
    quantized(make, shape, tmp_path)
    path = tmp_path / "qoperator.onnx"
    feeds = Feeds(samples(shape, 8, seed=0))
    quantize_static(str(tmp_path / "float.onnx"), str(path), feeds, quant_format=QuantFormat.QOperator)
    made = converted(path)
    assert [op for op in made.ops if op != "TRANSPOSE"] == [
        "QUANTIZE", "CONV_2D", "MAX_POOL_2D", "DEQUANTIZE", "AVERAGE_POOL_2D", "QUANTIZE", "DEQUANTIZE",
    ]  # fmt: skip
    assert "the model's are finer" in made.reasons
    assert agreement(path, shape, made) >= 0.999
