"""Networks with dynamic dimensions, quantized, at several sizes, against PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.source.example_inputs import resized
from edgeworthy.source.load import Source, load_source
from edgeworthy.validate.runners import permuted

from . import dynamic_nets as nets
from .tflite_graph import Array, sqnr


@dataclass(frozen=True)
class Case:
    """A network, its dynamic inputs, and the extents to try."""

    net: type[nn.Module]
    inputs: tuple[str, ...]
    sizes: tuple[dict[str, int], ...]


CASES = (
    Case(nets.PickedRows, ("x:float32[b,5,6]",), ({"b": 1}, {"b": 4})),
    Case(
        nets.YoloHead, ("image:float32[b,3,h,w]",), ({"b": 1, "h": 64, "w": 64}, {"b": 3, "h": 32, "w": 96}),
    ),
    Case(nets.ArcFace, ("face:float32[b,3,16,16]",), ({"b": 1}, {"b": 5})),
    Case(nets.PointNet, ("points:float32[b,n,3]",), ({"b": 1, "n": 20}, {"b": 3, "n": 7})),
    Case(nets.BeamStep, ("state:float32[b,3,8]", "score:float32[b,3]"), ({"b": 1}, {"b": 4})),
    Case(
        nets.MaskedLanguageModel,
        ("input_ids:int64[b,n]", "attention_mask:int64[b,n]"),
        ({"b": 1, "n": 9}, {"b": 3, "n": 17}),
    ),
    Case(nets.RotaryGroupedAttention, ("x:float32[b,n,32]",), ({"b": 1, "n": 6}, {"b": 2, "n": 13})),
    Case(nets.Unshuffled, ("image:float32[b,3,h,w]",), ({"b": 1, "h": 4, "w": 10}, {"b": 2, "h": 18, "w": 6})),
)  # fmt: skip


@dataclass(frozen=True)
class Converted:
    case: Case
    source: Source
    float_model: TFLiteModel
    permute: dict[str, tuple[int, ...]]
    folder: Path


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.net.__name__)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    case: Case = request.param
    folder = tmp_path_factory.mktemp(case.net.__name__)
    source = load_source(f"{Path(nets.__file__)}:{case.net.__name__}", inputs=case.inputs)
    export_onnx(source, folder / "model.onnx")
    made = convert(describe(folder / "model.onnx"), folder, to=["tflite"])
    assert made.tflite is not None
    return Converted(case, source, made.tflite, dict(made.permutations), folder)


@pytest.mark.parametrize(("scheme", "least_db"), [("float16", 40), ("dynamic_wi8_afp32", 15), ("int8", 15)])
def test_every_size_computes_what_pytorch_does(scheme: str, least_db: float, converted: Converted) -> None:
    source = converted.source
    data = load_calibration("random", source.inputs, samples=32, examples=source.examples)
    result = quantize(
        converted.float_model,
        converted.folder / f"{scheme}.tflite",
        Recipe.of(scheme),
        calibration=data,
        permute=converted.permute,
        example=source.examples,
    )
    _check_declared_shapes(result.model.path)
    names = [spec.name for spec in converted.float_model.outputs]
    for sizes in ({}, *converted.case.sizes):
        feeds = resized(source.inputs, source.examples, sizes)
        truth = _by_pytorch(source, feeds)
        got = _by_litert(result.model.path, permuted(feeds, converted.permute))
        for name, wanted in zip(names, truth, strict=True):
            assert got[name].shape == wanted.shape, sizes
            assert sqnr(wanted, got[name]) > least_db, (name, sizes)


def _check_declared_shapes(path: Path) -> None:
    """Constants have the shape of their bytes, and casts of a dynamic tensor are declared dynamic."""
    model = fb.read(path.read_bytes())
    for _, graph, op in fb.operators(model):
        for tensor in fb.tensors(graph, op.inputs):
            if fb.is_constant(model, tensor):
                assert fb.nbytes(tensor) == len(model.buffers[tensor.buffer].data), fb.name(tensor)
                assert tensor.shapeSignature is None or -1 not in tensor.shapeSignature, fb.name(tensor)
        if fb.op_name(model, op) in ("QUANTIZE", "DEQUANTIZE"):
            before, after = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
            assert _signature(before) == _signature(after), fb.name(after)


def _signature(tensor: object) -> list[int]:
    declared = getattr(tensor, "shapeSignature", None)
    return list(tensor.shape if declared is None else declared)  # type: ignore[attr-defined]


def _by_pytorch(source: Source, feeds: Mapping[str, Array]) -> Sequence[Array]:
    assert source.module is not None
    with torch.no_grad():
        result = source.module(*(torch.from_numpy(feeds[s.name]) for s in source.inputs))
    return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]


def _by_litert(path: Path, feeds: Mapping[str, Array]) -> dict[str, Array]:
    interpreter = Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    dtypes = {name: details["dtype"] for name, details in runner.get_input_details().items()}
    return dict(runner(**{name: feeds[name].astype(dtype) for name, dtype in dtypes.items()}))
