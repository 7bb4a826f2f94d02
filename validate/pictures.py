"""Samples as small pictures for a page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..artifact import Array

_SIDE = 128
"""Pixels of the longer side, at most; what is smaller is enlarged without blurring."""

_CHANNELS = (1, 3)


def picture(sample: Array) -> str:
    """A PNG as a ``data:`` URI; empty where the sample is no image.

    Args:
        sample: [channels, height, width] or [height, width, channels] of 1 or 3 channels, or [height, width]; values of
            any range, whose least becomes black and whose largest white.
    """
    image = _channels_last(sample)
    if image is None:
        return ""
    from PIL import Image

    values = np.nan_to_num(image.astype(np.float64))
    low, high = values.min(), values.max()
    pixels = np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    drawn = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scale = _SIDE / max(drawn.size)
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    drawn = drawn.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _channels_last(sample: Array) -> Array | None:
    if sample.dtype.kind not in "fiu" or not sample.size:
        return None
    if sample.ndim == 2 and min(sample.shape) > 4:
        return sample[..., None]
    if sample.ndim == 3 and sample.shape[0] in _CHANNELS and min(sample.shape[1:]) > 4:
        return np.moveaxis(sample, 0, -1)
    return sample if sample.ndim == 3 and sample.shape[2] in _CHANNELS and min(sample.shape[:2]) > 4 else None
