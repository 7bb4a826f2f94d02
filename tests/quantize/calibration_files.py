"""Inputs, files and refusals for the tests of calibration data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import load_calibration

X = TensorSpec("x", "float32", (1, 3))
MASK = TensorSpec("mask", "int64", (1, 4))


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def refused(spec: str | Path | None, inputs: Sequence[TensorSpec] = (X,), **options: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        load_calibration(spec, inputs, **options)
    assert caught.value.exit_code == 2
    return caught.value
