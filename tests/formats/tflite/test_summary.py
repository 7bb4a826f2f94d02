from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from litert_converter import converter_api_ext as api
from litert_converter.mlir import ir

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.operations import read as operations
from edgeworthy.formats.tflite.summary import describe, summarize

TEXT = """
module {
  func.func @main(%zebra: tensor<?x4xf32>, %apple: tensor<2x3xi32>) -> (tensor<?x8xf32>, tensor<2x3xi32>) {
    %w = arith.constant dense<0.5> : tensor<8x4xf32>
    %b = arith.constant dense<1.0> : tensor<8xf32>
    %y = "tfl.fully_connected"(%zebra, %w, %b) {fused_activation_function = "NONE", weights_format = "DEFAULT",
      keep_num_dims = false, asymmetric_quantize_inputs = false}
      : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %z = "tfl.relu"(%y) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %n = "tfl.add"(%apple, %apple) {fused_activation_function = "NONE"}
      : (tensor<2x3xi32>, tensor<2x3xi32>) -> tensor<2x3xi32>
    return %z, %n : tensor<?x8xf32>, tensor<2x3xi32>
  }
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Signature names whose alphabetical order is not the graph's."""
    context = ir.Context()
    api.prepare_mlir_context(context)
    with context:
        module = ir.Module.parse(TEXT)
        function = module.body.operations[0]
        api.set_signature(function.operation, "serving_default", ["zebra", "apple"], ["wide", "count"])
        file = tmp_path / "model.tflite"
        file.write_bytes(api.export_flatbuffer_to_bytes(module.operation))
    return file


def test_the_signature_is_in_the_graphs_order(path: Path) -> None:
    model = describe(path, "float32")
    assert model.inputs == (
        TensorSpec("zebra", "float32", ("batch", 4)),
        TensorSpec("apple", "int32", (2, 3)),
    )
    assert model.outputs == (
        TensorSpec("wide", "float32", ("batch", 8)),
        TensorSpec("count", "int32", (2, 3)),
    )
    assert (model.path, model.scheme, model.size) == (path, "float32", path.stat().st_size)


def edited(path: Path, change: str) -> Path:
    model = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    graph = model.subgraphs[0]
    if change == "no signature":
        model.signatureDefs = None
    elif change == "one tensor, two outputs":
        graph.outputs = [graph.outputs[0], graph.outputs[0]]
        model.signatureDefs[0].outputs[0].tensorIndex = graph.outputs[0]
        model.signatureDefs[0].outputs[1].tensorIndex = graph.outputs[0]
    elif change == "quantized":
        tensor = graph.tensors[graph.operators[0].inputs[1]]
        tensor.type = schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.full(8, 0.25, np.float32)
        tensor.quantization.zeroPoint = np.zeros(8, np.int64)
    elif change in ("dequantized", "quantized output"):
        operator = graph.operators[1]
        if change == "dequantized":
            code = model.operatorCodes[operator.opcodeIndex]
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        index, scale = (operator.inputs[0], 0.5) if change == "dequantized" else (operator.outputs[0], 0.125)
        graph.tensors[index].type = schema.TensorType.INT8
        graph.tensors[index].quantization = schema.QuantizationParametersT()
        graph.tensors[index].quantization.scale = np.full(1, scale, np.float32)
        graph.tensors[index].quantization.zeroPoint = np.zeros(1, np.int64)
    elif change == "custom operator":
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"Mine"
    elif change == "no graph":
        model.subgraphs = []
    other = path.with_name("edited.tflite")
    other.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return other


def test_without_a_signature_tensors_have_their_own_names(path: Path) -> None:
    model = describe(edited(path, "no signature"))
    assert [s.name for s in model.inputs] == ["serving_default_zebra", "serving_default_apple"]
    assert model.inputs[0].shape == ("batch", 4)


def test_two_outputs_may_be_one_tensor(path: Path) -> None:
    model = describe(edited(path, "one tensor, two outputs"))
    assert {s.name for s in model.outputs} == {"wide", "count"}
    assert {s.shape for s in model.outputs} == {("batch", 8)}


def test_names_lead_to_their_tensors_whatever_the_graph_lists(path: Path) -> None:
    """Two names of the first output, which the graph lists again at its end: their order is no key."""
    model = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    first, second = (int(i) for i in graph.outputs)
    own = {int(entry.tensorIndex): entry.name.decode() for entry in signature.outputs}
    again = schema.TensorMapT()
    again.name, again.tensorIndex = b"again", first
    signature.outputs = [*signature.outputs, again]
    graph.outputs = [first, second, first]
    other = path.with_name("again.tflite")
    other.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    summary = summarize(other)
    assert summary.output_tensors == {own[first]: first, "again": first, own[second]: second}
    shapes = {name: summary.graphs[0].tensors[index].shape for name, index in summary.output_tensors.items()}
    assert {spec.name: spec.shape for spec in summary.outputs} == shapes
    assert shapes == {own[first]: ("batch", 8), "again": ("batch", 8), own[second]: (2, 3)}


def test_the_summary_counts_operators_and_bytes(path: Path) -> None:
    summary = summarize(path)
    assert summary.op_counts == {"ADD": 1, "FULLY_CONNECTED": 1, "RELU": 1}
    assert summary.constant_bytes == {"float32": 8 * 4 * 4 + 8 * 4}
    assert summary.activation_dtypes == {"float32": 3, "int32": 2}
    assert summary.size == path.stat().st_size
    assert summary.inputs == describe(path).inputs
    (graph,) = summary.graphs
    dense = next(op for op in graph.ops if op.op == "FULLY_CONNECTED")
    source, weights, bias = (graph.tensors[i] for i in dense.inputs)
    assert (source.is_constant, weights.is_constant, bias.is_constant) == (False, True, True)
    assert weights.shape == (8, 4)
    assert weights.quantization is None


def test_quantization_is_read(path: Path) -> None:
    (graph,) = summarize(edited(path, "quantized")).graphs
    (weights,) = (t for t in graph.tensors if t.quantization)
    assert weights.dtype == "int8"
    assert weights.quantization is not None
    assert (weights.quantization.scale, weights.quantization.channels, weights.quantization.axis) == (0.25, 8, 0)


def test_outputs_lie_on_their_own_grid_or_on_that_of_what_is_dequantized(path: Path) -> None:
    assert summarize(path).output_steps == {}
    assert summarize(edited(path, "dequantized")).output_steps == {"wide": 0.5}
    assert summarize(edited(path, "quantized output")).output_steps == {"wide": 0.125}


def test_custom_operators_have_their_own_name(path: Path) -> None:
    assert "CUSTOM:Mine" in summarize(edited(path, "custom operator")).op_counts


@pytest.mark.parametrize("read", [describe, summarize])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such TFLite file"),
        (b"", "empty"),
        (b"This is a text.", "not a TFLite flatbuffer"),
        (b"TFL3", "not a TFLite flatbuffer"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(64), "damaged or cut off"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, read: object, content: bytes | None, problem: str) -> None:
    file = tmp_path / "m.tflite"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=problem) as caught:
        read(file)  # type: ignore[operator]
    assert caught.value.where == str(file)


def test_a_model_without_a_graph(path: Path) -> None:
    with pytest.raises(BadInput, match="no graph"):
        describe(edited(path, "no graph"))


def test_wherever_a_file_is_cut_off_nothing_else_is_raised(path: Path) -> None:
    content = path.read_bytes()
    cut = path.with_name("cut.tflite")
    refused = 0
    for length in range(8, len(content), 7):
        cut.write_bytes(content[:length])
        try:
            summarize(cut)
        except BadInput:
            refused += 1
    assert refused > 0.9 * len(range(8, len(content), 7))


@pytest.mark.parametrize("length", [2**16, 2**31 - 1, 2**32 - 1])
def test_constants_that_end_behind_the_file(path: Path, length: int) -> None:
    """A runtime would read there, where the tables themselves are whole; as after a download that was cut."""
    content, model = bytearray(path.read_bytes()), schema.Model.GetRootAs(path.read_bytes(), 0)
    buffers = [buffer for i in range(model.BuffersLength()) if (buffer := model.Buffers(i)).DataLength()]
    at = buffers[-1]._tab.Vector(buffers[-1]._tab.Offset(4)) - 4
    content[at : at + 4] = length.to_bytes(4, "little")
    path.write_bytes(content)
    for read in (describe, summarize, operations):
        with pytest.raises(BadInput, match="damaged or cut off"):
            read(path)


def test_whatever_bytes_are_changed_nothing_else_is_raised(path: Path) -> None:
    """Tensors that aren't there and types that nobody knows, among others."""
    content, changed, random = path.read_bytes(), path.with_name("changed.tflite"), np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(1500):
        bytes_ = bytearray(content)
        for place in random.integers(8, len(content), random.integers(1, 4)):
            bytes_[place] = random.integers(256)
        changed.write_bytes(bytes_)
        try:
            summary = summarize(changed)
            assert summary.scheme and summary.quantized_inputs | summary.quantized_outputs <= {
                spec.name for spec in (*summary.inputs, *summary.outputs)
            }
            outcomes["read"] += 1
        except BadInput:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 150, outcomes
