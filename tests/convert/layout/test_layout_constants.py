"""Constants beside channels-last values: weights and operands are permuted when the graph is laid out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeworthy.convert.layout import to_channels_last
from edgeworthy.convert.lowering import layout_rules

from .conftest import CONV, LaidOut


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
