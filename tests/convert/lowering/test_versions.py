"""Every operator version that a lowering claims is proven: by ONNX's node tests, or by a case here.

ONNX's node tests show an operator in its newest version only, and some with operands that TFLite needs to be constant.
Versions that differ in their types alone, by ONNX's own schemas, are one: they have the same inputs, outputs and
attributes with the same defaults. ``consumed_inputs``, which opsets 1 to 5 had as a hint that a result may take an
input's memory, does not count. For each of these groups one version must have passed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

from edgeworthy.convert.lowering import registry
from edgeworthy.formats.onnx.node_tests import load_node_tests
from edgeworthy.vocabulary import NHWC_DOMAIN

from ...conformance import expectations
from ...conformance.adapters import convert_to, run_tflite

Row = tuple[int, str, str, dict[str, Any]]
"""Opset, inputs, nodes that make y (and z, i), constants."""

F32, I64 = np.float32, np.int64
X = "float[2,4,6,8] x"


def _i64(*values: int) -> Any:
    return np.array(values, I64)


def _f32(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(F32)


def _recurrent(gates: int) -> dict[str, Any]:
    return {"w": _f32(1, 5 * gates, 3), "r": _f32(1, 5 * gates, 5) / 4, "b": _f32(1, 10 * gates)}


def _reductions() -> Iterator[Row]:
    for op in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"):
        data = "a = Abs(x) " if op == "LogSum" else "a = Identity(x) "
        yield 13, X, f"{data} y = Reduce{op}<axes=[1,-1], keepdims=0>(a)", {}
    yield 11, X, "y = ReduceSum<axes=[1,-1]>(x)", {}


SCALE, ZERO = np.array([0.02, 0.05, 0.1, 0.3], F32), np.array([3, 0, 128, 255], np.uint8)

ROWS: list[Row] = [
    *_reductions(),
    (11, X, "y = ArgMax<axis=2>(x)", {}),
    (11, X, "y = ArgMin<axis=-1, keepdims=0>(x)", {}),
    (7, X, "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)", {}),
    (10, X, "y = AveragePool<kernel_shape=[3,2], strides=[2,2], ceil_mode=1>(x)", {}),
    (7, X, "y = BatchNormalization(x, s, b, m, v)",
     {"s": _f32(4), "b": _f32(4), "m": _f32(4), "v": np.abs(_f32(4)) + F32(0.5)}),
    (9, X, "y = BatchNormalization<epsilon=0.1>(x, s, b, m, v)",
     {"s": _f32(4), "b": _f32(4), "m": _f32(4), "v": np.abs(_f32(4)) + F32(0.5)}),
    (6, X, "y = Clip<min=-0.5, max=0.25>(x)", {}),
    (18, "float[1,12,9] x", "y = Col2Im(x, size, block)", {"size": _i64(4, 4), "block": _i64(2, 2)}),
    (10, X, "y = RoiAlign<output_height=2, output_width=3, sampling_ratio=2, spatial_scale=0.5>(x, rois, of)",
     {"rois": np.array([[0, 1, 9, 11], [-3, 2, 17, 4], [4, 4, 4, 4]], F32), "of": _i64(0, 1, 1)}),
    (9, X, "c = Constant<value = float[2] {1.5, -2.0}>() r = ReduceMax<axes=[3], keepdims=0>(x) "
     "t = Tile(c, n) m = Reshape(t, k) y = Mul(r, m)", {"n": _i64(3), "k": _i64(6)}),
    (11, X, "y = ConvTranspose<strides=[2,1], pads=[1,0,1,0], output_padding=[1,0]>(x, w, b)",
     {"w": _f32(4, 3, 3, 2), "b": _f32(3)}),
    (20, "float[1,8,6,1] x", "y = DFT(x, , axis)", {"axis": np.array(1, I64)}),
    (7, X, "y = DepthToSpace<blocksize=2>(x)", {}),
    (10, "uint8[2,4,6] x", "y = DequantizeLinear(x, s, z)", {"s": SCALE[0], "z": ZERO[0]}),
    (13, "uint8[2,4,6] x", "y = DequantizeLinear(x, s, z)", {"s": SCALE, "z": ZERO}),
    (21, "uint8[2,4,6] x", "y = DequantizeLinear<axis=-2>(x, s, z)", {"s": SCALE, "z": ZERO}),
    (12, "float[2,3,4] x", 'y = Einsum<equation="bij,jk->bk">(x, w)', {"w": _f32(4, 5)}),
    (7, "float[6,2,3] x", "y, h = GRU<hidden_size=5>(x, w, r, b)", _recurrent(3)),
    (7, "float[6,2,3] x", "y, h = LSTM<hidden_size=5>(x, w, r, b)", _recurrent(4)),
    (7, "float[6,2,3] x", "y, h = RNN<hidden_size=5>(x, w, r, b)", _recurrent(1)),
    (11, X, "y = GatherND(x, i)", {"i": np.array([[0, 1], [1, -2]], I64)}),
    (7, "float[3,4] x", "y = Gemm<alpha=0.5, beta=2.0, transB=1>(x, w, b)", {"w": _f32(5, 4), "b": _f32(5)}),
    (11, X, "y = GlobalLpPool<p=3>(x)", {}),
    (16, X, 'y = GridSample<mode="bilinear", align_corners=1>(x, g)',
     {"g": np.linspace(-1.2, 1.2, 60, dtype=F32).reshape(2, 5, 3, 2)}),
    (18, X, "y = GroupNormalization<num_groups=2>(x, s, b)", {"s": _f32(2), "b": _f32(2)}),
    (11, "float[3,4] x", "y = Hardmax(x)", {}),
    (11, X, "y = LogSoftmax(x)", {}),
    (11, X, "y = LpPool<kernel_shape=[2,3], strides=[2,1], p=1>(x)", {}),
    (7, X, "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)", {}),
    (8, X, 'y = MaxPool<kernel_shape=[2,3], auto_pad="SAME_LOWER">(x)', {}),
    (7, X, "y = Pad<pads=[0,1,0,2,0,0,3,1], value=-1.5>(x)", {}),
    (11, X, 'y = Pad<mode="reflect">(x, p)', {"p": _i64(0, 1, 0, 2, 0, 0, 3, 1)}),
    (13, X, "y = QuantizeLinear(x, s, z)", {"s": SCALE, "z": ZERO}),
    (19, X, "y = QuantizeLinear<axis=-3>(x, s, z)", {"s": SCALE, "z": ZERO}),
    (21, X, "y = QuantizeLinear(x, s, z)", {"s": SCALE[0], "z": ZERO[2]}),
    (10, X, 'y = RoiAlign<output_height=3, output_width=2, sampling_ratio=2, spatial_scale=0.5>(x, r, i)',
     {"r": np.array([[1, 2, 9, 8], [-3, 0, 20, 11]], F32), "i": _i64(1, 0)}),
    (10, X, 'y = Resize<mode="linear">(x, s)', {"s": np.array([1, 1, 2, 2], F32)}),
    (11, X, 'y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, r, r, n)',
     {"r": np.array([], F32), "n": _i64(2, 4, 9, 5)}),
    (13, X, 'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
     {"s": np.array([1, 1, 2, 3], F32)}),
    (17, "float[1,32,1] x", "y = STFT<onesided=1>(x, step, , n)", {"step": np.array(8, I64), "n": np.array(16, I64)}),
    (11, X, "y = ScatterElements<axis=1>(x, i, u)", {"i": _i64(2).reshape(1, 1, 1, 1), "u": _f32(1, 1, 1, 1)}),
    (11, X, "y = ScatterND(x, i, u)", {"i": np.array([[1, 3], [0, 0]], I64), "u": _f32(2, 6, 8)}),
    (7, X, "y = Slice<axes=[1,3], starts=[1,-5], ends=[9,-1]>(x)", {}),
    (11, "float[3,4] x", "y = Softmax(x)", {}),
    (13, X, "y = SpaceToDepth<blocksize=2>(x)", {}),
    (7, X, "y, z = Split<axis=1, split=[1,3]>(x)", {}),
    (11, X, "r = ReduceMax<axes=[1]>(x) y = Squeeze<axes=[1]>(r)", {}),
    (11, X, "y = Unsqueeze<axes=[0,-1]>(x)", {}),
    (7, X, "y, i = TopK<axis=-1, k=3>(x)", {}),
    (10, X, "y, i = TopK<axis=1>(x, k)", {"k": _i64(2)}),
    (7, X, 'y = Upsample<mode="nearest", scales=[1.0,1.0,2.0,3.0]>(x)', {}),
    (9, X, 'y = Upsample<mode="linear">(x, s)', {"s": np.array([1, 1, 2, 2], F32)}),
]  # fmt: skip

UNPROVEN = {
    ("AveragePool", 1): "version 7 adds count_include_pad, 0 by default; no runtime runs opset 6 of it",
    ("Clip", 1): "an absent bound is the largest number in version 6; no runtime runs opset 5",
    ("Selu", 1): "version 6 states its defaults with more digits; no runtime runs opset 5",
}
"""(operator, version) → why nothing proves it, and why that does no harm."""


def _model(opset: int, inputs: str, nodes: str, constants: dict[str, Any]) -> onnx.ModelProto:
    version = 7 if opset < 15 else 10
    model = onnx.parser.parse_model(
        f'<ir_version: {version}, opset_import: ["": {opset}]> g ({inputs}) => () {{ {nodes} }}'
    )
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    outputs = [n for node in model.graph.node for n in node.output]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    kinds = {value.name: value.type for value in inferred.graph.value_info}
    for name in outputs:
        if name in ("y", "z", "i"):  # ONNX infers nothing of GroupNormalization-18
            model.graph.output.add(name=name).type.CopyFrom(kinds.get(name, model.graph.input[0].type))
    return model


def _feed(model: onnx.ModelProto) -> dict[str, Any]:
    (value,) = model.graph.input
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    rng = np.random.default_rng(0)
    if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8:
        return {"x": rng.integers(0, 256, shape).astype(np.uint8)}
    x = rng.standard_normal(shape).astype(F32)
    x.flat[1] = 0  # a zero, and a tie
    x.flat[3] = x.flat[2]
    return {"x": x}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[2]}" for row in ROWS])
def test_a_version_computes_what_onnx_runtime_does(row: Row, tmp_path: Path) -> None:
    model = _model(*row)
    feed = _feed(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    want = ort.InferenceSession(model.SerializeToString(), options).run(None, feed)
    got = run_tflite(convert_to("tflite", model.SerializeToString(), tmp_path), feed)
    for value, expected in zip(model.graph.output, want, strict=True):
        actual = got[value.name]
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5)


@cache
def _schemas() -> dict[str, dict[int, onnx.defs.OpSchema]]:
    found: dict[str, dict[int, onnx.defs.OpSchema]] = defaultdict(dict)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found[schema.name][schema.since_version] = schema
    return found


def _signature(schema: onnx.defs.OpSchema) -> tuple[Any, ...]:
    attributes = {
        (name, str(a.type), a.required, a.default_value.SerializeToString()) for name, a in schema.attributes.items()
    }
    return (
        tuple(formal.option for formal in schema.inputs),
        tuple(formal.option for formal in schema.outputs),
        frozenset(a for a in attributes if a[0] != "consumed_inputs"),
    )


def _versions(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    for node in model.graph.node:
        if opset is not None and node.domain == "" and onnx.defs.has(node.op_type, opset):
            yield node.op_type, onnx.defs.get_schema(node.op_type, opset).since_version


@cache
def proven() -> frozenset[tuple[str, int]]:
    """(operator, version) in the node tests that pass (the conformance run holds the list to that) and in the rows."""
    failing = expectations.read().of("tflite")
    models = [onnx.load_model_from_string(case.model) for case in load_node_tests().cases if case.name not in failing]
    models += [_model(*row) for row in ROWS]
    return frozenset(version for model in models for version in _versions(model))


def _claimed() -> Iterator[tuple[str, list[int]]]:
    """Operator → versions that a lowering claims, those that differ in types alone together."""
    registry.supported()
    for (domain, op), entries in registry._REGISTRY.items():
        if domain not in ("", NHWC_DOMAIN):
            continue
        for entry in entries:
            schemas = _schemas()[op]
            versions = sorted(v for v in schemas if entry.since <= v <= entry.verified_to)
            assert versions, f"no version of {op} lies between {entry.since} and {entry.verified_to}"
            groups: list[list[int]] = []
            for version in versions:
                if groups and _signature(schemas[groups[-1][-1]]) == _signature(schemas[version]):
                    groups[-1].append(version)
                else:
                    groups.append([version])
            yield from ((op, group) for group in groups)


def test_every_version_that_is_claimed_is_proven() -> None:
    groups = [[(op, version) for version in group] for op, group in _claimed()]
    unproven = {version for group in groups if not proven() & set(group) for version in group}
    assert unproven == set(UNPROVEN)


def test_the_newest_opset_is_the_conformance_suites() -> None:
    assert onnx.defs.onnx_opset_version() == registry.VERIFIED_TO
    assert expectations.read().onnx == onnx.__version__
