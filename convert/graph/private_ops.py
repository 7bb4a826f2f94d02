"""Operators that fusions make where the model's opset has no official one: model-local functions of a private domain.

Each has the inputs and attributes of the official ONNX operator, all attributes given, and a function body that the
model's own opset can run, so ONNX Runtime runs the model as it is. The bodies compute in float32. ``Gelu:tanh`` is the
overload "tanh" of Gelu.

==================== ============================== ======================================= =====================
operator             inputs                         attributes                              stands for
==================== ============================== ======================================= =====================
Gelu                 X                              approximate = "none"                    Gelu-20
Gelu:tanh            X                              approximate = "tanh"                    Gelu-20
HardSwish            X                                                                      HardSwish-14
LayerNormalization   X, Scale, B                    axis = -1, epsilon                      LayerNormalization-17
QuantizeDequantize   X, scale, zero_point                                                   the pair, per tensor
RMSNormalization     X, scale                       axis = -1, epsilon                      RMSNormalization-23
==================== ============================== ======================================= =====================
"""

from __future__ import annotations

import re

import onnx.parser
import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN
from .reading import opset

VERSION = 1
"""Version of the private domain."""

_IR_VERSION, _IR_VERSION_OF_OVERLOADS = 8, 10
"""The first ONNX IR versions with model-local functions, and with overloads of them."""

# An attribute can reach a computation before opset 12 only as an attribute of another operator, hence epsilon =
# HardSigmoid(v; alpha 0, beta epsilon) = min(1, max(0, 0·v + epsilon)).
_BODIES = {
    "Gelu": """Gelu <approximate> (X) => (Y) {
        half = Constant <value: tensor = float {0.5}> ()
        one = Constant <value: tensor = float {1.0}> ()
        root_half = Constant <value: tensor = float {0.70710678118654752}> ()
        scaled = Mul (X, root_half)
        erf = Erf (scaled)
        erf_1 = Add (erf, one)
        half_x = Mul (X, half)
        Y = Mul (half_x, erf_1)
    }""",
    "Gelu:tanh": """Gelu <approximate> (X) => (Y) {
        half = Constant <value: tensor = float {0.5}> ()
        one = Constant <value: tensor = float {1.0}> ()
        cubic = Constant <value: tensor = float {0.044715}> ()
        root_2_over_pi = Constant <value: tensor = float {0.79788456080286536}> ()
        x2 = Mul (X, X)
        c_x2 = Mul (x2, cubic)
        c_x2_1 = Add (c_x2, one)
        inner = Mul (X, c_x2_1)
        scaled = Mul (inner, root_2_over_pi)
        tanh = Tanh (scaled)
        tanh_1 = Add (tanh, one)
        half_x = Mul (X, half)
        Y = Mul (half_x, tanh_1)
    }""",
    "HardSwish": """HardSwish (X) => (Y) {
        gate = HardSigmoid <alpha = 0.16666667163372039, beta = 0.5> (X)
        Y = Mul (X, gate)
    }""",
    "LayerNormalization": """LayerNormalization <axis, epsilon> (X, Scale, B) => (Y) {
        last = Constant <value: tensor = int64[1] {-1}> ()
        mean = MeanOfLast (X)
        centred = Sub (X, mean)
        square = Mul (centred, centred)
        variance = MeanOfLast (square)
        eps = HardSigmoid <alpha = 0.0, beta: float = @epsilon> (variance)
        shifted = Add (variance, eps)
        deviation = Sqrt (shifted)
        normal = Div (centred, deviation)
        scaled = Mul (normal, Scale)
        Y = Add (scaled, B)
    }""",
    "QuantizeDequantize": """QuantizeDequantize (X, scale, zero_point) => (Y) {
        steps = QuantizeLinear (X, scale, zero_point)
        Y = DequantizeLinear (steps, scale, zero_point)
    }""",
    "RMSNormalization": """RMSNormalization <axis, epsilon> (X, scale) => (Y) {
        last = Constant <value: tensor = int64[1] {-1}> ()
        square = Mul (X, X)
        mean_square = MeanOfLast (square)
        eps = HardSigmoid <alpha = 0.0, beta: float = @epsilon> (mean_square)
        shifted = Add (mean_square, eps)
        root = Sqrt (shifted)
        normal = Div (X, root)
        Y = Mul (normal, scale)
    }""",
}


def declare(model: ir.Model, op_type: str, overload: str = "") -> None:
    """See to it that a model has the function of a private operator, and imports its domain."""
    if (FUSED_DOMAIN, op_type, overload) in model.functions:
        return
    version = opset(model)
    # ReduceMean-18 takes its axes as an input, those before as an attribute.
    mean = r"ReduceMean (\1, last)" if version >= 18 else r"ReduceMean <axes = [-1]> (\1)"
    body = re.sub(r"MeanOfLast \((\w+)\)", mean, _BODIES[f"{op_type}:{overload}" if overload else op_type])
    header = f'<domain: "{FUSED_DOMAIN}", opset_import: ["": {version}]>\n'
    function = ir.serde.deserialize_function(onnx.parser.parse_function(header + body))
    function.overload = overload
    model.functions[function.identifier()] = function
    model.graph.opset_imports[FUSED_DOMAIN] = VERSION
    model.ir_version = max(model.ir_version, _IR_VERSION_OF_OVERLOADS if overload else _IR_VERSION)
