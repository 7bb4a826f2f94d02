from __future__ import annotations

from typing import Any

import numpy as np
import pytest

WEIGHTS = {
    "places": np.arange(9)[:, None] + np.arange(16),
    "last": np.array([-1]),
    "pads": np.array([0, 0, 4, 0, 0, 0, 4, 0]),
    "line": np.array([3, 1, 2]),
    "few": np.array([[0, 2], [1, 3]]),
}


def model(inputs: str, body: str, output: str) -> str:
    return f'<ir_version: 9, opset_import: ["" : 18]> g ({inputs}) => ({output}) {{ {body} }}'


UNFOLD = """a = Transpose <perm = [0,2,1]> (x) b = Unsqueeze (a, last) c = Pad (b, pads)
            y = Gather <axis = 2> (c, places)"""


def test_unfolded_tokens_are_gathered_by_rows(apply: Any) -> None:
    text = model("float[1,16,24] x", UNFOLD, "float[1,24,9,16,1] y")
    result = apply(text, "infer_shapes", "gather_rows", weights=WEIGHTS)
    assert result.ops == ["Reshape", "Pad", "Gather", "Transpose"]
    assert list(result.node("Gather").outputs[0].shape or ()) == [9, 16, 1, 24, 1]


@pytest.mark.parametrize(
    ("inputs", "body", "output", "ops"),
    [
        # The padded image is used as well: it is transposed, and stays.
        ("float[2,24,16,1] x", "c = Pad (x, pads) y = Gather <axis = 2> (c, places) z = Relu (c)",
         "float[2,24,9,16,1] y, float[2,24,24,1] z", ["Pad", "Transpose", "Gather", "Transpose", "Relu"]),
        ("float[12,5] x", "y = Gather <axis = -1> (x, few)", "float[12,2,2] y", ["Transpose", "Gather", "Transpose"]),
        # An axis of extent 1 that stands elsewhere.
        ("float[9,1,24] x", "a = Squeeze (x, one) b = Unsqueeze (a, last) y = Gather <axis = 1> (b, places)",
         "float[9,9,16,1] y", ["Transpose", "Gather", "Transpose"]),
        # A vector; rows of five; few rows; extents that vary.
        ("float[12,5] x", "y = Gather <axis = 1> (x, line)", "float[12,3] y", ["Gather"]),
        ("float[12,5,5] x", "y = Gather <axis = 1> (x, few)", "float[12,2,2,5] y", ["Gather"]),
        ("float[4,5] x", "y = Gather <axis = 1> (x, few)", "float[4,2,2] y", ["Gather"]),
        ("float[n,5] x", "y = Gather <axis = 1> (x, few)", "float[n,2,2] y", ["Gather"]),
    ],
)  # fmt: skip
def test_what_is_turned(apply: Any, inputs: str, body: str, output: str, ops: list[str]) -> None:
    result = apply(model(inputs, body, output), "infer_shapes", "gather_rows", weights=WEIGHTS | {"one": np.array([1])})
    assert [op for op in result.ops if op != "Reshape"] == ops
