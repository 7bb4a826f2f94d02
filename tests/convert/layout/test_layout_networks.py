"""The transpose-removal suite: a network before, the same after, with the same numbers.

In the drawings ``=T=`` is a Transpose, ``conv`` (in lower case) a node of the domain ``edgeworthy.nhwc``. That the
numbers, names, types and shapes of all values are right is checked by ``laid_out`` itself.
"""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import CONV, LaidOut


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
