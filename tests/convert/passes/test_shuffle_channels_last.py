from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(x: str, shape1: list[int], perm: list[int], shape2: list[int]) -> tuple[str, dict[str, Any]]:
    text = f"""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[{x}] x) => (float[{",".join(map(str, shape2))}] y) {{
        r = Relu (x) a = Reshape (r, s1) b = Transpose <perm = {perm}> (a) y = Reshape (b, s2)
    }}"""
    return text, {"s1": np.array(shape1, np.int64), "s2": np.array(shape2, np.int64)}


@pytest.mark.parametrize(
    ("parts", "perm"), [([2, 6], [0, 2, 1, 3, 4]), ([4, 3], [0, 2, 1, 3, 4]), ([2, 3, 2], [0, 3, 1, 2, 4, 5])]
)
def test_a_channel_shuffle(apply: Any, parts: list[int], perm: list[int]) -> None:
    text, weights = model("2,12,5,4", [2, *parts, 5, 4], perm, [2, 12, 5, 4])
    result = apply(text, "shuffle_channels_last", weights=weights)
    assert result.ops == ["Relu", "Transpose", "Reshape", "Transpose", "Reshape", "Transpose"]
    assert result.model.graph[1].attributes["perm"].as_ints() == (0, 2, 3, 1)
    assert result.model.graph[-1].attributes["perm"].as_ints() == (0, 3, 1, 2)
    inner = result.model.graph[3].attributes["perm"].as_ints()
    assert inner[:3] == (0, 1, 2), "only the channels move inside"


@pytest.mark.parametrize(
    ("shape1", "perm", "shape2"),
    [
        ([2, 3, 2, 2, 5, 4], [0, 1, 4, 2, 5, 3], [2, 3, 10, 8]),  # pixel shuffle
        ([2, 3, 4, 5, 4], [1, 0, 2, 3, 4], [3, 8, 5, 4]),  # moves the batch
        ([2, 3, 4, 5, 4], [0, 2, 1, 4, 3], [2, 12, 4, 5]),  # moves the image
    ],
)
def test_leaves_alone(apply: Any, shape1: list[int], perm: list[int], shape2: list[int]) -> None:
    text, weights = model("2,12,5,4", shape1, perm, shape2)
    result = apply(text, "shuffle_channels_last", weights=weights)
    assert result.ops == ["Relu", "Reshape", "Transpose", "Reshape"]
