"""Every rule once or more: behind a convolution, with channels-last inputs and outputs of the graph.

A row has the nodes that make ``b`` from the channels-last ``a`` [2,4,8,6], the constants, and the number of
Transposes that must be left (a result of rank 3 is natural). ``laid_out`` compares all values in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

LaidOut = Callable[..., Any]

F32 = np.float32

# nodes, weights, Transposes left, opset
ROWS: list[tuple[str, dict[str, Any], int, int]] = [
    # elementwise
    ("b = Clip(a, low, high)", {"low": F32(-1), "high": F32(1)}, 0, 20),
    ("c = Cast<to=7>(a)\n d = Cast<to=1>(c)\n b = Mul(d, a)", {}, 0, 20),
    ("c = Less(a, k)\n b = Where(c, a, k)", {"k": (4, 1, 1)}, 0, 20),
    ("c = Max(a, k, a)\n b = Mean(c, a)", {"k": (1, 1, 1, 1)}, 0, 20),
    ("b, m = Dropout(a)", {}, 0, 20),
    ("b = HardSwish(a)", {}, 0, 20),
    ("b = CastLike(a, k)", {"k": np.ones((2, 3, 4), np.float16)}, 0, 20),
    ("c = ReduceMean(a, one)\n b = Sub(a, c)", {"one": [1]}, 0, 20),
    ("s = ReduceMax<keepdims=0>(a)\n b = Div(a, s)", {}, 0, 20),
    # one axis
    ("c, d = Split<axis=1>(a, sizes)\n b = Concat<axis=1>(d, c)", {"sizes": [1, 3]}, 0, 20),
    ("c, d = Split<axis=-1, num_outputs=2>(a)\n b = Mul(d, c)", {}, 0, 20),
    ("c = Concat<axis=2>(a, k)\n b = Relu(c)", {"k": (2, 4, 1, 6)}, 0, 20),
    ("b = LogSoftmax<axis=-3>(a)", {}, 0, 20),
    ("b = Softmax<axis=1>(a)", {}, 2, 11),
    ("b = LpNormalization<axis=1>(a)", {}, 0, 20),
    ("b = Gather<axis=1>(a, i)", {"i": [2, 0]}, 0, 20),
    ("b = Gather<axis=1>(a, i)", {"i": np.int64(2)}, 0, 20),
    ("b = Gather<axis=2>(a, i)", {"i": np.int64(2)}, 1, 20),
    ("b = Gather<axis=0>(a, i)", {"i": np.int64(1)}, 1, 20),
    ("b = Gather<axis=1>(a, i)", {"i": np.array([[0, 1], [2, 3]])}, 2, 20),
    ("b = GatherElements<axis=1>(a, i)", {"i": np.zeros((2, 2, 8, 6), np.int64)}, 0, 20),
    ("b = ScatterElements<axis=1>(a, i, u)", {"i": np.zeros((2, 1, 3, 6), np.int64), "u": (2, 1, 3, 6)}, 0, 20),
    ("b = CumSum(a, axis)", {"axis": np.int64(1)}, 0, 20),
    ("b, i = TopK<axis=1>(a, k)", {"k": [2]}, 0, 20),
    ("b = QuantizeLinear(a, s)", {"s": F32(0.1)}, 0, 20),
    ("q = QuantizeLinear<axis=1>(a, s)\n b = DequantizeLinear<axis=1>(q, s)", {"s": np.full(4, 0.1, F32)}, 0, 20),
    # axes
    ("b = ReduceMean<axes=[2,3]>(a)", {}, 0, 17),
    ("b = ReduceMean<keepdims=0>(a, axes)", {"axes": [-1, 2]}, 0, 20),
    ("b = ReduceSum<keepdims=0>(a, axes)", {"axes": [1]}, 0, 20),
    ("b = ReduceSum<keepdims=0>(a, axes)", {"axes": [3]}, 1, 20),
    ("b = ReduceSum<keepdims=0>(a, axes)", {"axes": [0]}, 1, 20),
    ("b = ReduceL2(a)", {}, 0, 20),
    ("b = ReduceSum<noop_with_empty_axes=1>(a)", {}, 0, 20),
    ("b = ArgMax<axis=1, keepdims=0>(a)", {}, 0, 20),
    ("b = ArgMin<axis=3>(a)", {}, 0, 20),
    ("b = Slice(a, s, e, axes, steps)", {"s": [1, 7], "e": [3, -9], "axes": [1, -2], "steps": [1, -2]}, 0, 20),
    ("b = Slice(a, s, e)", {"s": [0, 1, 2], "e": [2, 3, 5]}, 0, 20),
    ("b = Slice(a, s, e)", {"s": np.array([0, 1], np.int32), "e": np.array([2, 4], np.int32)}, 0, 20),
    ("b = Slice(a, s, e, , t)", {"s": [0, 1], "e": [2, 4], "t": [1, 2]}, 0, 20),
    ("b = Slice<starts=[0,1], ends=[1,3]>(a)", {}, 0, 9),
    ("b = Pad(a, pads)", {"pads": [0, 1, 2, 0, 1, 0, 3, 4]}, 0, 20),
    ('b = Pad<mode="reflect">(a, pads, , axes)', {"pads": [1, 2, 3, 1], "axes": [-1, 1]}, 0, 20),
    ('b = Pad<mode="edge", pads=[0,1,2,0,1,0,3,4]>(a)', {}, 0, 10),
    ("b = LayerNormalization<axis=1>(a, s, t)", {"s": (4, 8, 6), "t": (4, 8, 6)}, 0, 20),
    ("b = LayerNormalization(a, s)", {"s": (6,)}, 2, 20),
    # movement
    ("c = ReduceMean(a, two)\n d = Squeeze(c, two)\n b = Unsqueeze(d, two)", {"two": [2]}, 0, 20),
    ("b = Reshape(a, shape)", {"shape": [0, 0, -1]}, 1, 20),
    ("b = Reshape(a, shape)", {"shape": [2, 4, 2, 4, 6]}, 0, 20),
    ("b = Reshape(a, shape)", {"shape": [8, 8, 6]}, 1, 20),
    ("c = Reshape(a, shape)\n b = Reshape(c, back)", {"shape": [8, 48], "back": [2, 4, 8, 6]}, 0, 20),
    ("b = Transpose<perm=[0,1,3,2]>(a)", {}, 1, 20),
    ("b = Transpose<perm=[0,2,3,1]>(a)", {}, 1, 20),
    ("b = Transpose(a)", {}, 1, 20),
    ("c = Transpose<perm=[1,0,2,3]>(a)\n b = Transpose<perm=[1,0,2,3]>(c)", {}, 0, 20),
    ("b = Expand(k, shape)", {"k": (2, 4, 8, 1), "shape": [2, 4, 8, 6]}, 0, 20),
    ("c = ReduceMax(a, axes)\n b = Expand(c, shape)", {"axes": [2, 3], "shape": [1, 1, 8, 6]}, 0, 20),
    ("b = Tile(a, r)", {"r": [1, 2, 3, 1]}, 0, 20),
    ("s = Size(a)\n f = Cast<to=1>(s)\n b = Div(a, f)", {}, 0, 20),
    ("s = Shape(a)\n b = Expand(a, s)", {}, 0, 20),
    # channels-last only
    ("b = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], ceil_mode=1, strides=[2,2]>(a)", {}, 0, 20),
    ("b = MaxPool<kernel_shape=[2,2]>(a)", {}, 0, 20),
    ("b, i = MaxPool<kernel_shape=[2,2]>(a)\n j = Neg(i)", {}, 2, 20),
    ("b = GlobalMaxPool(a)", {}, 0, 20),
    ("b = LpPool<kernel_shape=[2,2]>(a)", {}, 0, 20),
    ("b = LRN<size=3>(a)", {}, 0, 20),
    ("b = InstanceNormalization(a, s, t)", {"s": (4,), "t": (4,)}, 0, 20),
    ("b = ConvTranspose<strides=[2,2], output_padding=[1,0]>(a, k)", {"k": (4, 3, 2, 2)}, 0, 20),
    ("b = DepthToSpace<blocksize=2>(a)", {}, 0, 20),
    ("b = SpaceToDepth<blocksize=2>(a)", {}, 0, 20),
    ("b = GridSample(a, g)", {"g": np.linspace(-1, 1, 60, dtype=F32).reshape(2, 5, 3, 2)}, 0, 20),
    ("b = RoiAlign<output_height=2, output_width=3>(a, r, i)", {"r": (5, 4), "i": [0, 1, 0, 1, 1]}, 0, 20),
    # without a lowering there is no rule
    ("b = MaxRoiPool<pooled_shape=[2,3]>(a, r)", {"r": np.array([[1, 0, 0, 4, 5], [0, 1, 1, 2, 2]], F32)}, 2, 20),
    ('b = Resize<mode="cubic">(a, , , sizes)', {"sizes": [2, 4, 5, 9]}, 0, 20),
    ("b = Resize(a, , scales)", {"scales": np.array([1, 2, 1, 1], F32)}, 2, 20),
    ("b = Resize<axes=[2,3]>(a, , scales)", {"scales": np.array([2, 3], F32)}, 0, 20),
    ("b = Upsample(a, scales)", {"scales": np.array([1, 1, 2, 3], F32)}, 0, 9),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "weights", "left", "opset"), ROWS, ids=[row[0] for row in ROWS])
def test_rule(laid_out: LaidOut, nodes: str, weights: dict[str, Any], left: int, opset: int) -> None:
    text = f"g (float[2,3,8,6] x) => (b) {{ a = Conv(x, w)\n {nodes} }}"
    result = laid_out(text, {"w": (4, 3, 1, 1)} | weights, "nhwc", opset)
    assert result.transposes == left


def test_group_normalization(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[2,3,8,6] x) => (float[2,4,8,6] y) {
            a = Conv(x, w)
            y = GroupNormalization<num_groups=2>(a, s, t)
        }""",
        {"w": (4, 3, 1, 1), "s": (4,), "t": (4,)},
        "nhwc",
        21,
    )
    assert result.transposes == 0


@pytest.mark.parametrize(
    ("shape", "kernel", "overload"),
    [("[2,3,9]", (4, 3, 3), "1d"), ("[2,3,9,8]", (4, 3, 3, 3), "2d"), ("[2,3,5,6,7]", (4, 3, 3, 3, 3), "3d")],
)
def test_ranks(laid_out: LaidOut, shape: str, kernel: tuple[int, ...], overload: str) -> None:
    result = laid_out(
        f"""g (float{shape} x) => (y) {{
            a = Conv(x, w)
            b = AveragePool<kernel_shape={list(kernel[2:])}>(a)
            c = GlobalAveragePool(b)
            d = Relu(c)
            y = Flatten(d)
        }}""",
        {"w": kernel},
    )
    assert result.node("Conv").overload == overload
    assert result.transposes == 1
