"""What ONNX Runtime's quantizer quantized runs on integer kernels with its scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from .nets import NETS, WAYS, agreement, converted, quantized

_CASTS = ["QUANTIZE", "DEQUANTIZE"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("net", NETS)
def test_is_integer_and_within_one_step(tmp_path: Path, net: str, way: str) -> None:
    make, shape, inner = NETS[net]
    path = quantized(make, shape, tmp_path, **WAYS[way])
    made = converted(path)
    assert not made.float_ops
    ops = [op for op in made.ops if op != "TRANSPOSE"]
    assert (ops[0], ops[-1]) == ("QUANTIZE", "DEQUANTIZE")
    assert ops.count("DEQUANTIZE") == 1
    assert set(ops) - {*_CASTS} <= inner
    # Nothing between them is float: the ends are, and biases are int32.
    assert made.summary.activation_dtypes["float32"] == 2
    assert agreement(path, shape, made) >= 0.999


def test_scales_are_the_models(tmp_path: Path) -> None:
    path = quantized(*NETS["conv"][:2], tmp_path, **WAYS["int8 by channel"])
    graph = onnx.load(path).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    theirs = [(float(values[n.input[1]]), int(values[n.input[2]])) for n in graph.node if n.op_type == "QuantizeLinear"]
    made = converted(path)
    tensors = made.summary.graphs[0].tensors
    ours = [t.quantization for t in tensors if t.quantization and not t.is_constant]
    assert {(q.scale, q.zero_point) for q in ours} == set(theirs)
    weights = next(t for t in tensors if t.dtype == "int8" and t.is_constant)
    assert weights.quantization is not None
    assert weights.quantization.channels == 8
    first = next(v for n, v in values.items() if n.endswith("weight_scale") and v.size == 8)
    np.testing.assert_allclose(weights.quantization.scale, first[0], rtol=1e-6)


def test_attention_keeps_a_float_softmax(tmp_path: Path) -> None:
    """The kernel's steps of 1/256 are too coarse to multiply with, unless they are the model's own."""
    import torch.nn.functional as F
    from torch import nn

    from .nets import Made

    def net() -> nn.Module:
        linear = [nn.Linear(8, 6) for _ in range(3)]
        return Made(lambda x, a, b, c: F.softmax(a(x) @ b(x).transpose(1, 2) / 3, -1) @ c(x), *linear)

    path = quantized(net, (1, 5, 8), tmp_path, **WAYS["int8 by channel"])
    made = converted(path)
    assert [op.op for op in made.float_ops] == ["SOFTMAX"]
    assert "built in" in made.reasons
    assert made.ops.count("BATCH_MATMUL") == 2
    assert agreement(path, (1, 5, 8), made) >= 0.999
