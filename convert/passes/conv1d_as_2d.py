"""Write convolutions, poolings and resizes of sequences as those of images one pixel high.

Before::

    x:[N,C,L] ── Conv(W:[M,C,K]) ── Relu ── MaxPool(k) ── y:[N,M,L']

After::

    x ── Unsqueeze(2) ── Conv(W:[M,C,1,K]) ── Relu ── MaxPool(1,k) ── Squeeze(2) ── y       [N,·,1,·] in between

TFLite has these operators for images only. Elementwise operators and Concat between two of them are carried along, so
that an activation stays next to its convolution.

Leaves alone: inputs of unknown rank; a MaxPool whose indices are used; a Resize that crops or names its axes.

Source: ONNX Conv, ConvTranspose, MaxPool, AveragePool, LpPool and Resize, all versions; TFLite CONV_2D takes NHWC only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN
from ..graph.reading import constant, is_constant, rank
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_1D_WINDOWS, NO_LOCAL_FUNCTIONS, TYPED, window_objection

_AXIS = 2
"""Where the axis of extent 1 goes: [N,C,L] ↔ [N,C,1,L]."""

_FRONT = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with one number per spatial axis, and what they say of the new one."""

# fmt: off
_ELEMENTWISE = frozenset({
    "Abs", "Add", "Cast", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid",
    "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu",
})
# fmt: on


def conv1d_as_2d(rw: Rewriter) -> None:
    for graph in list(rw.model.graphs()):
        _Sweep(rw).run(graph)


class _Sweep:
    """One walk over a graph, in order. ``_wide`` has the image form of the values that have one."""

    def __init__(self, rw: Rewriter) -> None:
        self._rw = rw
        self._wide: dict[ir.Value, ir.Value] = {}
        self._weights: dict[ir.Value, ir.Value] = {}

    def run(self, graph: ir.Graph) -> None:
        for node in list(graph):
            reason = window_objection(node)
            if reason is None:
                self._widen_window(node)
            elif reason:
                self._rw.refuse(node, reason)
            elif node.domain in ("", FUSED_DOMAIN) and (node.op_type in _ELEMENTWISE or node.op_type == "Concat"):
                self._widen_elementwise(node)

    def _widen_window(self, node: ir.Node) -> None:
        attributes = dict(node.attributes)
        for name, front in _FRONT.items():
            if name in attributes:
                attributes[name] = ir.AttrInt64s(name, (front, *attributes[name].as_ints()))
        if "pads" in attributes:
            begin, end = attributes["pads"].as_ints()
            attributes["pads"] = ir.AttrInt64s("pads", (0, begin, 0, end))
        inputs = list(node.inputs)
        inputs[0] = self._image(node, inputs[0])
        if node.op_type in ("Conv", "ConvTranspose"):
            inputs[1] = self._with_unit_axis(node, inputs[1])
        elif node.op_type == "Resize":
            inputs[1:] = [self._with_unit_entry(node, v) for v in inputs[1:]]
        self._put(node, inputs, attributes)

    def _widen_elementwise(self, node: ir.Node) -> None:
        """Compute on images what is given as images, if everything else is a constant."""
        if rank(node.outputs[0]) != 3 or not any(v in self._wide for v in node.inputs if v is not None):
            return
        if any(v is not None and v not in self._wide and not is_constant(v) for v in node.inputs):
            return
        attributes = dict(node.attributes)
        if node.op_type == "Concat":
            axis = attributes["axis"].as_int() % 3
            attributes["axis"] = ir.AttrInt64("axis", axis + (axis >= _AXIS))
        self._put(node, [self._operand(node, v) for v in node.inputs], attributes)

    def _put(self, node: ir.Node, inputs: list[ir.Value | None], attributes: Mapping[str, ir.Attr]) -> None:
        """Put the operator on images in the place of a node, and a Squeeze after it."""
        old = node.outputs[0]
        wide = self._rw.node(node.op_type, inputs, attributes, main=node, domain=node.domain)
        wide.overload = node.overload
        narrow = self._change_rank(node, "Squeeze", wide.outputs[0])
        self._rw.insert(node, wide, narrow)
        wide.outputs[0].type, wide.outputs[0].shape = old.type, _with_unit(old.shape)
        self._rw.replace(node, narrow.outputs[0])
        self._wide[narrow.outputs[0]] = wide.outputs[0]

    def _image(self, node: ir.Node, value: ir.Value | None) -> ir.Value | None:
        """The image form of a sequence; made before ``node`` if there is none yet."""
        if value is None or value in self._wide:
            return value and self._wide[value]
        unsqueeze = self._change_rank(node, "Unsqueeze", value)
        self._rw.insert(node, unsqueeze)
        wide = self._wide[value] = unsqueeze.outputs[0]
        wide.type, wide.shape = value.type, _with_unit(value.shape)
        return wide

    def _operand(self, node: ir.Node, value: ir.Value | None) -> ir.Value | None:
        if value is None or value in self._wide:
            return value and self._wide[value]
        # A constant of rank 0 or 1 broadcasts along the last axis, as before.
        return self._with_unit_axis(node, value) if (rank(value) or 0) > 1 else value

    def _with_unit_axis(self, node: ir.Node, value: ir.Value | None) -> ir.Value | None:
        """Weights or other operands with an axis of extent 1 before the last one."""
        if value is None:
            return None
        if value not in self._weights:
            array = constant(value)
            if array is None:
                unsqueeze = self._change_rank(node, "Unsqueeze", value)
                self._rw.insert(node, unsqueeze)
                wide = unsqueeze.outputs[0]
                wide.type, wide.shape = value.type, _with_unit(value.shape)
            else:
                wide = self._rw.constant(node, f"{value.name}/image", np.expand_dims(array, -2))
            self._weights[value] = wide
        return self._weights[value]

    def _with_unit_entry(self, node: ir.Node, value: ir.Value | None) -> ir.Value | None:
        """Scales or sizes of a Resize with a 1 for the new axis; a region of interest, for cropping only, empty."""
        array = constant(value)
        if array is None or array.size == 0:
            return value
        longer = np.insert(array, _AXIS, 1) if array.size == 3 else array[:0]
        return self._rw.constant(node, f"{node.name}/resize", longer)

    def _change_rank(self, node: ir.Node, op_type: str, value: ir.Value) -> ir.Node:
        """An Unsqueeze or Squeeze of the new axis, as the model's opset writes it."""
        if self._rw.opset >= 13:
            axes = self._rw.shape_constant(node, f"{node.name}/{op_type}/axes", [_AXIS])
            return self._rw.node(op_type, [value, axes], main=node)
        return self._rw.node(op_type, [value], {"axes": [_AXIS]}, main=node)


def _with_unit(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape([*shape[:_AXIS], 1, *shape[_AXIS:]])


PASS = Pass(
    name="conv1d_as_2d",
    run=conv1d_as_2d,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    ensures=frozenset({NO_1D_WINDOWS}),
    must_follow=("fold_constants", "fold_shapes", "fuse_pad", "fold_affine", "fuse_gelu", "fuse_hard_swish"),
)
