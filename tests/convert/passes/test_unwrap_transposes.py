from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(x: str, shape1: list[int], perm: list[int], shape2: list[int], extra: str = "") -> tuple[str, dict[str, Any]]:
    text = f"""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[{x}] x) => (float[{",".join(f"d{i}" for i in range(len(shape2)))}] y) {{
        a = Reshape (x, s1) b = Transpose <perm = {perm}> (a) y = Reshape (b, s2) {extra}
    }}"""
    return text, {"s1": np.array(shape1, np.int64), "s2": np.array(shape2, np.int64)}


@pytest.mark.parametrize(
    ("x", "shape1", "perm", "shape2", "together"),
    [
        ("1,3,4,5", [3, 4, 5], [0, 2, 1], [1, 3, 5, 4], (0, 1, 3, 2)),
        ("2,3,4,5", [6, 4, 5], [0, 2, 1], [2, 3, 5, 4], (0, 1, 3, 2)),
        ("2,3,4,5", [-1, 20], [1, 0], [4, 5, 2, 3], (2, 3, 0, 1)),
        ("2,3,1,5", [2, 3, 5], [0, 2, 1], [2, 5, 3, 1], (0, 3, 1, 2)),
        ("3,3,4", [9, 4], [1, 0], [4, 3, 3], (2, 0, 1)),
    ],
)
def test_joined_axes(
    apply: Any, x: str, shape1: list[int], perm: list[int], shape2: list[int], together: tuple[int, ...]
) -> None:
    text, weights = model(x, shape1, perm, shape2)
    result = apply(text, "unwrap_transposes", weights=weights)
    assert result.ops == ["Transpose"]
    assert result.node("Transpose").attributes["perm"].as_ints() == together


@pytest.mark.parametrize(
    ("x", "shape1", "perm", "shape2"),
    [
        ("2,12,4", [2, 3, 4, 4], [0, 2, 1, 3], [2, 12, 4]),  # splits an axis
        ("2,3,4,5", [6, 4, 5], [0, 2, 1], [6, 5, 4, 1]),  # doesn't split what it joined
        ("2,3,4", [3, 2, 4], [1, 0, 2], [2, 3, 4]),  # regroups
    ],
)
def test_leaves_alone(apply: Any, x: str, shape1: list[int], perm: list[int], shape2: list[int]) -> None:
    text, weights = model(x, shape1, perm, shape2)
    assert apply(text, "unwrap_transposes", weights=weights).ops == ["Reshape", "Transpose", "Reshape"]


def test_a_result_used_in_between_stays(apply: Any) -> None:
    text, weights = model("1,3,4,5", [3, 4, 5], [0, 2, 1], [1, 3, 5, 4], "z = Relu (b)")
    text = text.replace("y) {", "y, float[3,5,4] z) {")
    assert apply(text, "unwrap_transposes", weights=weights).ops == ["Reshape", "Transpose", "Reshape", "Relu"]
