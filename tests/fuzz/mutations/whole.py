"""Mutations that concern the whole model: its opsets and functions, an extent or a type wherever it occurs."""

from __future__ import annotations

from random import Random

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from .common import DTYPES, array_of, choose, store


def other_opset(rng: Random, model: ModelProto) -> None:
    kind = rng.randrange(8)
    if kind == 0:
        del model.opset_import[:]
    elif kind == 1:
        model.opset_import.add(domain=choose(rng, ("", "ai.onnx", "own", "com.microsoft")), version=choose(rng, (1, 9)))
    elif kind == 2:
        choose(rng, model.opset_import).domain = choose(rng, ("ai.onnx", "other"))
    else:
        versions = (*range(1, onnx.defs.onnx_opset_version() + 1), 0, -1, 99, 2**40)
        choose(rng, model.opset_import).version = choose(rng, versions)


def other_ir_version(rng: Random, model: ModelProto) -> None:
    model.ir_version = choose(rng, (0, 1, 3, 4, 8, 10, onnx.IR_VERSION, 99, -1))


def change_functions(rng: Random, model: ModelProto) -> None:
    function = choose(rng, model.functions)
    kind = rng.randrange(6)
    if kind == 0:
        model.functions.remove(function)
    elif kind == 1:
        function.name = choose(rng, [f.name for f in model.functions])
    elif kind == 2:
        function.node.append(NodeProto(op_type=function.name, domain=function.domain, input=function.input))
    elif kind == 3 and function.opset_import:
        choose(rng, function.opset_import).version = choose(rng, (1, 7, 13, 99))
    elif kind == 4 and function.input:
        del function.input[rng.randrange(len(function.input))]
    else:
        function.output.append(choose(rng, ("v", "w", "nowhere")))


def other_extent(rng: Random, model: ModelProto) -> None:
    """An extent is another one wherever it occurs; shapes that are stated of what is computed go."""
    extents = [d.dim_value for v in model.graph.input for d in v.type.tensor_type.shape.dim if d.dim_value]
    old = choose(rng, extents)
    new = choose(rng, (0, 0, 1, 2, old + 1))
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value == old and dim.HasField("dim_value"):
                if rng.random() < 0.15:
                    dim.dim_param = "N"
                else:
                    dim.dim_value = new
    for tensor in model.graph.initializer:
        if old in tensor.dims:
            array = array_of(tensor)
            store(tensor, np.resize(array, [new if d == old else d for d in array.shape]))
    _forget_shapes(model)


def other_element_type(rng: Random, model: ModelProto) -> None:
    """An element type is another one wherever it occurs."""
    kinds = [v.type.tensor_type for v in model.graph.input if v.type.HasField("tensor_type")]
    old = choose(rng, kinds).elem_type
    new = choose(rng, DTYPES[1:14])
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == old:
            value.type.tensor_type.elem_type = new
    if new == TensorProto.STRING:
        return
    for tensor in [t for t in model.graph.initializer if t.data_type == old]:
        with np.errstate(all="ignore"):
            store(tensor, array_of(tensor).astype(helper.tensor_dtype_to_np_dtype(new)))
    del model.graph.value_info[:]


def _forget_shapes(model: ModelProto) -> None:
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
