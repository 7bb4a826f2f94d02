"""ONNX's own node tests through the pipeline: what ONNX Runtime computes of them must not change."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgeworthy.convert.passes import run_passes

# fmt: off
BASIC = frozenset({
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Conv", "Cos", "Div", "Equal", "Erf",
    "Exp", "Expand", "Flatten", "Gather", "GatherElements", "Greater", "Identity", "Less", "Log", "MatMul", "Max",
    "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "Reshape", "Round", "Shape", "Sigmoid", "Size", "Slice", "Softmax", "Split", "Sqrt",
    "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
"""With these lowered alone, every operator that has a function body is expanded."""

UNRUNNABLE = {
    "test_affine_grid_2d_expanded": "ONNX's body gives Range a tensor of rank 1, which shape inference finds out",
    "test_affine_grid_2d_align_corners_expanded": "as above",
}
OTHERWISE_IN_ORT = {
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal": "ONNX Runtime masks the scores it gives",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal": "as above",
}


def outcome(test: Any, ort_outputs: Any, lowered: Any) -> str | None:
    """None if a node test comes out the same; "" if ONNX Runtime can't run it as it is."""
    arrays = test.data_sets[0][0]
    feeds = {i.name: a for i, a in zip(test.model.graph.input, arrays, strict=False)}
    try:
        want = ort_outputs(test.model, feeds)
    except Exception:  # noqa: BLE001 (ONNX Runtime raises many kinds)
        return ""
    model = ir.from_proto(test.model)
    run_passes(model, is_lowered=lowered)
    try:
        got = ort_outputs(
            ir.to_proto(model), {k: v for k, v in feeds.items() if k in {i.name for i in model.graph.inputs}}
        )
    except Exception as error:  # noqa: BLE001
        return f"can't be run any more: {error}"
    for a, b in zip(got, want, strict=True):
        if isinstance(b, np.ndarray):
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                return f"{a.dtype}{a.shape} instead of {b.dtype}{b.shape}"
            tolerance = 2e-3 if b.dtype == np.float16 else 2e-5
            if b.dtype.kind == "f" and not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
                return "other numbers"
            if b.dtype.kind != "f" and not np.array_equal(a, b):
                return "other values"
    again = {r.name: r.changed for r in run_passes(model, is_lowered=lowered) if r.changed}
    return f"a second run changes it: {again}" if again else None


@pytest.mark.parametrize("all_lowered", [True, False])
def test_node_tests(ort_outputs: Any, all_lowered: bool) -> None:
    from onnx.backend.test.loader import load_model_tests

    lowered = None if all_lowered else lambda domain, op, version: op in BASIC
    expected = UNRUNNABLE if all_lowered else UNRUNNABLE | OTHERWISE_IN_ORT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = {t.name: outcome(t, ort_outputs, lowered) for t in load_model_tests(kind="node")}
    assert sum(r != "" for r in results.values()) > 1300, "ONNX Runtime runs most of them"
    assert {n: r for n, r in results.items() if r and n not in expected} == {}
    assert not [n for n in expected if results[n] is None], "expected failures that pass by now"
