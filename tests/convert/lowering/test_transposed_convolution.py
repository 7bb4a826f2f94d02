"""Transposed convolutions whose weights come at run time, and with an output that is larger than what they reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .against_ort import assert_agrees, model_of

F32 = np.float32


@pytest.mark.parametrize("is_constant", [True, False])
@pytest.mark.parametrize(
    ("attributes", "weights", "group"),
    [
        ("strides=[2,3], pads=[1,0,0,2], output_padding=[1,0]", (4, 3, 3, 4), 1),
        ("strides=[2,2], dilations=[2,3]", (4, 3, 3, 2), 1),
        ("strides=[2,2], pads=[1,1,1,1]", (4, 3, 4, 4), 2),
        ("strides=[2,3], pads=[0,1,1,0]", (4, 2, 3, 2), 4),
        ("strides=[3,2], output_shape=[16,11]", (4, 3, 3, 2), 1),
    ],
)
def test_weights(attributes: str, weights: tuple[int, ...], group: int, is_constant: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape).astype(F32) for name, shape in (("x", (2, 4, 5, 5)), ("w", weights))}
    bias = rng.standard_normal(weights[1] * group).astype(F32)
    inputs = "float[2,4,5,5] x" + ("" if is_constant else f", float[{','.join(map(str, weights))}] w")
    constants = {"b": bias} | ({"w": arrays["w"]} if is_constant else {})
    nodes = f"y = ConvTranspose<group={group}, {attributes}>(x, w, b)"
    model = model_of(f"({inputs}) => (float[n,c,h,w1] y)", nodes, constants)
    feed = {name: array for name, array in arrays.items() if name not in constants}
    assert_agrees(model, [feed], tmp_path, artifacts=["tflite"], rtol=1e-4, atol=1e-4)
