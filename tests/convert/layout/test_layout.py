"""The transpose-removal suite: a graph before, a graph after, the same numbers.

In the drawings ``=T=`` is a Transpose, ``conv`` (in lower case) a node of the domain ``edgeworthy.nhwc``. That the
numbers, names, types and shapes of all values are right is checked by ``laid_out`` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from edgeworthy.convert.layout import to_channels_last
from edgeworthy.convert.lowering import layout_rules
from edgeworthy.errors import BadInput

LaidOut = Callable[..., Any]

CONV = "edgeworthy.nhwc::Conv"


def test_conv_chain(laid_out: LaidOut) -> None:
    """
    x ── Conv ── Relu ── Conv ── y      ⇒      x =T= conv ── Relu ── conv =T= y
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,5,8,8] y) {
            a = Conv<pads=[1,1,1,1]>(x, w1, b1)
            r = Relu(a)
            y = Conv<pads=[1,1,1,1]>(r, w2)
        }""",
        {"w1": (4, 3, 3, 3), "b1": (4,), "w2": (5, 4, 3, 3)},
    )
    assert result.ops() == ["Transpose", CONV, "Relu", CONV, "Transpose"]
    assert result.shape("r") == [1, 8, 8, 4]
    assert result.report.avoided == 2
    assert [(t.value, t.nbytes, t.perm) for t in result.report.inserted] == [
        ("x", 3 * 64 * 4, (0, 2, 3, 1)),
        ("y_channels_last", 5 * 64 * 4, (0, 3, 1, 2)),
    ]
    assert result.report.layouts == dict.fromkeys(["x_channels_last", "a", "r", "y_channels_last"], (0, 2, 3, 1))


def test_residual_network_keeps_one_transpose(laid_out: LaidOut) -> None:
    """
    x ── Conv ─┬─ Conv ── Relu ── Conv ── Add ── Relu ── GAP ── Flatten ── Gemm ── y
               └────────────────────────────┘
    ⇒   x =T= conv ─┬─ … everything channels-last … ── y      (the pooled [1,C,1,1] needs no transpose)
    """
    text = """g (float[1,3,8,8] x) => (float[1,10] y) {
        a = Conv<pads=[1,1,1,1]>(x, w1)
        b = Conv<pads=[1,1,1,1]>(a, w2)
        r = Relu(b)
        c = Conv<pads=[1,1,1,1]>(r, w2)
        s = Add(c, a)
        t = Relu(s)
        p = GlobalAveragePool(t)
        f = Flatten(p)
        y = Gemm(f, wf, bf)
    }"""
    weights = {"w1": (4, 3, 3, 3), "w2": (4, 4, 3, 3), "wf": (4, 10), "bf": (10,)}
    result = laid_out(text, weights)
    assert result.transposes == 1
    assert result.report.remaining == 1
    assert result.report.permutations == {"x": (), "y": ()}
    result = laid_out(text, weights, "nhwc")
    assert result.transposes == 0
    assert result.report.permutations == {"x": (0, 2, 3, 1), "y": ()}
    assert list(result.model.graph.inputs[0].shape) == [1, 8, 8, 3]


def test_squeeze_and_excitation(laid_out: LaidOut) -> None:
    """
    a ─┬─ GAP ── Flatten ── Gemm ── Sigmoid ── Reshape [1,C,1,1] ─┐
       └────────────────────────────────────────────────────────── Mul ── y
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,4,8,8] y) {
            a = Conv<pads=[1,1,1,1]>(x, w1)
            p = GlobalAveragePool(a)
            f = Flatten(p)
            d = Gemm(f, wf)
            s = Sigmoid(d)
            e = Reshape(s, shape)
            m = Mul(a, e)
            y = Conv(m, w2)
        }""",
        {"w1": (4, 3, 3, 3), "wf": (4, 4), "shape": [1, 4, 1, 1], "w2": (4, 4, 1, 1)},
        "nhwc",
    )
    assert result.transposes == 0
    assert result.count("Reshape") == 2


def test_dense_block(laid_out: LaidOut) -> None:
    """
    x ── Conv ─┬────────────── Concat ─┬────────── Concat ── BatchNorm ── Relu ── Conv ── y
               └─ Relu ── Conv ──┘ └───│── Conv ─────┘
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,2,8,8] y) {
            a = Conv<pads=[1,1,1,1]>(x, w1)
            r = Relu(a)
            b = Conv<pads=[1,1,1,1]>(r, w2)
            c = Concat<axis=1>(a, b)
            d = Conv<pads=[1,1,1,1]>(c, w3)
            e = Concat<axis=-3>(c, d)
            n = BatchNormalization(e, s, s, s, v)
            q = Relu(n)
            y = Conv(q, w4)
        }""",
        {
            "w1": (4, 3, 3, 3), "w2": (2, 4, 3, 3), "w3": (2, 6, 3, 3), "w4": (2, 8, 1, 1),
            "s": (8,), "v": np.full(8, 0.5, np.float32),
        },
    )  # fmt: skip
    assert result.transposes == 2
    assert [n.attributes["axis"].value for n in result.model.graph if n.op_type == "Concat"] == [3, 3]


def test_u_net_skip(laid_out: LaidOut) -> None:
    """
    x ── Conv ─┬─ MaxPool ── Conv ── Resize ──┐
               └──────────────────────────── Concat ── ConvTranspose ── DepthToSpace ── y
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,2,32,32] y) {
            a = Conv<pads=[1,1,1,1]>(x, w1)
            p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)
            c = Conv<pads=[1,1,1,1]>(p, w2)
            u = Resize<mode="linear">(c, , scales)
            j = Concat<axis=1>(u, a)
            t = ConvTranspose<strides=[2,2]>(j, w3)
            y = DepthToSpace<blocksize=2, mode="CRD">(t)
        }""",
        {
            "w1": (4, 3, 3, 3), "w2": (6, 4, 3, 3), "w3": (10, 8, 2, 2),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    )  # fmt: skip
    assert result.transposes == 2
    assert result.node("Resize").domain == "edgeworthy.nhwc"


@pytest.mark.parametrize("batch", ["1", "N"])
def test_channel_shuffle(laid_out: LaidOut, batch: str) -> None:
    """
    a [N,C,H,W] ── Reshape [N,g,c,H,W] ── Transpose 0,2,1,3,4 ── Reshape [N,C,H,W] ── Conv
    ⇒   a [N,H,W,C] ── Reshape [N,H,W,g,c] =T= 0,1,2,4,3 ── Reshape [N,H,W,C] ── conv
    """
    result = laid_out(
        f"""g (float[{batch},3,8,6] x) => (float[{batch},6,8,6] y) {{
            a = Conv(x, w1)
            r = Reshape(a, split)
            t = Transpose<perm=[0,2,1,3,4]>(r)
            s = Reshape(t, merge)
            y = Conv(s, w2)
        }}""",
        {"w1": (6, 3, 1, 1), "w2": (6, 6, 1, 1), "split": [0, 2, 3, 8, 6], "merge": [0, 6, 8, 6]},
        "nhwc",
    )
    assert result.ops() == [CONV, "Reshape", "Transpose", "Reshape", CONV]
    assert list(result.node("Transpose").attributes["perm"].value) == [0, 1, 2, 4, 3]
    assert result.report.layouts["t"] == (0, 3, 4, 1, 2)
    assert result.report.inserted == ()


def test_pixel_shuffle_and_unshuffle_by_hand(laid_out: LaidOut) -> None:
    """Reshape–Transpose–Reshape of rank 6 stays one Transpose, of the channels-last tensor."""
    result = laid_out(
        """g (float[2,3,8,6] x) => (float[2,5,8,6] y) {
            a = Conv(x, w1)
            r = Reshape(a, split)
            t = Transpose<perm=[0,1,4,2,5,3]>(r)
            s = Reshape(t, merge)
            q = Relu(s)
            r2 = Reshape(q, split2)
            t2 = Transpose<perm=[0,1,3,5,2,4]>(r2)
            s2 = Reshape(t2, merge2)
            y = Conv(s2, w2)
        }""",
        {
            "w1": (8, 3, 1, 1), "w2": (5, 8, 1, 1), "split": [2, 2, 2, 2, 8, 6], "merge": [2, 2, 16, 12],
            "split2": [2, 2, 8, 2, 6, 2], "merge2": [2, 8, 8, 6],
        },
        "nhwc",
    )  # fmt: skip
    assert result.transposes == 2
    assert result.report.inserted == ()


def test_convnext_block(laid_out: LaidOut) -> None:
    """
    x ── Conv ── Transpose 0,2,3,1 ── LayerNorm ── MatMul ── Gelu ── MatMul ── Transpose 0,3,1,2 ── Conv ── y
    ⇒   x =T= conv ── LayerNorm ── MatMul ── Gelu ── MatMul ── conv =T= y
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,4,8,8] y) {
            a = Conv(x, w1)
            t = Transpose<perm=[0,2,3,1]>(a)
            n = LayerNormalization(t, s, s)
            m = MatMul(n, v1)
            e = Gelu(m)
            o = MatMul(e, v2)
            u = Transpose<perm=[0,3,1,2]>(o)
            r = Add(a, u)
            y = Conv(r, w2)
        }""",
        {"w1": (4, 3, 1, 1), "s": (4,), "v1": (4, 16), "v2": (16, 4), "w2": (4, 4, 1, 1)},
    )
    assert result.ops() == [
        "Transpose", CONV, "LayerNormalization", "MatMul", "Gelu", "MatMul", "Add", CONV, "Transpose",
    ]  # fmt: skip


def test_vit_patch_embedding(laid_out: LaidOut) -> None:
    """
    x ── Conv ── Reshape [1,C,HW] ── Transpose 0,2,1 ── Concat(class token) ── MatMul ── y
    ⇒   x =T= conv ── Reshape [1,HW,C] ── Concat ── MatMul ── y
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,17,5] y) {
            a = Conv<strides=[2,2]>(x, w1)
            f = Reshape(a, flat)
            t = Transpose<perm=[0,2,1]>(f)
            c = Concat<axis=1>(token, t)
            y = MatMul(c, v)
        }""",
        {"w1": (6, 3, 2, 2), "flat": [1, 6, -1], "token": (1, 1, 6), "v": (6, 5)},
    )
    assert result.ops() == ["Transpose", CONV, "Reshape", "Concat", "MatMul"]


def test_sequence_into_convolution(laid_out: LaidOut) -> None:
    """
    x [N,T,C] ── MatMul ── Transpose 0,2,1 ── Conv1d ── Transpose 0,2,1 ── LayerNorm ── y    ⇒  no transpose left
    """
    result = laid_out(
        """g (float[2,9,3] x) => (float[2,9,4] y) {
            m = MatMul(x, v)
            t = Transpose<perm=[0,2,1]>(m)
            a = Conv<pads=[1,1]>(t, w1)
            u = Transpose<perm=[0,2,1]>(a)
            y = LayerNormalization(u, s, s)
        }""",
        {"v": (3, 6), "w1": (4, 6, 3), "s": (4,)},
    )
    assert result.ops() == ["MatMul", CONV, "LayerNormalization"]
    assert result.node("Conv").overload == "1d"


def test_flatten_into_dense_layers_permutes_their_weights(laid_out: LaidOut) -> None:
    """
    x ── Conv ── Relu ── Flatten ─┬─ Gemm(Wᵀ) ── y        ⇒  x =T= conv ── Relu ── Reshape ─┬─ … with permuted
                                  └─ MatMul(V) ── z                                          └─   weights
    """
    result = laid_out(
        """g (float[N,3,8,6] x) => (float[N,10] y, float[N,7] z) {
            a = Conv(x, w1)
            r = Relu(a)
            f = Flatten(r)
            y = Gemm<transB=1>(f, wf, bf)
            z = MatMul(f, wg)
        }""",
        {"w1": (4, 3, 1, 1), "wf": (10, 192), "bf": (10,), "wg": (192, 7)},
    )
    assert result.transposes == 1
    assert result.report.inserted[0].value == "x"
    assert "wf" not in result.model.graph.initializers


def test_flatten_for_other_readers_is_natural(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[1,3,4,4] x) => (float[1,48] f, float[1,2] y) {
            a = Conv(x, w1)
            f = Flatten(a)
            y = Gemm(f, wf)
        }""",
        {"w1": (3, 3, 1, 1), "wf": (48, 2)},
    )
    assert result.transposes == 2


def test_broadcast_constants_are_permuted(laid_out: LaidOut) -> None:
    """Constants of every rank; a computed vector over W is reshaped, not transposed."""
    result = laid_out(
        """g (float[1,3,8,6] x, float[6] row, float[8,6] plane) => (float[1,4,8,6] y) {
            a = Conv(x, w1)
            b = Mul(a, c4)
            c = Add(b, c3)
            d = Sub(c, c2)
            e = Div(d, c1)
            f = Add(e, c0)
            h = PRelu(f, slope)
            i = Mul(h, row)
            j = Add(plane, i)
            y = Conv(j, w2)
        }""",
        {
            "w1": (4, 3, 1, 1), "w2": (4, 4, 1, 1), "c4": (1, 4, 1, 1), "c3": (4, 8, 6), "c2": (8, 1),
            "c1": np.array([2, 3, 4, 5, 6, 7], np.float32), "c0": np.float32(0.5), "slope": (4, 1, 1),
        },
        "nhwc",
    )  # fmt: skip
    assert result.transposes == 0
    assert {"c4", "c3", "c2", "c1"}.isdisjoint(result.model.graph.initializers)
    assert "c0" in result.model.graph.initializers


def test_operand_that_would_need_a_transpose_makes_the_node_natural(laid_out: LaidOut) -> None:
    """A computed [C,H,W] can't be broadcast to channels-last by a Reshape."""
    result = laid_out(
        """g (float[1,3,8,6] x, float[3,8,6] z) => (float[1,3,8,6] y) {
            a = Conv(x, w1)
            y = Add(a, z)
        }""",
        {"w1": (3, 3, 1, 1)},
    )
    assert result.ops() == ["Transpose", CONV, "Transpose", "Add"]


def test_shared_constant_keeps_its_original(laid_out: LaidOut) -> None:
    """One constant for a channels-last and a natural reader."""
    result = laid_out(
        """g (float[1,3,4,4] x) => (float[1,3,4,4] y, float[1,3,4,4] z) {
            z = Add(x, c)
            a = Conv(x, w1)
            b = Mul(a, c)
            d = Mul(b, c)
            y = Conv(d, w1)
        }""",
        {"w1": (3, 3, 1, 1), "c": (1, 3, 4, 4)},
    )
    names = set(result.model.graph.initializers)
    assert "c" in names
    assert {n for n in names if n.startswith("c_")} == {"c_channels_last"}


def test_initializers_that_are_inputs_too_are_constants(laid_out: LaidOut) -> None:
    """As models of IR version 3 have them; they keep their layout under nhwc."""

    def list_weights(model: ir.Model) -> None:
        model.graph.inputs.append(model.graph.initializers["w1"])

    model = laid_out(
        """g (float[1,3,4,4] x) => (float[1,2,4,4] y) { y = Conv(x, w1) }""", {"w1": (2, 3, 1, 1)}, "nhwc"
    ).before
    list_weights(model)
    report = to_channels_last(model, layout_rules(), io_layout="nhwc")
    assert report.permutations == {"x": (0, 2, 3, 1), "w1": (), "y": (0, 2, 3, 1)}
    assert list(model.graph.inputs[1].shape) == [2, 3, 1, 1]


def test_fan_out_is_paid_once(laid_out: LaidOut) -> None:
    """
             ┌─ Conv ── y1                    ┌─ conv =T= y1
    x ── Abs ┼─ Conv ── y2     ⇒    x =T= Abs ┼─ conv =T= y2
             └─ Conv ── y3                    └─ conv =T= y3
    """
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,2,8,8] y1, float[1,2,8,8] y2, float[1,2,8,8] y3) {
            a = Abs(x)
            y1 = Conv(a, w1)
            y2 = Conv(a, w2)
            y3 = Conv(a, w3)
        }""",
        {"w1": (2, 3, 1, 1), "w2": (2, 3, 1, 1), "w3": (2, 3, 1, 1)},
    )
    assert result.transposes == 4
    assert [t.value for t in result.report.inserted].count("x") == 1


def test_transpose_goes_where_the_tensor_is_small(laid_out: LaidOut) -> None:
    """
    x uint8 ── Cast ── Conv ── Resize ── z      ⇒      x =T= Cast ── conv ── resize =T= z
    """
    result = laid_out(
        """g (uint8[1,3,8,8] x) => (float[1,64,4,4] z) {
            f = Cast<to=1>(x)
            a = Conv<strides=[2,2]>(f, w1)
            z = Resize<mode="nearest">(a, , scales)
        }""",
        {"w1": (64, 3, 1, 1), "scales": np.ones(4, np.float32)},
    )
    # Before the Cast to float32 there is a quarter of the bytes.
    assert [t.nbytes for t in result.report.inserted] == [3 * 64, 64 * 16 * 4]


def test_one_channel_is_reshaped_not_transposed(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[1,1,8,8] x) => (float[1,1,8,8] y) {
            a = Conv(x, w1)
            y = Conv(a, w2)
        }""",
        {"w1": (5, 1, 1, 1), "w2": (1, 5, 1, 1)},
    )
    assert result.ops() == ["Reshape", CONV, CONV, "Reshape"]


def test_io_nhwc(laid_out: LaidOut) -> None:
    """Rank 4 inputs and outputs change, also where a natural node reads them; others don't."""
    result = laid_out(
        """g (float[1,3,8,8] x, float[1,3,8,8] m, float[1,3] v)
            => (float[1,2,8,8] y, float[1,3,8,8] z, float[1,3] u) {
            y = Conv(x, w1)
            z = MatMul(m, k)
            u = Neg(v)
        }""",
        {"w1": (2, 3, 1, 1), "k": (8, 8)},
        "nhwc",
    )
    perm = (0, 2, 3, 1)
    assert result.report.permutations == {"x": perm, "m": perm, "v": (), "y": perm, "z": perm, "u": ()}
    assert list(result.model.graph.outputs[1].shape) == [1, 8, 8, 3]
    assert result.transposes == 2


def test_unused_input_and_direct_output_under_nhwc(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[1,3,8,8] x, float[1,3,4,4] unused) => (float[1,2,8,8] y, float[1,3,8,8] same) {
            y = Conv(x, w1)
            same = Identity(x)
        }""",
        {"w1": (2, 3, 1, 1)},
        "nhwc",
    )
    assert result.transposes == 0
    assert list(result.model.graph.inputs[1].shape) == [1, 4, 4, 3]


@pytest.mark.parametrize(("axis", "ops"), [(1, ["Softmax", "Transpose"]), (3, ["Transpose", "Softmax"])])
def test_softmax_goes_where_its_axis_is_the_last(laid_out: LaidOut, axis: int, ops: list[str]) -> None:
    """TFLite's softmax is over the last axis, so behind a convolution it depends where the Transpose should be."""
    result = laid_out(
        f"""g (float[1,3,8,6] x) => (float[1,3,8,6] y) {{
            a = Conv(x, w1)
            y = Softmax<axis={axis}>(a)
        }}""",
        {"w1": (3, 3, 1, 1)},
    )
    assert result.ops() == ["Transpose", CONV, *ops]
    assert result.node("Softmax").attributes["axis"].as_int() == 3


def test_model_without_spatial_operators_is_left_alone(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,8,8,3] y) {
            a = Relu(x)
            i = Identity(a)
            y = Transpose<perm=[0,2,3,1]>(i)
        }""",
        io_layout="nhwc",
    )
    assert ir.to_proto(result.model) == ir.to_proto(result.before)
    assert result.report.permutations == {"x": (), "y": ()}
    assert result.report.natural == 3


def test_attention_beside_convolutions_is_unchanged(laid_out: LaidOut) -> None:
    """The Kᵀ of attention looks like NCHW → NHWC, and stays one Transpose."""
    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,2,64,64] y) {
            a = Conv(x, w1)
            f = Reshape(a, flat)
            s = Transpose<perm=[0,2,1]>(f)
            h = Reshape(s, heads)
            q = Transpose<perm=[0,2,1,3]>(h)
            k = Transpose<perm=[0,2,3,1]>(h)
            y = MatMul(q, k)
        }""",
        {"w1": (6, 3, 1, 1), "flat": [1, 6, 64], "heads": [1, 64, 2, 3]},
    )
    assert result.transposes == 3
    assert [t.value for t in result.report.inserted] == ["x"]


def test_if_bodies_are_laid_out_on_their_own(laid_out: LaidOut) -> None:
    """Bodies read natural values from outside, and have natural results."""
    result = laid_out(
        """g (float[1,3,8,8] x, bool c) => (float[1,3,8,8] y) {
            a = Conv(x, w1)
            b = Relu(a)
            s = If(c) <
                then_branch = g1 () => (float[1,3,8,8] t) {
                    t1 = Conv(b, w1)
                    t2 = Relu(t1)
                    t = Conv(t2, w1)
                },
                else_branch = g2 () => (float[1,3,8,8] e) { e = Neg(b) }
            >
            y = Conv(s, w1)
        }""",
        {"w1": (3, 3, 1, 1)},
    )
    branch = result.node("If").attributes["then_branch"].as_graph()
    assert [n.op_type for n in branch] == ["Transpose", "Conv", "Relu", "Conv", "Transpose"]
    assert result.report.remaining == 6


def test_shape_of_a_channels_last_value(laid_out: LaidOut) -> None:
    """Shape reads what is there and puts the extents in order: no Transpose for a handful of integers."""
    result = laid_out(
        """g (float[N,3,H,W] x) => (int64[4] s, int64[2] t, float[N,2,H,W] y) {
            y = Conv(x, w1)
            s = Shape(y)
            t = Shape<start=1, end=-1>(y)
        }""",
        {"w1": (2, 3, 1, 1)},
        "nhwc",
    )
    assert result.transposes == 0


def test_dynamic_dimensions(laid_out: LaidOut) -> None:
    result = laid_out(
        """g (float[N,3,H,W] x) => (float[N,M] y) {
            a = Conv(x, w1)
            p = GlobalAveragePool(a)
            f = Flatten(p)
            y = Gemm(f, wf)
        }""",
        {"w1": (4, 3, 1, 1), "wf": (4, 2)},
    )
    assert result.transposes == 1
    assert result.shape("a")[0::3] == ["N", 4]


def test_metadata_survives(laid_out: LaidOut) -> None:
    def mark(model: ir.Model) -> None:
        for node in model.graph:
            node.metadata_props["edgeworthy.module"] = f"net.{node.outputs[0].name}"

    result = laid_out(
        """g (float[1,3,8,8] x) => (float[1,2,8,8] y) {
            a = Flatten<axis=4>(x)
            b = Reshape(a, shape)
            c = Conv(b, w1)
            y = Relu(c)
        }""",
        {"w1": (2, 3, 1, 1), "shape": [1, 3, 8, 8]},
        edit=[mark],
    )
    marks = {n.op_type: n.metadata_props["edgeworthy.module"] for n in result.model.graph}
    assert marks["Conv"] == "net.c"
    assert marks["Relu"] == "net.y"
    assert marks["Transpose"] in ("net.b", "net.y")


def test_names_are_unique_and_the_result_is_deterministic(laid_out: LaidOut) -> None:
    text = """g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
        x_channels_last = Neg(x)
        a = Conv(x_channels_last, w1)
        y = Add(a, x)
    }"""
    first, second = (laid_out(text, {"w1": (3, 3, 1, 1)}) for _ in range(2))
    assert ir.to_proto(first.model).SerializeToString() == ir.to_proto(second.model).SerializeToString()
    names = [v.name for n in first.model.graph for v in n.outputs]
    assert len(names) == len(set(names))


def test_result_survives_a_round_trip_and_shape_inference(laid_out: LaidOut) -> None:
    result = laid_out("""g (float[1,3,8,8] x) => (float[1,2,8,8] y) { y = Conv(x, w1) }""", {"w1": (2, 3, 1, 1)})
    again = ir.from_proto(ir.to_proto(result.model))
    ShapeInferencePass()(again)
    assert ("edgeworthy.nhwc", "Conv", "2d") in again.functions
    assert again.ir_version >= 10


def test_second_run_changes_nothing(laid_out: LaidOut) -> None:
    result = laid_out("""g (float[1,3,8,8] x) => (float[1,2,8,8] y) { y = Conv(x, w1) }""", {"w1": (2, 3, 1, 1)})
    proto = ir.to_proto(result.model)
    assert to_channels_last(result.model, layout_rules()).inserted == ()
    assert ir.to_proto(result.model) == proto


def test_unknown_io_layout_is_refused(laid_out: LaidOut) -> None:
    with pytest.raises(BadInput, match="nchw"):
        laid_out("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }", io_layout="nchw")
