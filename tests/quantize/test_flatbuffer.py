from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import FC, Graph, run


def test_a_rewritten_model_computes_the_same(conv_net: TFLiteModel, tmp_path: Path) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(fb.write(fb.read(conv_net.path.read_bytes())))
    (feed,) = normal_feeds(conv_net, 1)
    wanted, got = run(conv_net.path, feed), run(copy, feed)
    assert all(np.array_equal(wanted[name], got[name]) for name in wanted)
    assert copy.stat().st_size < conv_net.size * 1.01


def test_constants_are_aligned_to_16_bytes(conv_net: TFLiteModel) -> None:
    content = fb.write(fb.read(conv_net.path.read_bytes()))
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) > 10
    assert all(start % 16 == 0 for start in starts)


def test_equal_scales_and_zero_points_are_stored_once() -> None:
    def size(zero_points: list[list[int]]) -> int:
        model = schema.ModelT()
        graph = schema.SubGraphT()
        graph.tensors = []
        for numbers in zero_points:
            tensor = schema.TensorT()
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.zeroPoint = np.array(numbers, np.int64)
            graph.tensors.append(tensor)
        model.subgraphs, model.buffers = [graph], []
        return len(fb.write(model))

    same, different = size([[0] * 1000] * 4), size([[i] * 1000 for i in range(4)])
    assert different - same >= 3 * 8000


def test_tensors_get_names_of_their_own(tmp_path: Path) -> None:
    g = Graph(x=(1, 4))
    y = g.op("relu", [g.op("fully_connected", [g.inputs[0], np.eye(4, dtype="f"), g.no_value()], (1, 4), **FC)], (1, 4))
    model = fb.read(g.save(tmp_path / "m.tflite", y=y).path.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"t"
    model.subgraphs[0].tensors[0].name = None
    path = tmp_path / "same_names.tflite"
    path.write_bytes(fb.write(model))
    renamed = fb.read(fb.load(path)).subgraphs[0].tensors
    assert [fb.name(t) for t in renamed] == ["tensor_0_0", "t", "t_1", "t_2"]


def test_a_file_with_proper_names_is_taken_as_it_is(conv_net: TFLiteModel) -> None:
    assert fb.load(conv_net.path) == conv_net.path.read_bytes()


def test_constants_behind_the_flatbuffer_are_read_as_arrays(tmp_path: Path) -> None:
    """As ai-edge-quantizer writes them in larger files: offset and size in place of the data."""
    kernel = np.arange(16, dtype=np.float32).reshape(4, 4)
    g = Graph(x=(1, 4))
    path = g.save(
        tmp_path / "m.tflite", y=g.op("fully_connected", [g.inputs[0], kernel, g.no_value()], (1, 4), **FC)
    ).path
    plain = fb.read(path.read_bytes())
    model = fb.read(path.read_bytes())
    holder = next(b for b in model.buffers if b.data is not None and len(b.data) == kernel.nbytes)
    data, holder.data, holder.offset, holder.size = holder.data, None, 1, kernel.nbytes
    holder.offset = len(fb.write(model))
    outside = fb.write(model) + data.tobytes()
    read = fb.read(outside)
    weights = next(t for t in read.subgraphs[0].tensors if list(t.shape) == [4, 4])
    assert all(isinstance(b.data, np.ndarray) for b in read.buffers if b.data is not None)
    np.testing.assert_array_equal(fb.values(read, weights), kernel)
    assert fb.write(read) == fb.write(plain)


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (1,)])
def test_int4_is_two_to_a_byte(shape: tuple[int, ...], conv_net: TFLiteModel) -> None:
    model = fb.read(conv_net.path.read_bytes())
    wanted = np.random.default_rng(0).integers(-8, 8, shape).astype(np.int8)
    wanted.flat[0] = -8
    tensor = next(t for t in model.subgraphs[0].tensors if fb.is_constant(model, t))
    tensor.type, tensor.shape = fb.TensorType.INT4, list(shape)
    tensor.buffer = fb.add_buffer(model, wanted, fb.TensorType.INT4)
    assert len(model.buffers[tensor.buffer].data) == fb.nbytes(tensor) == -(-wanted.size // 2)
    assert model.buffers[tensor.buffer].data[0] & 0xF == 8, "the first is in the low half"
    got = fb.values(model, tensor)
    assert got is not None
    np.testing.assert_array_equal(got, wanted)


def test_operator_codes_are_added_once(conv_net: TFLiteModel) -> None:
    model = fb.read(conv_net.path.read_bytes())
    before = len(model.operatorCodes)
    first = fb.op_code(model, fb.BuiltinOperator.GELU, version=2)
    assert fb.op_code(model, fb.BuiltinOperator.GELU) == first == before
    code = model.operatorCodes[first]
    assert (code.builtinCode, code.deprecatedBuiltinCode, code.version) == (150, 127, 2)


def test_every_operator_code_is_in_the_old_field_too(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """The quantizer leaves 0 there, ADD, for those that it adds; OpenVINO looks there first."""
    path = tmp_path / "q.tflite"
    quantize(conv_net, path, Recipe.of("int8"), calibration=calibrate(conv_net))
    file = schema.Model.GetRootAs(path.read_bytes(), 0)
    codes = [file.OperatorCodes(i) for i in range(file.OperatorCodesLength())]
    assert fb.BuiltinOperator.QUANTIZE in {code.BuiltinCode() for code in codes}
    assert [code.DeprecatedBuiltinCode() for code in codes] == [min(code.BuiltinCode(), 127) for code in codes]


@pytest.mark.parametrize("scheme", ["int8", "dynamic", "float16"])
def test_layers_with_equal_weights_store_them_once(
    scheme: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """Three layers on copies of one matrix, one on its transpose, and one on what has its bytes in another shape."""
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((160, 128)) / 12).astype(np.float32)
    g = Graph(x=(3, 128))
    first, second = (g.op("fully_connected", [g.inputs[0], matrix.copy(), g.no_value()], (3, 160), **FC) for _ in "ab")
    hidden = g.op("tanh", [g.op("sub", [first, second], (3, 160), fused_activation_function="NONE")], (3, 160))
    third = g.op("fully_connected", [g.inputs[0], matrix.copy(), g.no_value()], (3, 160), **FC)
    results = {
        "turned": g.op("fully_connected", [third, matrix.T.copy(), g.no_value()], (3, 128), **FC),
        "reshaped": g.op("fully_connected", [third, matrix.reshape(128, 160), g.no_value()], (3, 128), **FC),
        "hidden": hidden,
    }
    model = g.save(tmp_path / "m.tflite", **results)
    path = tmp_path / "q.tflite"
    quantize(model, path, Recipe.of(scheme), calibration=calibrate(model) if scheme == "int8" else None)
    for made in (model.path, path):
        content = fb.read(made.read_bytes())
        kept = [b.data.size for b in content.buffers if b.data is not None and b.data.size > 4000]
        assert len(kept) == 3
    for name in ("turned", "reshaped"):
        wanted, got = (np.concatenate([run(p, f)[name] for f in normal_feeds(model, 4)]) for p in (model.path, path))
        assert 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()) > 28
