"""Shape values against ONNX Runtime: whatever is known must be what is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeworthy.convert.passes.shape_values import UNKNOWN, NamedDim, ShapeValues

HEAD = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N,3,S] x) => (int64[k] y) {{
    zero = Constant <value_int = 0> () s = Shape (x) {body} }}"""


def evaluate(body: str) -> Any:
    """The shape value of ``y``; constants are lifted as the pipeline does before."""
    from edgeworthy.convert.passes import PIPELINE, run_pass
    from edgeworthy.convert.passes.contract import passes_of

    model = ir.from_proto(onnx.parser.parse_model(HEAD.format(body=body)))
    passes = {p.name: p for p in passes_of(PIPELINE)}
    for name in ("lift_constants", "infer_shapes"):
        run_pass(model, passes[name])
    values = ShapeValues(13)
    result = None
    for node in model.graph:
        found = values.evaluate(node)
        if node.outputs[0].name == "y":
            result = found
    return None if result is None else result.tolist()


N, S = NamedDim("N"), NamedDim("S")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Identity (s)", [N, 3, S]),
        ("i = Constant <value_ints = [2, 0]> () y = Gather (s, i)", [S, N]),
        ("i = Constant <value_ints = [-1]> () y = Gather (s, i)", [S]),
        ("a = Constant <value_ints = [2]> () b = Constant <value_ints = [-9]> () c = Constant <value_ints = [0]> () "
         "d = Constant <value_ints = [-1]> () y = Slice (s, a, b, c, d)", [S, 3, N]),
        ("y = Concat <axis = 0> (s, s)", [N, 3, S, N, 3, S]),
        ("c = Constant <value_ints = [1, 2, 1]> () y = Mul (s, c)", [N, 6, S]),
        ("c = Constant <value_ints = [2, 2, 2]> () y = Mul (s, c)", [UNKNOWN, 6, UNKNOWN]),
        ("y = Add (zero, s)", [N, 3, S]),
        ("y = Sub (zero, s)", [UNKNOWN, -3, UNKNOWN]),
        ("c = Constant <value_int = -2> () y = Div (s, c)", [UNKNOWN, -1, UNKNOWN]),
        ("y = Div (s, zero)", [UNKNOWN, UNKNOWN, UNKNOWN]),
        ("m = Constant <value_int = -1> () e = Equal (s, m) y = Where (e, m, s)", [N, 3, S]),
        ("c = Constant <value_int = 3> () e = Equal (s, c) y = Where (e, zero, s)", [UNKNOWN, 0, UNKNOWN]),
        ("c = Constant <value_ints = [2]> () y = ConstantOfShape <value = int64[1] {7}> (c)", [7, 7]),
        ("c = Cast <to = 6> (s) y = Cast <to = 7> (c)", [N, 3, S]),
        ("f = Cast <to = 1> (s) g = Floor (f) y = Cast <to = 7> (g)", None),
        ("p = ReduceProd <axes = [0], keepdims = 1> (s) y = Identity (p)", [UNKNOWN]),
    ],
)  # fmt: skip
def test_rules(body: str, expected: list[Any] | None) -> None:
    assert evaluate(body) == expected


@given(
    st.lists(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min"]), min_size=1, max_size=4),
    st.lists(st.integers(-3, 5), min_size=12, max_size=12),
)
def test_arithmetic_agrees_with_the_runtime(ops: list[str], numbers: list[int]) -> None:
    import onnxruntime as ort

    body, last = "", "s"
    for index, op in enumerate(ops):
        operand = [n or 1 for n in numbers[3 * index : 3 * index + 3]]
        body += f"c{index} = Constant <value_ints = {operand}> () r{index} = {op} ({last}, c{index}) "
        last = f"r{index}"
    body += f"y = Identity ({last})"
    known = evaluate(body)
    model = onnx.parser.parse_model(HEAD.format(body=body))
    session = ort.InferenceSession(model.SerializeToString())
    (computed,) = session.run(None, {"x": np.zeros((4, 3, 7), np.float32)})
    extents = {N: 4, S: 7}
    for element, number in zip(known, computed.tolist(), strict=True):
        assert element is UNKNOWN or extents.get(element, element) == number
