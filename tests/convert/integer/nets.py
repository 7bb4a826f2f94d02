"""Networks that ONNX Runtime's quantizer quantizes, what ONNX Runtime makes of them, and what the TFLite file does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from edgeworthy.artifact import Array, FloatOp
from edgeworthy.convert import convert
from edgeworthy.formats.tflite.summary import TFLiteSummary, summarize

Net = Callable[..., Tensor]


class Made(nn.Module):
    """A function of an input and some layers."""

    def __init__(self, forward: Net, *layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def conv(channels: int, out: int, kernel: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, **more)


IMAGE = (1, 3, 12, 12)
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    # name: the network, the shape of its input, the operators between QUANTIZE and DEQUANTIZE
    "conv": (
        lambda: nn.Sequential(conv(3, 8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU6()),
        IMAGE,
        {"CONV_2D", "PAD", "RELU", "RELU6"},
    ),
    "depthwise": (
        lambda: nn.Sequential(conv(8, 16, groups=8), nn.ReLU(), conv(16, 4, 1)),
        (1, 8, 9, 9),
        {"DEPTHWISE_CONV_2D", "CONCATENATION", "RESHAPE", "CONV_2D", "RELU"},
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 2, 2), nn.ReLU(), nn.ConvTranspose2d(6, 3, 3, 2, 1)),
        (1, 4, 6, 6),
        {"CONV_2D", "CONCATENATION", "DEPTH_TO_SPACE", "PAD", "SLICE", "RELU"},
    ),
    "gemm": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(27, 32), nn.ReLU(), nn.Linear(32, 10)),
        (1, 3, 3, 3),
        {"RESHAPE", "FULLY_CONNECTED", "RELU"},
    ),
    "matmul": (
        lambda: Made(lambda x, a, b: a(x) @ b(x).transpose(1, 2), nn.Linear(8, 6), nn.Linear(8, 6)),
        (1, 5, 8),
        {"FULLY_CONNECTED", "ADD", "BATCH_MATMUL"},
    ),
    "add": (
        lambda: Made(lambda x, a, b: F.relu(a(x) + b(x)), conv(3, 8), conv(3, 8, 1)),
        IMAGE,
        {"CONV_2D", "ADD", "RELU"},
    ),
    "mul sigmoid": (
        lambda: Made(lambda x, a, b: a(x) * torch.sigmoid(b(x)), conv(3, 8), conv(3, 8, 1)),
        IMAGE,
        {"CONV_2D", "LOGISTIC", "MUL"},
    ),
    "concat": (
        lambda: Made(lambda x, a, b: torch.cat([a(x), b(x) * 3], 1), conv(3, 8), conv(3, 8, 1)),
        IMAGE,
        {"CONV_2D", "MUL", "CONCATENATION"},
    ),
    "pool": (
        lambda: Made(lambda x, a: F.avg_pool2d(F.max_pool2d(a(x), 2), 2), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"},
    ),
    "mean": (
        lambda: Made(lambda x, a, b: b(F.adaptive_avg_pool2d(a(x), 1).flatten(1)), conv(3, 8), nn.Linear(8, 5)),
        IMAGE,
        {"CONV_2D", "MEAN", "RESHAPE", "FULLY_CONNECTED"},
    ),
    "nearest": (
        lambda: Made(lambda x, a: F.interpolate(a(x), scale_factor=2, mode="nearest"), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "RESIZE_NEAREST_NEIGHBOR"},
    ),
    "bilinear": (
        lambda: Made(lambda x, a: F.interpolate(a(x), scale_factor=2, mode="bilinear"), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "RESIZE_BILINEAR"},
    ),
    "softmax": (
        lambda: Made(lambda x, a: F.softmax(a(x.flatten(1)), -1), nn.Linear(27, 10)),
        (1, 3, 3, 3),
        {"RESHAPE", "FULLY_CONNECTED", "SOFTMAX"},
    ),
    "leaky": (
        lambda: Made(lambda x, a: F.leaky_relu(a(x), 0.1), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "LEAKY_RELU"},
    ),
    "pad": (
        lambda: Made(lambda x, a, b: b(F.pad(a(x), (1, 2, 0, 1))), conv(3, 8), conv(8, 4)),
        IMAGE,
        {"CONV_2D", "PAD", "RESHAPE"},
    ),
    "reshape": (
        lambda: Made(lambda x, a, b: b(a(x).reshape(1, 8, 144).transpose(1, 2)), conv(3, 8), nn.Linear(8, 5)),
        IMAGE,
        {"CONV_2D", "RESHAPE", "FULLY_CONNECTED", "ADD"},
    ),
    "split": (
        lambda: Made(lambda x, a: torch.cat([a(x)[:, 4:], a(x)[:, :4]], 1), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "STRIDED_SLICE", "SLICE", "CONCATENATION"},
    ),
    "steps": (
        lambda: Made(lambda x, a, b: b(a(x)[:, :, ::2, 1::2]), conv(3, 8), conv(8, 4)),
        IMAGE,
        {"CONV_2D", "RESHAPE", "SLICE"},
    ),
    "clamp": (
        lambda: Made(lambda x, a: a(x).clamp(0, 1), conv(3, 8)),
        IMAGE,
        {"CONV_2D", "MAXIMUM", "MINIMUM"},
    ),
    "padded pool": (
        lambda: Made(lambda x, a, b: b(F.max_pool2d(a(x), 3, 2, 1)), conv(3, 8), conv(8, 4)),
        IMAGE,
        {"CONV_2D", "SLICE", "CONCATENATION", "MAX_POOL_2D"},
    ),
}

WAYS: dict[str, dict[str, Any]] = {
    "int8 by channel": {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8, "per_channel": True},
    "uint8 by tensor": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8},
    "symmetric": {
        "activation_type": QuantType.QInt8,
        "weight_type": QuantType.QInt8,
        "extra_options": {"ActivationSymmetric": True},
    },
    "reduced range": {
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QUInt8,
        "reduce_range": True,
    },
}


class Feeds(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Iterator[dict[str, Array]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Array] | None:
        return next(self._feeds, None)


def samples(shape: tuple[int, ...], count: int, seed: int) -> Iterator[dict[str, Array]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {"x": rng.normal(size=shape).astype(np.float32)}


def quantized(make: Callable[[], nn.Module], shape: tuple[int, ...], folder: Path, **way: Any) -> Path:
    """``folder/qdq.onnx``: the network of random weights, with the scales that ONNX Runtime's quantizer finds."""
    torch.manual_seed(0)
    module = make().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            folder / "float.onnx",
            input_names=["x"],
            output_names=["y"],
            dynamo=False,
            opset_version=17,
        )
    path = folder / "qdq.onnx"
    feeds = Feeds(samples(shape, 8, seed=0))
    quantize_static(str(folder / "float.onnx"), str(path), feeds, quant_format=QuantFormat.QDQ, **way)
    return path


@dataclass(frozen=True)
class Converted:
    """A converted file."""

    summary: TFLiteSummary
    float_ops: tuple[FloatOp, ...]

    @property
    def ops(self) -> list[str]:
        return [op.op for op in self.summary.graphs[0].ops]

    @property
    def reasons(self) -> str:
        return "; ".join(f"{op.op}: {op.reason}" for op in self.float_ops)

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        interpreter = Interpreter(str(self.summary.path), num_threads=1)
        runner = interpreter.get_signature_runner()
        result = runner(**feeds)
        return [result[spec.name] for spec in self.summary.outputs]


def converted(path: Path) -> Converted:
    made = convert(path, path.parent / "out", to=["tflite"])
    assert made.tflite is not None
    return Converted(summarize(made.tflite.path), made.float_ops)


def reference(path: Path) -> Callable[[Mapping[str, Array]], list[Array]]:
    """ONNX Runtime, which is to run the graph as it is written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda feeds: list(session.run(None, dict(feeds)))


def quantum(path: Path) -> float:
    """The scale that the graph's output is rounded to."""
    graph = onnx.load(path).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    last = next(n for n in reversed(graph.node) if n.op_type in ("DequantizeLinear", "QuantizeLinear"))
    return float(values[last.input[1]])


def agreement(path: Path, shape: tuple[int, ...], got: Converted) -> float:
    """The part of all output values within one step of what ONNX Runtime computes, at normal, zero, tied and extreme
    inputs."""
    run, step = reference(path), quantum(path)
    zeros = np.zeros(shape, np.float32)
    feeds = [*samples(shape, 4, seed=1), {"x": zeros}, {"x": zeros + 0.5}, {"x": zeros - 9}, {"x": zeros + 9}]
    errors = np.concatenate(
        [np.abs(a.astype(np.float64) - b).ravel() for f in feeds for a, b in zip(got.run(f), run(f), strict=True)]
    )
    return float((errors <= step * 1.001).mean())
