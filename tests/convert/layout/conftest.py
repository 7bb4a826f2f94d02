"""Small graphs in ONNX's text form, and the comparison that every layout test ends in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from edgeworthy.convert.layout import LayoutReport, to_channels_last
from edgeworthy.convert.lowering import layout_rules
from edgeworthy.convert.lowering.lower import operator_version
from edgeworthy.convert.lowering.registry import find

Feeds = dict[str, np.ndarray]
LaidOut = Callable[..., Any]

CONV = "edgeworthy.nhwc::Conv"


def build(text: str, weights: Mapping[str, object] | None = None, opset: int = 20) -> ir.Model:
    """A model from ``name (inputs) => (outputs) { nodes }``.

    Weights are arrays, shapes (filled with random float32) or lists of integers (int64).
    """
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')
    rng = np.random.default_rng(0)
    for name, what in (weights or {}).items():
        if isinstance(what, tuple):
            array = rng.standard_normal(what).astype(np.float32)
        else:
            array = np.asarray(what, np.int64) if isinstance(what, list) else np.asarray(what)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    ShapeInferencePass()(model)
    return model


def feeds_of(model: ir.Model, seed: int = 1) -> Feeds:
    """Random inputs; dynamic dimensions are made 2 (axis 0) or 8."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        assert value.name is not None and value.shape is not None and value.dtype is not None
        shape = [d if isinstance(d, int) else (8 if axis else 2) for axis, d in enumerate(value.shape)]
        dtype = value.dtype.numpy()
        if dtype.kind in "biu":
            feeds[value.name] = rng.integers(0, 2, shape).astype(dtype)
        else:
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
    return feeds


def run_all(model: ir.Model, feeds: Feeds) -> Feeds:
    """Every value of the main graph, by name."""
    proto = ir.to_proto(model)
    known = {o.name for o in proto.graph.output} | {""}
    for node in proto.graph.node:
        for name in node.output:
            if name not in known:
                known.add(name)
                proto.graph.output.append(onnx.ValueInfoProto(name=name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@dataclass
class Outcome:
    """A model after the step, and what can be asked of it."""

    model: ir.Model
    report: LayoutReport
    before: ir.Model

    def ops(self) -> list[str]:
        return [(n.domain + "::" if n.domain else "") + n.op_type for n in self.model.graph]

    def count(self, op: str) -> int:
        return self.ops().count(op)

    @property
    def transposes(self) -> int:
        return self.count("Transpose")

    def node(self, op: str) -> ir.Node:
        (found,) = [n for n in self.model.graph if n.op_type == op]
        return found

    def shape(self, name: str) -> list[object]:
        (value,) = [v for n in self.model.graph for v in n.outputs if v.name == name]
        assert value.shape is not None
        return [d if isinstance(d, int) else d.value for d in value.shape]


def lay_out(model: ir.Model, io_layout: str = "keep") -> Outcome:
    """Run the step and compare every value that both models have, with its shape, in ONNX Runtime."""
    before = ir.from_proto(ir.to_proto(model))
    feeds = feeds_of(before)
    expected = run_all(before, feeds)
    report = to_channels_last(model, layout_rules(), io_layout=io_layout)
    perms = report.permutations
    assert list(perms) == [v.name for v in (*before.graph.inputs, *before.graph.outputs)]
    given = {n: np.transpose(a, perms[n]) if perms[n] else a for n, a in feeds.items()}
    actual = run_all(model, given)
    for name, value in expected.items():
        if name in actual:
            perm = report.layouts.get(name, tuple(range(value.ndim)))
            assert actual[name].dtype == value.dtype
            np.testing.assert_allclose(actual[name], np.transpose(value, perm), rtol=1e-5, atol=1e-5, err_msg=name)
    assert {v.name for v in before.graph.outputs} <= actual.keys()
    for output in before.graph.outputs:
        assert report.layouts.get(output.name, ()) == perms[output.name]
    _shapes_hold(model, actual | given)
    opset = model.graph.opset_imports[""]
    lost = [n.op_type for n in model.graph if n.domain and not find(n.domain, n.op_type, operator_version(n, opset))]
    assert not lost, "moved to a private domain that has no lowering of it"
    return Outcome(model, report, before)


def _shapes_hold(model: ir.Model, arrays: Feeds) -> None:
    for value in (*model.graph.inputs, *(v for node in model.graph for v in node.outputs)):
        if value.name not in arrays:
            continue
        shape = arrays[value.name].shape
        assert value.shape is not None, value.name
        assert len(value.shape) == len(shape), value.name
        for dim, extent in zip(value.shape, shape, strict=True):
            assert not isinstance(dim, int) or dim == extent, (value.name, value.shape, shape)


@pytest.fixture
def laid_out() -> Callable[..., Outcome]:
    """``laid_out(text, weights, io_layout="keep", opset=20)``: build, lay out, compare."""

    def run(
        text: str,
        weights: Mapping[str, object] | None = None,
        io_layout: str = "keep",
        opset: int = 20,
        edit: Sequence[Callable[[ir.Model], None]] = (),
    ) -> Outcome:
        model = build(text, weights, opset)
        for change in edit:
            change(model)
        return lay_out(model, io_layout)

    return run
