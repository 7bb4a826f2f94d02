"""Right models drawn at random: operators on tensors of any shape, those without elements or axes included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int, ...]
OPSET = 21

UNARY = ("Abs", "Neg", "Exp", "Relu", "Sigmoid", "Tanh", "Floor", "Ceil", "Cos", "Erf", "Softplus", "HardSwish", "Elu")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")

EXTENTS = st.sampled_from((0, 1, 1, 2, 3, 4))


class Drawing:
    """A graph in the making.

    Attributes:
        values: Name and shape of every float tensor that there is.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.values: dict[str, Shape] = {}

    def constant(self, array: Sequence[int] | np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        kept = array if isinstance(array, np.ndarray) else np.asarray(array, np.int64)
        self.constants.append(numpy_helper.from_array(kept, name))
        return name

    def node(self, op: str, inputs: Sequence[str], shape: Shape, **attributes: object) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op}_{name}", **attributes))
        self.values[name] = shape

    def axis(self, shape: Shape) -> int:
        return self.draw(st.integers(-len(shape), len(shape) - 1))


def unary(d: Drawing, x: str, shape: Shape) -> None:
    d.node(d.draw(st.sampled_from(UNARY)), [x], shape)


def binary(d: Drawing, x: str, shape: Shape) -> None:
    kept = [d.draw(st.booleans()) for _ in shape]
    other = tuple(n if keep else 1 for n, keep in zip(shape, kept, strict=True))[d.draw(st.integers(0, len(shape))) :]
    values = np.random.default_rng(len(d.nodes)).normal(0, 1, other).astype(np.float32)
    d.node(d.draw(st.sampled_from(BINARY)), [x, d.constant(values)], shape)


def reduce(d: Drawing, x: str, shape: Shape) -> None:
    axes = d.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)) if shape else []
    gone = set(axes) if axes else set(range(len(shape)))
    keep = d.draw(st.booleans())
    left = tuple(1 if a in gone else n for a, n in enumerate(shape) if keep or a not in gone)
    d.node(d.draw(st.sampled_from(REDUCTIONS)), [x, d.constant(axes)], left, keepdims=int(keep))


def transpose(d: Drawing, x: str, shape: Shape) -> None:
    perm = d.draw(st.permutations(range(len(shape))))
    d.node("Transpose", [x], tuple(shape[a] for a in perm), perm=list(perm))


def reshape(d: Drawing, x: str, shape: Shape) -> None:
    flat = (int(np.prod(shape)),)
    target = d.draw(st.sampled_from([flat, (1, *shape), (*shape, 1), (*flat, 1)]))
    d.node("Reshape", [x, d.constant(target)], target, allowzero=1)


def concat(d: Drawing, x: str, shape: Shape) -> None:
    axis = d.axis(shape)
    twice = tuple(2 * n if a == axis % len(shape) else n for a, n in enumerate(shape))
    d.node("Concat", [x, x], twice, axis=axis)


def cut(d: Drawing, x: str, shape: Shape) -> None:
    axis = d.axis(shape)
    extent = shape[axis]
    start = d.draw(st.integers(0, extent))
    end = d.draw(st.sampled_from((start, extent, 2**63 - 1)))
    left = tuple(max(min(end, extent) - start, 0) if a == axis % len(shape) else n for a, n in enumerate(shape))
    d.node("Slice", [x, d.constant([start]), d.constant([end]), d.constant([axis])], left)


def matmul(d: Drawing, x: str, shape: Shape) -> None:
    columns = d.draw(EXTENTS)
    values = np.random.default_rng(len(d.nodes)).normal(0, 1, (shape[-1], columns)).astype(np.float32)
    d.node("MatMul", [x, d.constant(values)], (*shape[:-1], columns))


def softmax(d: Drawing, x: str, shape: Shape) -> None:
    d.node(d.draw(st.sampled_from(("Softmax", "LogSoftmax"))), [x], shape, axis=d.axis(shape))


def pad(d: Drawing, x: str, shape: Shape) -> None:
    amounts = d.draw(st.lists(st.integers(0, 2), min_size=2 * len(shape), max_size=2 * len(shape)))
    low, high = amounts[: len(shape)], amounts[len(shape) :]
    d.node("Pad", [x, d.constant(amounts)], tuple(n + a + b for n, a, b in zip(shape, low, high, strict=True)))


MAKERS: dict[Callable[[Drawing, str, Shape], None], tuple[int, int]] = {
    unary: (0, 6), binary: (0, 6), reduce: (0, 6), transpose: (1, 6), reshape: (0, 5), concat: (1, 6), cut: (1, 6),
    matmul: (1, 5), softmax: (1, 5), pad: (1, 5),
}  # fmt: skip
"""An operator → the ranks that it is drawn for."""


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """Up to six operators on one float input ``x``; what the last one makes is the output."""
    drawing = Drawing(draw)
    shape = tuple(draw(st.lists(EXTENTS, max_size=4)))
    drawing.values["x"] = shape
    for _ in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from(sorted(drawing.values)))
        rank = len(drawing.values[source])
        fitting = [make for make, (least, most) in MAKERS.items() if least <= rank <= most]
        draw(st.sampled_from(fitting))(drawing, source, drawing.values[source])
    last = drawing.nodes[-1].output[0]
    graph = helper.make_graph(
        drawing.nodes,
        "drawn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, drawing.values[last])],
        drawing.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
