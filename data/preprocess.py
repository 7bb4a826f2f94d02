"""Image files to model inputs, in steps that are stated and not guessed.

A wrong mean or colour order gives ranges that look fine and are wrong, so a folder of images is only taken
together with a ``Preprocess``. The layout (NCHW or NHWC) follows the model's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..artifact import TensorSpec
from ..errors import BadInput

if TYPE_CHECKING:
    from ..artifact import Array

Colour = Literal["rgb", "bgr", "grey"]
Fit = Literal["crop", "stretch", "pad"]
ImageLayout = Literal["NCHW", "NHWC"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes an input: turn as EXIF says, convert colours, fit, scale to 0…1, normalize.

    Attributes:
        size: Height and width; None takes the model's own.
        mean: Subtracted from pixels scaled to 0…1, one number or one a channel, in the order of ``colour``.
        std: Divides what is left, one number or one a channel.
        colour: Channel order of the model's input.
        fit: ``crop`` scales the image to cover the size (or its shorter side to ``resize``) and takes the
            centre; ``stretch`` ignores the aspect ratio; ``pad`` fits the whole image in, with black bars.
        resize: Shorter side before the centre crop, such as 256 for a 224 crop.
        interpolation: How pixels of another size are found.
        layout: Of the model's input; None: the axis with 1 or 3 entries holds the channels.
        origin: Where all this is said, for people.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    colour: Colour = "rgb"
    fit: Fit = "crop"
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    layout: ImageLayout | None = None
    origin: str = ""

    def __str__(self) -> str:
        size = "the model's size" if self.size is None else f"{self.size[0]}×{self.size[1]}"
        first = f"shorter side {self.resize}, " if self.resize and self.fit == "crop" else ""
        mean, std = (",".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        said = f"preprocessing from {self.origin}: " if self.origin else ""
        return (
            f"{said}{self.colour.upper()}, {first}{self.fit} to {size} ({self.interpolation}), "
            f"mean {mean}, std {std} of 0…1"
        )


def stated(base: Preprocess, given: Mapping[str, Any]) -> Preprocess:
    """``base`` with what a user says instead: its fields, and ``crop``, which is a ``size`` and a ``fit``.

    Raises:
        BadInput: ``size`` and ``crop`` contradict each other.
    """
    changes: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    sizes = {key: (changes[key][0], changes[key][-1]) for key in ("size", "crop") if key in changes}
    if len(set(sizes.values())) > 1:
        raise BadInput(
            "size and crop are both the extents that the model gets, and they differ",
            where="--size, --crop",
            remedy="give one of them; --resize is the shorter side before the crop",
        )
    if changes.pop("crop", None):
        changes["fit"] = changes.get("fit", "crop")
    if sizes:
        changes["size"] = next(iter(sizes.values()))
    if changes and base.origin:
        changes["origin"] = f"{base.origin}, with another {', '.join(given)}"
    return replace(base, **changes)


class ImageReader:
    """Reads image files as samples of one input.

    Args:
        spec: The model's image input, ``[batch, channels, height, width]`` or ``[batch, height, width,
            channels]`` with 1 or 3 channels, float32 or float16 (normalized) or uint8 (raw pixels).
        preprocess: The steps.

    Raises:
        BadInput: the input is no image, its size isn't known, or mean and std don't fit its channels.
    """

    def __init__(self, spec: TensorSpec, preprocess: Preprocess) -> None:
        self.layout, self.channels, self.size = _image_shape(spec, preprocess)
        self.spec = spec
        self.preprocess = preprocess
        where = f"preprocessing of input {spec.name!r}"
        for key, values in (("mean", preprocess.mean), ("std", preprocess.std)):
            if len(values) not in (1, self.channels):
                raise BadInput(
                    f"{key} has {len(values)} numbers, and the input has {self.channels} channels",
                    where=where,
                    remedy="give one number, or one a channel",
                )
        if any(v == 0 for v in preprocess.std):
            raise BadInput("std is zero", where=where, remedy="give the standard deviation of the training data")
        if (preprocess.colour == "grey") != (self.channels == 1):
            raise BadInput(
                f"colour is {preprocess.colour!r}, and the input has {self.channels} channels",
                where=where,
                remedy="use 'grey' for one channel, 'rgb' or 'bgr' for three",
            )
        if spec.dtype not in ("float32", "float16", "uint8"):
            raise BadInput(
                f"images can't be fed to an input of dtype {spec.dtype}",
                where=where,
                remedy="give calibration data as .npz instead",
            )
        if spec.dtype == "uint8" and (set(preprocess.mean) != {0.0} or set(preprocess.std) != {1.0}):
            raise BadInput(
                "the input takes raw uint8 pixels, so there is nothing to normalize",
                where=where,
                remedy="leave mean at 0 and std at 1",
            )

    def __call__(self, path: Path) -> Array:
        """One sample, without the batch axis: ``[C, H, W]`` or ``[H, W, C]``.

        Raises:
            BadInput: the file can't be read as an image.
        """
        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file).convert("L" if self.channels == 1 else "RGB")
        except (
            OSError,
            UnidentifiedImageError,
            Image.DecompressionBombError,
            SyntaxError,
            ValueError,
        ) as error:
            raise BadInput(
                f"can't read the image: {error}",
                where=str(path),
                remedy="repair it or take it out of the folder",
            ) from error
        pixels = np.asarray(_fitted(image, self.size, self.preprocess), dtype=np.uint8)
        pixels = pixels.reshape(*self.size, self.channels)
        if self.preprocess.colour == "bgr":
            pixels = pixels[..., ::-1]
        sample: Array = pixels
        if self.spec.dtype != "uint8":
            unit = pixels.astype(np.float32) / np.float32(255)
            mean, std = (np.asarray(v, np.float32) for v in (self.preprocess.mean, self.preprocess.std))
            sample = ((unit - mean) / std).astype(self.spec.dtype)
        return np.ascontiguousarray(sample.transpose(2, 0, 1) if self.layout == "NCHW" else sample)


def image_axes(spec: TensorSpec) -> tuple[int, int] | None:
    """Axes of height and width of an input that is a batch of images; None if it isn't, or could be either layout."""
    if len(spec.shape) != 4 or (spec.shape[1] in _CHANNELS) == (spec.shape[3] in _CHANNELS):
        return None
    return (2, 3) if spec.shape[1] in _CHANNELS else (1, 2)


def image_files(folder: Path) -> list[Path]:
    """All image files below ``folder``, sorted by path.

    Raises:
        BadInput: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise BadInput(
            "the folder holds no images",
            where=str(folder),
            remedy=f"put files in it that end in {', '.join(SUFFIXES)}",
        )
    return found


def _image_shape(spec: TensorSpec, preprocess: Preprocess) -> tuple[ImageLayout, int, tuple[int, int]]:
    """Layout, channels, and height and width; the channel axis is the one with 1 or 3 entries."""
    where = f"input {spec}"
    remedy = "give calibration data as .npz, .npy or file.py:generator instead of a folder of images"
    if len(spec.shape) != 4:
        raise BadInput("the input is no batch of images", where=where, remedy=remedy)
    first, last = spec.shape[1] in _CHANNELS, spec.shape[3] in _CHANNELS
    if preprocess.layout is not None:
        first, last = preprocess.layout == "NCHW" and first, preprocess.layout == "NHWC" and last
    if first == last:
        axes = {"NCHW": "axis 1 can't", "NHWC": "axis 3 can't", None: "neither axis 1 nor axis 3 can"}[
            preprocess.layout
        ]
        raise BadInput(
            f"{'both axis 1 and axis 3 could' if first else axes} be the channels of an image",
            where=where,
            remedy="say which with --layout NCHW or NHWC" if first else remedy,
        )
    layout: ImageLayout = "NCHW" if first else "NHWC"
    channels = spec.shape[1 if first else 3]
    own = spec.shape[2:4] if first else spec.shape[1:3]
    size = preprocess.size or own
    if not all(isinstance(d, int) for d in size):
        raise BadInput(
            "the model doesn't say how large its images are",
            where=where,
            remedy="give --size, or `size = [height, width]` in [quantize.preprocess]",
        )
    if any(isinstance(want, int) and want != got for want, got in zip(own, size, strict=True)):
        raise BadInput(
            f"images of {size[0]}×{size[1]} don't fit the model's {own[0]}×{own[1]}",
            where=where,
            remedy="leave `size` out, or set it to the model's",
        )
    return layout, int(channels), (int(size[0]), int(size[1]))


def _fitted(image: Image.Image, size: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    """The image at ``size`` (height, width)."""
    height, width = size
    how = Image.Resampling[preprocess.interpolation.upper()]
    if preprocess.fit == "stretch":
        return image.resize((width, height), how)
    if preprocess.fit == "pad":
        return ImageOps.pad(image, (width, height), how, color=0)
    if preprocess.resize is None:
        scale = max(height / image.height, width / image.width)
    else:
        scale = preprocess.resize / min(image.size)
    scaled = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return image.resize(scaled, how).crop((left, top, left + width, top + height))
