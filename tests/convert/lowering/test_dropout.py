"""A Dropout that trains keeps everything where its ratio is 0, draws where an input lets it, and else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.errors import UnsupportedNodes

from ...conformance.adapters import RUNNERS, convert_to
from .against_ort import assert_agrees, model_of


def _model(ratio: float) -> bytes:
    return model_of(
        "(float[3,4] x) => (float[3,4] y, bool[3,4] mask)",
        "a, mask = Dropout(x, ratio, training) y = Relu(a)",
        {"ratio": np.array(ratio, np.float32), "training": np.array(True)},
    )


def test_a_ratio_of_0(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert_agrees(_model(0), [{"x": x}], tmp_path)


def test_another_ratio(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedNodes, match="random"):
        convert_to("tflite", _model(0.5), tmp_path)


@pytest.mark.parametrize("artifact", RUNNERS)
def test_an_input_says_whether_it_trains(artifact: str, tmp_path: Path) -> None:
    """Monte Carlo dropout: other places in every run and of every node, a share of them, and the rest scaled."""
    model = model_of(
        "(float[n,500] x, float ratio, bool training) => (float[n,500] y, bool[n,500] mask, float[n,500] z)",
        "y, mask = Dropout(x, ratio, training) z = Dropout(x, ratio, training)",
    )
    path = convert_to(artifact, model, tmp_path)
    x = np.random.default_rng(0).standard_normal((40, 500)).astype(np.float32)
    x[0, :4] = np.inf, -np.inf, np.nan, 0

    def run(ratio: float, training: bool = True) -> dict[str, Any]:
        feeds = {"x": x, "ratio": np.array(ratio, np.float32), "training": np.array(training)}
        return {name: array.copy() for name, array in RUNNERS[artifact](path, feeds).items()}

    first, again = run(0.25), run(0.25)
    mask = first["mask"]
    np.testing.assert_allclose(first["y"], np.where(mask, x / 0.75, 0), rtol=1e-6)
    assert abs(mask.mean() - 0.75) < 0.02  # 20,000 draws: six standard deviations
    assert abs((mask & again["mask"]).mean() - 0.75**2) < 0.02
    assert abs((mask & (first["z"] != 0)).mean() - 0.75**2) < 0.02
    for same in (run(0.25, training=False), run(0)):
        np.testing.assert_array_equal(same["y"], x)
        assert same["mask"].all()
