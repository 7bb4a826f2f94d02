from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def conv(x: str, y: str, attributes: str) -> str:
    body = f"y = Conv <{attributes}> (x, w)"
    return f'<ir_version: 9, opset_import: ["" : 18]> g (float[{x}] x) => (float[{y}] y) {{ {body} }}'


def weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "y", "attributes", "kernel", "left", "pads"),
    [
        ("2,3,2,2", "2,4,2,2", "pads = [3,3,3,3]", (7, 7), (3, 3), [1, 1, 1, 1]),
        ("n,3,3,9", "n,4,3,9", "pads = [3,3,3,3], kernel_shape = [7,7]", (7, 7), (5, 7), [2, 3, 2, 3]),
        ("2,3,8,8", "2,4,8,8", "pads = [12,12,12,12], dilations = [12,12]", (3, 3), (1, 1), [0, 0, 0, 0]),
        ("2,3,8,8", "2,4,8,8", "pads = [6,12,6,12], dilations = [6,12]", (3, 3), (3, 1), [6, 0, 6, 0]),
        ("2,3,2,2", "2,4,1,1", "pads = [3,3,3,3], strides = [2,2]", (7, 7), (2, 2), [0, 0, 0, 0]),
        ("2,3,4,4", "2,4,2,2", "pads = [4,4,3,3], strides = [3,3]", (7, 7), (6, 6), [3, 3, 2, 2]),
        ("2,3,2", "2,4,2", "pads = [4,0]", (5,), (2,), [1, 0]),
        ("2,4,1,1", "2,4,1,1", "pads = [1,1,1,1], group = 4", (3, 3), (1, 1), [0, 0, 0, 0]),
        ("1,3,2,2,2", "1,4,2,2,2", "pads = [2,2,2,2,2,2]", (5, 5, 5), (3, 3, 3), [1] * 6),
    ],
)
def test_taps_that_see_padding_alone(
    apply: Any, x: str, y: str, attributes: str, kernel: tuple[int, ...], left: tuple[int, ...], pads: list[int]
) -> None:
    channels = 1 if "group" in attributes else 3
    result = apply(conv(x, y, attributes), "trim_kernels", weights={"w": weight(4, channels, *kernel)})
    node = result.node("Conv")
    assert tuple(node.inputs[1].shape)[2:] == left
    assert list(node.attributes["pads"].as_ints()) == pads


@pytest.mark.parametrize(
    ("x", "y", "attributes", "shape"),
    [
        ("2,3,n,m", "2,4,n,m", "pads = [3,3,3,3]", (4, 3, 7, 7)),
        ("2,3,2,2", "2,4,2,2", 'auto_pad = "SAME_UPPER"', (4, 3, 7, 7)),
        # No tap sees the image; the one that does would need a border taken away.
        ("1,3,1,1", "1,4,1,1", "pads = [4,4,0,0], strides = [9,9], dilations = [2,2]", (4, 3, 2, 2)),
        ("1,3,3,3", "1,4,1,1", "pads = [1,1,0,0], strides = [9,9], dilations = [2,2]", (4, 3, 2, 2)),
    ],
)
def test_others_stay(apply: Any, x: str, y: str, attributes: str, shape: tuple[int, ...]) -> None:
    result = apply(conv(x, y, attributes), "trim_kernels", weights={"w": weight(*shape)})
    assert result.node("Conv").inputs[1].name == "w"
