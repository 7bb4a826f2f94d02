"""Runs passes on a model, holding it against ONNX Runtime and against the contracts after every one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgeworthy.convert.passes import PIPELINE, IsLowered, PassReport, run_pass
from edgeworthy.convert.passes.contract import passes_of

PASSES = {p.name: p for p in passes_of(PIPELINE)}
PRELUDE = ("inline_functions", "lift_constants", "infer_shapes")
"""What the passes of single tests rest on."""


def run_ort(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    """The outputs of a model in ONNX Runtime, which is to change nothing itself."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def random_feeds(model: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal numbers (or small integers) for every input that isn't an initializer; dynamic dimensions are 2."""
    rng = np.random.default_rng(seed)
    stored = {i.name for i in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name not in stored:
            shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            floating = np.issubdtype(dtype, np.floating)
            array = rng.normal(size=shape) * 2 if floating else rng.integers(0, 2, size=shape)
            feeds[value.name] = array.astype(dtype)
    return feeds


def assert_close(got: list[Any], want: list[Any], tolerance: float, where: str) -> None:
    for a, b in zip(got, want, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), where
        if a.dtype.kind == "f":
            scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0.0)))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=where)
        else:
            np.testing.assert_array_equal(a, b, err_msg=where)


@dataclass
class Applied:
    """A model after its passes."""

    model: ir.Model
    reports: dict[str, PassReport] = field(default_factory=dict)

    @property
    def ops(self) -> list[str]:
        """The operators of the graph, in order; those of other domains with their domain."""
        return [f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in self.model.graph]

    def node(self, op_type: str) -> ir.Node:
        (found,) = [n for n in self.model.graph if n.op_type == op_type]
        return found

    def constant(self, name: str) -> np.ndarray:
        value = self.model.graph.initializers[name].const_value
        assert value is not None
        return value.numpy()

    def refusals(self, name: str) -> str:
        return "; ".join(r.reason for r in self.reports[name].refusals)


def parse(text: str, weights: Mapping[str, Any] | None = None) -> onnx.ModelProto:
    """A model in ONNX's text form; those of ``weights`` that it names become initializers."""
    model = onnx.parser.parse_model(text)
    for name, array in (weights or {}).items():
        if re.search(rf"\b{name}\b", text):
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return model


def apply_passes(
    source: str | onnx.ModelProto,
    *names: str,
    weights: Mapping[str, Any] | None = None,
    feeds: Mapping[str, Any] | None = None,
    is_lowered: IsLowered | None = None,
    prelude: tuple[str, ...] = PRELUDE,
    tolerance: float = 2e-6,
) -> Applied:
    """Run passes by name, after those they rest on.

    After each one ONNX Runtime must compute the same, the signature must be the same, every node must know its module
    and source, the properties that the pass ensures must hold, and running it again must change nothing.
    """
    proto = parse(source, weights) if isinstance(source, str) else source
    for index, node in enumerate(proto.graph.node):
        node.name = node.name or f"n{index}"
    model = ir.from_proto(proto)
    for node in model.graph.all_nodes():
        node.metadata_props.update({"edgeworthy.module": f"module of {node.name}", "edgeworthy.source": "file.py:1"})
    feeds = random_feeds(proto) if feeds is None else feeds
    want = run_ort(proto, feeds)
    inputs, outputs = [v.name for v in model.graph.inputs], [v.name for v in model.graph.outputs]
    applied = Applied(model)
    for name in (*prelude, *names):
        applied.reports[name] = run_pass(model, PASSES[name], is_lowered=is_lowered)
        assert_close(run_ort(ir.to_proto(model), feeds), want, tolerance, f"after {name}")
        assert [v.name for v in model.graph.outputs] == outputs
        assert [v.name for v in model.graph.inputs if v.name in feeds] == [n for n in inputs if n in feeds]
        for prop in PASSES[name].ensures:
            assert prop.violation(model) is None, name
        for node in model.graph.all_nodes():
            assert {"edgeworthy.module", "edgeworthy.source"} <= node.metadata_props.keys(), (name, node.name)
        _assert_tidy(model)
        before = ir.to_proto(model).SerializeToString(deterministic=True)
        assert run_pass(model, PASSES[name], is_lowered=is_lowered).changed == 0, f"{name} changes its own result"
        assert ir.to_proto(model).SerializeToString(deterministic=True) == before, f"{name} is not idempotent"
    return applied


def _assert_tidy(model: ir.Model) -> None:
    """Names are unique within their scopes, and every use of a value is by a node that is in the graph."""
    nodes = set(model.graph.all_nodes())

    def visit(graph: ir.Graph, outer: set[str]) -> None:
        values = [*graph.initializers.values(), *graph.inputs, *(v for n in graph for v in n.outputs if v.name)]
        names = [str(v.name) for v in dict.fromkeys(values)]
        assert len({*names, *outer}) == len(names) + len(outer), sorted(names)
        for value in values:
            assert {u.node for u in value.uses()} <= nodes, value.name
        for attr in (a for n in graph for a in n.attributes.values()):
            if attr.type == ir.AttributeType.GRAPH:
                visit(attr.as_graph(), {*names, *outer})

    visit(model.graph, set())


@pytest.fixture
def apply() -> Callable[..., Applied]:
    return apply_passes


@pytest.fixture
def ort_outputs() -> Callable[..., list[Any]]:
    return run_ort
