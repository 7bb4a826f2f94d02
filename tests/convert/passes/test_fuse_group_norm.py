from __future__ import annotations

from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def model(opset: int, groups: int, x: str = "2,12,5,4", back: str = "2,12,5,4") -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    g (float[{x}] a) => (float[{x}] z)
    <int64[3] to = {{0, {groups}, -1}}, int64[{len(back.split(","))}] from = {{{back}}}> {{
        x = Neg (a) r = Reshape (x, to) n = InstanceNormalization <epsilon = 0.01> (r, scale, bias)
        y = Reshape (n, from) z = Neg (y) }}"""


def weights(groups: int) -> dict[str, Any]:
    return {name: RNG.standard_normal(groups).astype(np.float32) for name in ("scale", "bias")}


@pytest.mark.parametrize("opset", [18, 20, 21])
@pytest.mark.parametrize("groups", [1, 3, 12])
def test_is_recognised(apply: Any, groups: int, opset: int) -> None:
    """And computes the same, with a scale for each group and for each of its channels."""
    result = apply(model(opset, groups), "fuse_group_norm", weights=weights(groups))
    assert result.ops == ["Neg", "GroupNormalization", "Neg"]


@pytest.mark.parametrize(
    ("opset", "back"),
    [(17, "2,12,5,4"), (20, "2,12,4,5"), (20, "2,12,20")],
    ids=["opset", "other axes", "other rank"],
)
def test_is_left_alone(apply: Any, opset: int, back: str) -> None:
    text = model(opset, 3, back=back).replace("=> (float[2,12,5,4] z)", f"=> (float[{back}] z)")
    result = apply(text, "fuse_group_norm", weights=weights(3))
    assert "InstanceNormalization" in result.ops


def test_the_batch_may_be_dynamic_and_the_image_not(apply: Any) -> None:
    batch = apply(model(20, 3, "n,12,5,4", "-1,12,5,4"), "infer_shapes", "fuse_group_norm", weights=weights(3))
    assert batch.ops == ["Neg", "GroupNormalization", "Neg"]
    image = apply(model(20, 3, "2,12,h,4", "2,12,-1,4"), "infer_shapes", "fuse_group_norm", weights=weights(3))
    assert "InstanceNormalization" in image.ops
