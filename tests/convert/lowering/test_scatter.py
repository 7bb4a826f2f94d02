"""Scatters into data of dynamic extents, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .against_ort import assert_agrees, model_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_elements_of_any_number(reduction: str, tmp_path: Path) -> None:
    signature = "(float[n,m] x, int64[e,k] i, float[e,k] u) => (float[n,m] y)"
    model = model_of(signature, f'y = ScatterElements <axis = 0, reduction = "{reduction}"> (x, i, u)')
    feeds = []
    for n, m, e, k in ((5, 3, 7, 2), (2, 4, 4, 4), (1, 1, 3, 1)):
        at = RNG.integers(-n, n, (e, k)) if reduction != "none" else np.tile(RNG.permutation(n)[:e, None], (1, k))
        updates = RNG.normal(size=at.shape).astype(np.float32)
        feeds.append({"x": RNG.normal(size=(n, m)).astype(np.float32), "i": at, "u": updates})
    assert_agrees(model, feeds, tmp_path)


@pytest.mark.parametrize("reduction", ["mul", "max", "min"])
def test_slices_of_any_number(reduction: str, tmp_path: Path) -> None:
    """Two coordinates of three, the second extent dynamic too: how far apart places are is computed."""
    signature = "(float[n,m,2] x, int64[e,2] i, float[e,2] u) => (float[n,m,2] y)"
    model = model_of(signature, f'y = ScatterND <reduction = "{reduction}"> (x, i, u)')
    feeds = []
    for n, m, e in ((3, 4, 9), (2, 2, 1), (1, 5, 6)):
        at = np.stack([RNG.integers(0, n, e), RNG.integers(-m, m, e)], -1)
        values = {"x": RNG.normal(size=(n, m, 2)), "u": RNG.normal(size=(e, 2))}
        feeds.append({name: value.astype(np.float32) for name, value in values.items()} | {"i": at})
    assert_agrees(model, feeds, tmp_path)
