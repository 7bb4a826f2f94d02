"""``ai-edge-quantizer``, told what to quantize and taught the int8 kernels of TFLite that it doesn't list.

This module changes tables of the engine, so it is imported in the worker process only.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_quantizer import algorithm_manager, default_policy, qtyping, quantizer
from ai_edge_quantizer.algorithms.uniform_quantize import (
    common_quantize,
    naive_min_max_quantize,
    uniform_quantize_tensor,
)
from ai_edge_quantizer.algorithms.utils import common_utils
from ai_edge_quantizer.transformations import duplicate_tensor
from ai_edge_quantizer.utils import tfl_flatbuffer_utils

from ..formats.tflite import edit as fb
from ..formats.tflite.ops import OPS, FixedScale, Int8
from ..formats.tflite.summary import OP_NAMES
from ..schemes import Method, Scheme
from . import weight_ranges
from .kinds import MIN_ELEMENTS
from .recipe import Compute
from .weight_ranges import WeightRange

NAME = f"ai-edge-quantizer {importlib.metadata.version('ai-edge-quantizer')}"

_MIN_MAX = algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT
_NO_QUANTIZE = algorithm_manager.AlgorithmName.NO_QUANTIZE
_OpName = qtyping.TFLOperationName


def _fixed_output(scale: float, zero_point: int) -> Any:
    """Materialize an operator whose int8 kernel has the output's scale built in."""
    params = qtyping.UniformQuantParams(
        num_bits=8,
        quantized_dimension=None,
        scale=np.array(scale),
        zero_point=np.array(zero_point),
        symmetric=False,
    )

    def materialize(
        get_tensor_quant_params_fn: Any,
        op_info: Any,
        graph_info: Any,
        tensor_name_to_qsv: Any,
        tensor_quant_params_cache: Any,
    ) -> Any:
        return common_utils.materialize_op_with_output_activation_constraint(
            op_info,
            graph_info,
            tensor_name_to_qsv,
            {8: params},
            get_tensor_quant_params_fn,
            tensor_quant_params_cache=tensor_quant_params_cache,
        )

    return materialize


# The engine's own rules of listed operators with the same demands on scales.
_MATERIALIZE: dict[Int8, Any] = {
    Int8.OWN_SCALE: common_quantize.materialize_relu,
    Int8.INPUT_SCALE: common_quantize.materialize_reshape,
    Int8.OUTPUT_SCALE: common_quantize.materialize_maximum,
}


def _materialize(rule: Int8 | FixedScale) -> Any:
    return _fixed_output(rule.scale, rule.zero_point) if isinstance(rule, FixedScale) else _MATERIALIZE[rule]


_OCTAV = algorithm_manager.AlgorithmName.OCTAV
"""The engine's rules with scales of weights by ``weight_ranges.limits``, in place of its own form of it: that gives
channels of zeros the scale 0, and channels that lose by clipping are clipped."""

_CLIPPED: dict[Any, Any] = {
    _OpName.CONV_2D: common_quantize.materialize_fc_conv,
    _OpName.CONV_2D_TRANSPOSE: common_quantize.materialize_conv2d_transpose,
    _OpName.DEPTHWISE_CONV_2D: common_quantize.materialize_fc_conv,
    _OpName.FULLY_CONNECTED: common_quantize.materialize_fc_conv,
}
"""Operators with weights whose scales may be less than the largest asks for."""


def _octav_params(op_info: Any, config: Any, content: Any = None, qsv: Any = None) -> Any:
    """The engine's scale and integers of a tensor, and of weights without blocks those by ``octav``."""
    params = naive_min_max_quantize.get_tensor_quant_params(op_info, config, content, qsv)
    if content is None or params.block_size:
        return params
    axis = params.quantized_dimension
    rows = content.reshape(1, -1) if axis is None else np.moveaxis(content, axis, 0).reshape(content.shape[axis], -1)
    limits = np.maximum(weight_ranges.limits(rows, config.num_bits), 1e-9)  # the engine's least, of channels of zeros
    scale = (limits / (2 ** (config.num_bits - 1) - 1)).astype(np.float32).reshape(params.scale.shape)
    clipped = dataclasses.replace(params, scale=scale)
    steps = uniform_quantize_tensor.uniform_quantize(content, clipped, False)
    return dataclasses.replace(clipped, quantized_data=steps)


ADDED: dict[str, Any] = {
    op.builtin: _materialize(op.int8) for op in OPS.values() if op.int8 not in (Int8.LISTED, Int8.FLOAT)
}
"""TFLite kernels with an int8 form that the engine's policy leaves out, by the table of operators."""


def register_added_operators() -> None:
    """Enter ``ADDED`` and ``_OCTAV`` into the engine's tables, once."""
    policy = dict(default_policy.DEFAULT_CONFIG_CHECK_POLICY)
    codes = dict(tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME)
    for name, materialize in ADDED.items():
        algorithm_manager.register_quantized_op(
            _MIN_MAX,
            name,
            naive_min_max_quantize.init_qsvs,
            calibration_func=naive_min_max_quantize.min_max_calibrate,
            materialize_func=functools.partial(materialize, naive_min_max_quantize.get_tensor_quant_params),
        )
        algorithm_manager.MIN_MAX_OP_NAME_MATERIALIZE_FUNC_DICT[name] = materialize
        # Policies are per configuration: RELU has exactly the static ones.
        policy[name] = policy[_OpName.RELU]
        codes[getattr(qtyping.BuiltinOperator, name)] = name
    algorithm_manager.register_config_check_policy_func(_MIN_MAX, policy)
    algorithm_manager.register_op_quant_config_validation_func(_OCTAV, common_quantize.check_op_quantization_config)
    algorithm_manager.register_config_check_policy_func(_OCTAV, policy)
    for name, materialize in _CLIPPED.items():
        algorithm_manager.register_quantized_op(
            _OCTAV,
            name,
            naive_min_max_quantize.init_qsvs,
            calibration_func=naive_min_max_quantize.min_max_calibrate,
            materialize_func=functools.partial(materialize, _octav_params),
        )
    tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME = codes
    duplicate_tensor.duplicate_tensor = _duplicate_tensor


_duplicated = duplicate_tensor.duplicate_tensor


def _duplicate_tensor(given: Any) -> Any:
    """The engine's own copy of a constant; its name is text there, and bytes in all that the engine does next."""
    done = _duplicated(given)
    for tensor in given.subgraph.tensors:
        if isinstance(tensor.name, str):
            tensor.name = tensor.name.encode()
    return done


_NARROW = (_OpName.FULLY_CONNECTED, _OpName.CONV_2D, _OpName.EMBEDDING_LOOKUP)
"""Operators whose weights can have fewer than 8 bits; those of others get 8."""

_BLOCK = 32
"""Weights of a row that share a scale, where rows are in blocks; a row that is no multiple of it has 8 bits too."""


def supported_operators(scheme: Scheme) -> frozenset[str]:
    """Schema names of the operators that the engine can quantize under ``scheme``, or with 8 bits in place of fewer."""
    config = _config(dataclasses.replace(scheme, weights="int8", granularity="channel"))
    return frozenset(
        OP_NAMES[code] for code, key in tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.items() if _is_supported(key, config)
    )


def quantize(
    content: bytes,
    scheme: Scheme,
    *,
    ranges: Mapping[str, tuple[float, float]],
    computes: Mapping[int, Compute],
    weights: WeightRange = "max",
) -> Any:
    """The quantized ``ModelT`` of a float flatbuffer; with a static scheme its inputs and outputs are int8.

    Args:
        content: The float model, with unique tensor names.
        scheme: One with scales: dynamic, static or of weights alone.
        ranges: Least and largest value of every float activation, for a static scheme.
        computes: Operators of the main graph → what they compute in, where it isn't what the scheme says.
        weights: How far the integers of weights reach; those of blocks to the largest.
    """
    engine = quantizer.Quantizer(content)

    def put(where: str, kind: Any, config: Any) -> None:
        key = _OCTAV if weights == "octav" and kind in _CLIPPED else _MIN_MAX
        engine.update_quantization_recipe(where, kind, config, algorithm_key=key)

    base = dataclasses.replace(scheme, weights="int8", granularity="channel") if scheme.weight_bits < 8 else scheme
    put(".*", _OpName.ALL_SUPPORTED, _config(base))
    for kind in _CLIPPED:
        if _is_supported(kind, _config(base)):
            put(".*", kind, _config(base))
    if scheme.needs_calibration:
        put(".*", _OpName.BATCH_MATMUL, _config(base, _OpName.BATCH_MATMUL))
    for kind in _NARROW if base is not scheme else ():
        if _is_supported(kind, _config(scheme)):
            put(".*", kind, _config(scheme))
    original = fb.read(content)
    odd = _odd_rows(original) if scheme.granularity == "block32" else {}
    for scope, operator in odd.items():
        put(f"^{re.escape(scope)}$", operator, _config(base))
    for operator, scope, compute in _scopes(original, computes, bodies=scheme.needs_calibration):
        where = f"^{re.escape(scope)}$"
        if compute in ("int8", "int16"):
            put(where, operator, _config(dataclasses.replace(base, activations=compute), operator))
            continue
        stored = (scheme, base) if operator in _NARROW and scope not in odd else (base,)
        methods = _IN_FLOAT.get(compute, ())
        configs = [_config(dataclasses.replace(each, method=method)) for method in methods for each in stored]
        config = next((config for config in configs if _is_supported(operator, config)), None)
        if config is not None:
            put(where, operator, config)
        else:  # or it has no weights
            engine.update_quantization_recipe(where, operator, algorithm_key=_NO_QUANTIZE)
    measured = None
    if scheme.needs_calibration:
        # Without axes, so that the scale fits constants of any rank that share it.
        measured = {
            name: {"min": np.array(low, np.float32), "max": np.array(high, np.float32)}
            for name, (low, high) in ranges.items()
        }
    result = engine.quantize(measured, enable_progress_bar=False, enable_progress_report=False)
    quantized = fb.read(bytes(result.quantized_model))
    _let_float_read_float(quantized)
    _restore_outputs(quantized, original)
    return quantized


def _restore_outputs(model: Any, original: Any) -> None:
    """Undo what the engine does to an int8 output that a float operator reads too.

    The graph gets the float copy for its output, and the signature keeps the int8 tensor, which a delegate may swallow.
    """
    for graph in model.subgraphs:
        casts = {op.outputs[0]: op.inputs[0] for op in graph.operators if fb.op_name(model, op) == "DEQUANTIZE"}
        graph.outputs = [casts.get(i, i) for i in graph.outputs]
    for signature, before in zip(model.signatureDefs or [], original.signatureDefs or [], strict=True):
        old, new = (m.subgraphs[signature.subgraphIndex].outputs for m in (original, model))
        for entry, known in zip(signature.outputs, before.outputs, strict=True):
            entry.tensorIndex = new[list(old).index(known.tensorIndex)]


def _let_float_read_float(model: Any) -> None:
    """Undo what the engine does to a float output of the graph: all that read it get its quantized copy, floats too."""
    for graph in model.subgraphs:
        casts = {op.outputs[0]: op.inputs[0] for op in graph.operators if fb.op_name(model, op) == "QUANTIZE"}
        copies = {copy: source for copy, source in casts.items() if fb.is_float(graph.tensors[source])}
        for op in graph.operators:
            if op.outputs and fb.is_float(graph.tensors[op.outputs[0]]) and fb.op_name(model, op) != "DEQUANTIZE":
                op.inputs = [copies.get(i, i) for i in op.inputs]


_IN_FLOAT: dict[Compute, tuple[Method, ...]] = {"weights": ("weight_only",), "dynamic": ("dynamic", "weight_only")}
"""What reads and writes floats with int8 weights → the methods that do, the first that there is of an operator."""


def _scopes(model: Any, computes: Mapping[int, Compute], *, bodies: bool) -> list[tuple[Any, str, Compute]]:
    """Engine name, scope (output names) and dtype of the operators that don't follow the scheme.

    Args:
        computes: Indices of operators of the main graph → what they compute in.
        bodies: So do all outside the main graph, as calibration doesn't see bodies of WHILE and IF: they compute in
            float, layers with weights in integers.
    """
    main = model.subgraphs[0]
    told: list[tuple[Any, Any, Compute]] = [
        (main, main.operators[i], compute) for i, compute in sorted(computes.items())
    ]
    for graph in model.subgraphs[1:] if bodies else ():
        ends = tfl_flatbuffer_utils.get_subgraph_input_output_operators(graph)
        told += [(graph, op, "dynamic" if _is_layer(model, graph, op) else "float32") for op in graph.operators]
        told += [(graph, end, "float32") for end in ends]
    found = []
    for graph, op, compute in told:
        key = op.op_key if isinstance(op, qtyping.IOOperator) else _engine_name(model, op)
        if key is not None:
            found.append((key, tfl_flatbuffer_utils.get_op_scope(op, graph.tensors), compute))
    return found


def _odd_rows(model: Any) -> dict[str, Any]:
    """Scope → engine name of the operators whose weights have rows that can't be cut into blocks."""
    found = {}
    for _, graph, op in fb.operators(model):
        key = _engine_name(model, op)
        constants = [tensor for tensor in fb.tensors(graph, op.inputs) if fb.is_constant(model, tensor)]
        rows = [tensor for tensor in constants if fb.is_float(tensor) and len(tensor.shape) > 1]
        if key in _NARROW and any(tensor.shape[-1] % _BLOCK for tensor in rows):
            found[tfl_flatbuffer_utils.get_op_scope(op, graph.tensors)] = key
    return found


def _is_layer(model: Any, graph: Any, op: Any) -> bool:
    """Whether it is a product with a constant of many elements."""
    weights = graph.tensors[op.inputs[1]] if fb.op_name(model, op) == "FULLY_CONNECTED" else None
    return weights is not None and fb.is_constant(model, weights) and int(np.prod(weights.shape)) >= MIN_ELEMENTS


def _engine_name(model: Any, op: Any) -> Any:
    """The engine's name of an operator; None for one that it never quantizes."""
    code = model.operatorCodes[op.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.get(builtin)


_GRANULARITIES = {
    "tensor": qtyping.QuantGranularity.TENSORWISE,
    "channel": qtyping.QuantGranularity.CHANNELWISE,
    "block32": qtyping.QuantGranularity.BLOCKWISE_32,
}


def _config(scheme: Scheme, operator: Any = None) -> Any:
    """The engine's configuration for a scheme, of all operators or of one kind."""
    if operator == _OpName.BATCH_MATMUL and scheme.needs_calibration:
        scheme = dataclasses.replace(scheme, granularity="tensor")  # its int8 kernel reads one scale only
    activations = weights = None
    if scheme.needs_calibration:
        # TFLite's 16-bit kernels take zero points of 0 only.
        bits = scheme.activation_bits
        activations = qtyping.TensorQuantizationConfig(num_bits=bits, symmetric=bits == 16)
    if scheme.granularity is not None:
        weights = qtyping.TensorQuantizationConfig(
            num_bits=scheme.weight_bits, symmetric=True, granularity=_GRANULARITIES[scheme.granularity]
        )
    unpacked = scheme.method == "weight_only"
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.FLOAT if unpacked else qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=unpacked,
    )


def _is_supported(key: Any, config: Any) -> bool:
    try:
        algorithm_manager.check_op_quantization_config(_MIN_MAX, key, config)
    except ValueError:
        return False
    return True
