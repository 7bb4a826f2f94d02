"""Batch normalization by the statistics of the batch, with the running ones as results, and of odd ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .against_ort import assert_agrees, model_of

F32 = np.float32
PARAMETERS = {
    "s": np.array([1, -2, 0.5], F32), "t": np.array([0, 1, -1], F32),
    "m": np.array([0.5, 0, 3], F32), "v": np.array([1, 2, 0.25], F32),
}  # fmt: skip


@pytest.mark.parametrize("outputs", ["y", "y, n, w"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_training_mode(shape: tuple[int, ...], outputs: str, tmp_path: Path) -> None:
    inner = ",".join(map(str, shape[1:]))
    typed = f"float[batch,{inner}] y" + (", float[3] n, float[3] w" if "n" in outputs else "")
    model = model_of(
        f"(float[batch,{inner}] x) => ({typed})",
        "y, n, w = BatchNormalization<training_mode=1, momentum=0.8, epsilon=0.01>(x, s, t, m, v)", PARAMETERS,
    )  # fmt: skip
    x = 3 * np.random.default_rng(0).standard_normal(shape).astype(F32) + 1
    assert_agrees(model, [{"x": x}, {"x": x[:1]}], tmp_path, artifacts=["tflite"], rtol=1e-4)


def test_six_axes(tmp_path: Path) -> None:
    model = model_of(
        "(float[2,3,2,2,2,2] x, float[3] s) => (float[2,3,2,2,2,2] y)",
        "y = BatchNormalization(x, s, t, m, v)", {n: a for n, a in PARAMETERS.items() if n != "s"},
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 2, 2, 2)).astype(F32)
    assert_agrees(model, [{"x": x, "s": PARAMETERS["s"]}], tmp_path, artifacts=["tflite"])
