"""Pictures: crops of the photographs that scikit-learn and Matplotlib ship, and printed text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.float32]

_WORDS = (
    "harbour Straße 2026 ferry No. 17 open closed Exit Eingang coffee 4,50 € north window ticket river Platform 9 "
    "MARKET garden 12:45 bridge lantern quay Ω=3.2 left RIGHT A/B test@sea.org signal yellow weight 80 kg"
)
_FONTS = ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Oblique.ttf")


@cache
def photographs() -> tuple[Image.Image, ...]:
    """China, a flower, and Grace Hopper."""
    from sklearn.datasets import load_sample_images

    pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    return (*pictures, Image.open(Path(mpl.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB"))


def crop(width: int, height: int, seed: int, *, least: int = 120) -> Image.Image:
    """A part of a photograph, mirrored half of the time, in another brightness."""
    draw = np.random.default_rng(seed)
    picture = photographs()[seed % len(photographs())]
    most = min(picture.width / width, picture.height / height)
    share = draw.uniform(min(1.0, least / min(picture.size)), 1) * most
    w, h = width * share, height * share
    left, top = draw.uniform(0, picture.width - w), draw.uniform(0, picture.height - h)
    taken = picture.resize((width, height), Image.Resampling.BILINEAR, (left, top, left + w, top + h))
    if draw.random() < 0.5:
        taken = taken.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gain = draw.uniform(0.6, 1.2)
    return taken.point(lambda value: min(255, int(value * gain)))


def signs(width: int, height: int, seed: int) -> Image.Image:
    """A photograph with lines of print on it, some on a ground of their own."""
    draw = np.random.default_rng(seed)
    picture = crop(width, height, seed)
    canvas = ImageDraw.Draw(picture)
    top = int(draw.integers(4, 40))
    while top < height - 20:
        size = int(draw.integers(12, 44))
        left = int(draw.integers(0, width // 3))
        if draw.random() < 0.6:
            canvas.rectangle((left - 4, top - 4, left + 12 * size, top + size + 8), fill=_colour(draw, light=True))
        canvas.text((left, top), _text(draw, 3), font=_font(draw, size), fill=_colour(draw, light=False))
        top += size + int(draw.integers(10, 60))
    return picture


def line(width: int, height: int, seed: int) -> Image.Image:
    """One line of print that fills the height, as a text detector cuts it out."""
    draw = np.random.default_rng(seed)
    picture = Image.new("RGB", (width, height), _colour(draw, light=True))
    size = int(height * draw.uniform(0.6, 0.8))
    canvas = ImageDraw.Draw(picture)
    canvas.text((4, (height - size) // 3), _text(draw, 4), font=_font(draw, size), fill=_colour(draw, light=False))
    return picture


def channels_first(picture: Image.Image, mean: float | Array, deviation: float | Array) -> Array:
    """[1, 3, height, width]: (pixels - mean) / deviation; of all channels, or [3]."""
    pixels = (np.asarray(picture, np.float32) - mean) / deviation
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def _text(draw: np.random.Generator, words: int) -> str:
    return " ".join(draw.choice(_WORDS.split(), int(draw.integers(1, words + 1))))


def _font(draw: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", str(draw.choice(_FONTS)))), size)


def _colour(draw: np.random.Generator, *, light: bool) -> tuple[int, int, int]:
    red, green, blue = draw.integers(170, 256, 3) if light else draw.integers(0, 90, 3)
    return int(red), int(green), int(blue)
