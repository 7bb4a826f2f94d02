"""Operators of a file as a compiler sees them, against the schema's own objects and the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from litert_converter import converter_api_ext as api
from litert_converter.mlir import ir

from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.operations import Operand, Operation, as_int8, read

MODULE = """
func.func @main(%x: tensor<1x9x9x3xf32>) -> (tensor<1x3x4xf32>, tensor<4x5x1x4xf32>) {
  %w = arith.constant dense<0.5> : tensor<4x3x3x3xf32>
  %b = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %axes = arith.constant dense<-3> : tensor<1xi32>
  %perm = arith.constant dense<[1, 2, 0, 3]> : tensor<4xi32>
  %pads = arith.constant dense<[[0, 0], [1, 0], [0, 2], [0, 0]]> : tensor<4x2xi32>
  %c = "tfl.conv_2d"(%x, %w, %b) {stride_h = 3 : i32, stride_w = 2 : i32, dilation_h_factor = 1 : i32,
       dilation_w_factor = 1 : i32, padding = "SAME", fused_activation_function = "RELU6"}
       : (tensor<1x9x9x3xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x3x5x4xf32>
  %p = "tfl.max_pool_2d"(%c) {filter_height = 1 : i32, filter_width = 3 : i32, stride_h = 1 : i32, stride_w = 1 : i32,
       padding = "VALID", fused_activation_function = "NONE"} : (tensor<1x3x5x4xf32>) -> tensor<1x3x3x4xf32>
  %d = "tfl.pad"(%p, %pads) : (tensor<1x3x3x4xf32>, tensor<4x2xi32>) -> tensor<1x4x5x4xf32>
  %t = "tfl.transpose"(%d, %perm) : (tensor<1x4x5x4xf32>, tensor<4xi32>) -> tensor<4x5x1x4xf32>
  %m = "tfl.mean"(%p, %axes) {keep_dims = false} : (tensor<1x3x3x4xf32>, tensor<1xi32>) -> tensor<1x3x4xf32>
  return %m, %t : tensor<1x3x4xf32>, tensor<4x5x1x4xf32>
}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("operations") / "net.tflite"
    context = ir.Context()
    api.prepare_mlir_context(context)
    with context, ir.Location.unknown():
        module = ir.Module.parse(MODULE)
        api.export_flatbuffer_to_file(module.operation, str(path))
    return path


def test_everything_that_the_interpreter_tells(file: Path) -> None:
    interpreter = Interpreter(str(file), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    operations = read(file)
    assert [o.op for o in operations] == [o["op_name"] for o in operators]
    for operation, told in zip(operations, operators, strict=True):
        for side, indices in ((operation.inputs, told["inputs"]), (operation.outputs, told["outputs"])):
            for operand, index in zip(side, indices, strict=True):
                detail = details[int(index)]
                assert (operand.name, operand.dtype) == (detail["name"], np.dtype(detail["dtype"]).name)
                assert operand.shape == tuple(detail["shape"])
                if operand.constant:
                    np.testing.assert_array_equal(operand.value, interpreter.get_tensor(int(index)))


def test_attributes_and_what_follows_from_them(file: Path) -> None:
    conv, pool, pad, transpose, mean = sorted(read(file), key=lambda o: _ORDER.index(o.op))
    assert (conv.attributes["stride_h"], conv.attributes["stride_w"]) == (3, 2)
    assert (conv.attributes["padding"], conv.attributes["fused_activation_function"]) == ("SAME", "RELU6")
    assert (conv.kernel, pool.kernel, mean.kernel) == ((3, 3), (1, 3), (1, 1))
    assert conv.bias is not None and conv.bias.value is not None
    np.testing.assert_array_equal(conv.bias.value, [1, 2, 3, 4])
    assert (pool.bias, conv.axes, mean.axes) == (None, (), (1,))
    assert pad.pads == ((0, 0), (1, 0), (0, 2), (0, 0))
    assert transpose.permutation == (1, 2, 0, 3)
    assert mean.attributes["keep_dims"] is False
    assert all(o.version == 1 for o in (conv, pool, pad, transpose, mean))
    assert conv.x.shape == (1, 9, 9, 3) and [t.shape for t in conv.tensors] == [(1, 9, 9, 3), (1, 3, 5, 4)]


_ORDER = ["CONV_2D", "MAX_POOL_2D", "PAD", "TRANSPOSE", "MEAN"]


def test_one_tensor_is_one_operand(file: Path) -> None:
    """Who reads a result is found by it."""
    operations = {o.op: o for o in read(file)}
    assert operations["MAX_POOL_2D"].outputs[0] is operations["MEAN"].inputs[0] is operations["PAD"].inputs[0]


def test_a_computed_size_is_no_data() -> None:
    size, weights, x, y = (
        Operand("size", "int32", (4,)),
        Operand("w", "int8", (4, 2, 2, 8), constant=True),
        Operand("x", "int8", (1, 4, 4, 8)),
        Operand("y", "int8", (1, 8, 8, 4)),
    )
    operation = Operation("TRANSPOSE_CONV", "y", (size, weights, x), (y,))
    assert (operation.x, operation.y, operation.tensors, operation.kernel) == (x, y, (x, y), (2, 2))
    nothing = Operation("SHAPE", "s", (weights,), (size,))
    assert (nothing.x, nothing.tensors) == (weights, (size,))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such TFLite file"):
        read(tmp_path / "none.tflite")


def test_quantized_as_the_quantizer_will() -> None:
    x, w, b = (Operand(n, "float32", s, n != "x") for n, s in (("x", (1, 4)), ("w", (3, 4)), ("b", (3,))))
    y = Operand("y", "float32", (1, 3))
    fc = as_int8(Operation("FULLY_CONNECTED", "y", (x, w, b), (y,)))
    assert [t.dtype for t in (*fc.inputs, *fc.outputs)] == ["int8", "int8", "int32", "int8"]
    for op in ("SIN", "CUSTOM:mine"):
        left = Operation(op, "y", (x,), (y,))
        assert as_int8(left) is left
    indices = Operation("ADD", "y", (Operand("i", "int32", (1,)),) * 2, (Operand("j", "int32", (1,)),))
    assert as_int8(indices) is indices
    assert Operand("c", "int8", (2,), True, np.array([-5, -5], np.int8), 1, (0.1, -5)).zeros
    assert not Operand("c", "int8", (2,), True, np.array([0, 0], np.int8), 1, (0.1, -5)).zeros
