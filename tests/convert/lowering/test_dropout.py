"""A Dropout that trains keeps everything where its ratio is 0; else it is refused, for it draws random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeworthy.errors import UnsupportedNodes

from ...conformance.adapters import convert_to
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
