"""The values that a tensor can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.tflite.summary import DTYPE_NAMES, STEPS

if TYPE_CHECKING:
    from ...artifact import Array


@dataclass(frozen=True)
class Grid:
    """The values that a tensor can have: ``scale · (q - zero_point)`` of an integer dtype."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest of them."""
        info = np.iinfo(self.dtype)
        return self.scale * (int(info.min) - self.zero_point), self.scale * (int(info.max) - self.zero_point)

    def quantized(self, values: Array) -> Array:
        """Floats as steps, saturated; as QUANTIZE does it."""
        info = np.iinfo(self.dtype)
        steps = np.rint(values.astype(np.float64) / self.scale) + self.zero_point
        found: Array = np.clip(np.nan_to_num(steps), info.min, info.max).astype(self.dtype)
        return found

    def real(self, steps: Array) -> Array:
        """Steps as the float64 that they stand for."""
        found: Array = (steps.astype(np.float64) - self.zero_point) * self.scale
        return found


def grid_of(tensor: Any) -> Grid | None:
    """Of an activation in steps; None for a float or one without a usable scale."""
    params, dtype = tensor.quantization, DTYPE_NAMES[tensor.type]
    if params is None or params.scale is None or len(params.scale) != 1 or dtype not in STEPS:
        return None
    scale = float(params.scale[0])
    if not np.isfinite(scale) or scale <= 0:
        return None
    zero_points = params.zeroPoint
    return Grid(scale, int(zero_points[0]) if zero_points is not None and len(zero_points) else 0, dtype)
