"""The function bodies of the private operators, against ONNX's own operators in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from edgeworthy.convert.graph import private_ops
from edgeworthy.vocabulary import FUSED_DOMAIN

X = np.concatenate([np.linspace(-8, 8, 62), [-100, 100]]).reshape(8, 8).astype(np.float32)
SCALE, BIAS = (np.random.default_rng(i).normal(size=8).astype(np.float32) for i in (1, 2))


def call(op: str, attributes: str, extra: str, opset: int, domain: str, overload: str = "") -> onnx.ModelProto:
    text = f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    g (float[8,8] x) => (float[8,8] y) {{ y = {op} {attributes} (x{extra}) }}"""
    proto = onnx.parser.parse_model(text)
    for name, array in (("scale", SCALE), ("bias", BIAS)):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    if domain:
        private_ops.declare(model, op, overload)
        model.graph[0].domain, model.graph[0].overload = domain, overload
    return ir.to_proto(model)


@pytest.mark.parametrize(
    ("op", "overload", "attributes", "extra", "official"),
    [
        ("Gelu", "", '<approximate = "none">', "", 20),
        ("Gelu", "tanh", '<approximate = "tanh">', "", 20),
        ("HardSwish", "", "", "", 14),
        ("LayerNormalization", "", "<axis = -1, epsilon = 0.001>", ", scale, bias", 17),
        ("RMSNormalization", "", "<axis = -1, epsilon = 0.5>", ", scale", 23),
    ],
)
@pytest.mark.parametrize("opset", [9, 11, 13, 18, 22])
def test_computes_what_the_official_operator_does(
    ort_outputs: Any, op: str, overload: str, attributes: str, extra: str, official: int, opset: int
) -> None:
    (want,) = ort_outputs(call(op, attributes, extra, official, ""), {"x": X})
    (got,) = ort_outputs(call(op, attributes, extra, opset, FUSED_DOMAIN, overload), {"x": X})
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)


def test_an_operator_is_declared_once() -> None:
    model = ir.from_proto(call("Gelu", '<approximate = "none">', "", 13, FUSED_DOMAIN))
    private_ops.declare(model, "Gelu")
    assert list(model.functions) == [("edgeworthy", "Gelu", "")]
    assert model.opset_imports["edgeworthy"] == 1
