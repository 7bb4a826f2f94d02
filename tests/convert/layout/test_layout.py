"""Where transposes go, what becomes of inputs, outputs and subgraphs, and what a graph keeps of its own.

``laid_out`` itself checks that the numbers, names, types and shapes of all values are right.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from edgeworthy.convert.layout import to_channels_last
from edgeworthy.convert.lowering import layout_rules
from edgeworthy.errors import BadInput

from .conftest import CONV, LaidOut


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
