from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def weights(**shapes: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def model(body: str, opset: int = 13, inputs: str = "float[2,4,12] x", outputs: str = "float[n,c,l] y") -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}'


@pytest.mark.parametrize("opset", [9, 13, 22])
@pytest.mark.parametrize(
    "body",
    [
        "y = Conv (x, w)",
        "y = Conv <pads = [1,2], strides = [2], dilations = [2], kernel_shape = [3]> (x, w, b)",
        'y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w)',
        "y = ConvTranspose <strides = [2], pads = [1,0], output_padding = [1]> (x, t)",
        "y = MaxPool <kernel_shape = [3], strides = [2], pads = [1,1]> (x)",
        "y = AveragePool <kernel_shape = [3], pads = [1,1], count_include_pad = 1> (x)",
        "y = AveragePool <kernel_shape = [2], ceil_mode = 1, strides = [2]> (x)",
    ],
)
def test_windows(apply: Any, body: str, opset: int) -> None:
    if "ceil_mode" in body and opset < 10:
        body = body.replace("ceil_mode = 1, ", "")
    result = apply(model(body, opset), "conv1d_as_2d", weights=weights(w=(5, 4, 3), b=(5,), t=(4, 5, 3)))
    assert result.ops == ["Unsqueeze", body.split("= ", 1)[1].split()[0], "Squeeze"]
    assert result.model.graph[1].metadata_props["edgeworthy.module"] == "module of n0"
    assert {"w", "t"}.isdisjoint(result.model.graph.initializers), "the old weights are still held"


@pytest.mark.parametrize(
    "resize",
    [
        'Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , scales)',
        'Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , , sizes)',
        'Resize <coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , scales)',
    ],
)
def test_resize(apply: Any, resize: str) -> None:
    values = {"scales": np.array([1, 1, 2], np.float32), "sizes": np.array([2, 4, 20], np.int64)}
    result = apply(model(f"y = {resize}"), "conv1d_as_2d", weights=values)
    assert result.ops == ["Unsqueeze", "Resize", "Squeeze"]


def test_activations_and_sums_between_stay_next_to_their_convolutions(apply: Any) -> None:
    body = """
        a = Conv <pads = [1,1]> (x, w) b = Relu (a) c = Conv <pads = [1,1]> (b, w)
        d = Add (c, x) e = PRelu (d, slope) f = Concat <axis = 1> (e, b)
        g = Mul (f, row) y = MaxPool <kernel_shape = [2]> (g)
    """
    result = apply(model(body), "conv1d_as_2d", weights=weights(w=(4, 4, 3), slope=(4, 1), row=(12,)), tolerance=1e-5)
    assert result.ops == ["Unsqueeze", "Conv", "Relu", "Conv", "Add", "PRelu", "Concat", "Mul", "MaxPool", "Squeeze"]


def test_a_negative_concat_axis(apply: Any) -> None:
    body = "a = Conv (x, w) b = Conv (x, w) y = Concat <axis = -1> (a, b)"
    result = apply(model(body), "conv1d_as_2d", weights=weights(w=(4, 4, 3)))
    assert result.node("Concat").attributes["axis"].as_int() == 3


def test_what_is_no_image_keeps_its_squeeze(apply: Any) -> None:
    body = "a = Conv (x, w) b = Relu (a) c = Softmax <axis = -1> (b) y = Add (b, c)"
    result = apply(model(body), "conv1d_as_2d", weights=weights(w=(4, 4, 3)))
    assert result.ops == ["Unsqueeze", "Conv", "Relu", "Squeeze", "Softmax", "Add"]


def test_shared_weights_stay_shared(apply: Any) -> None:
    body = "a = Conv <pads = [1,1]> (x, w) y = Conv <pads = [1,1]> (a, w)"
    result = apply(model(body), "conv1d_as_2d", weights=weights(w=(4, 4, 3)), tolerance=1e-5)
    first, second = (n for n in result.model.graph if n.op_type == "Conv")
    assert first.inputs[1] is second.inputs[1]


def test_weights_that_are_inputs(apply: Any) -> None:
    result = apply(model("y = Conv (x, w)", inputs="float[2,4,12] x, float[5,4,3] w"), "conv1d_as_2d")
    assert result.ops == ["Unsqueeze", "Unsqueeze", "Conv", "Squeeze"]


def test_images_are_left_alone(apply: Any) -> None:
    text = model("y = Conv (x, w)", inputs="float[2,4,6,6] x", outputs="float[n,c,h,w2] y")
    assert apply(text, "conv1d_as_2d", weights=weights(w=(5, 4, 3, 3))).ops == ["Conv"]


def test_indices_are_refused(apply: Any) -> None:
    text = model("y, i = MaxPool <kernel_shape = [3]> (x)", outputs="float[n,c,l] y, int64[n,c,l] i")
    assert "indices" in apply(text, "conv1d_as_2d").refusals("conv1d_as_2d")
