"""Preprocessing that the model's makers wrote down, read from where they did.

- ``preprocessor_config.json`` beside the model or its weights (transformers' image processors);
- ``pretrained_cfg`` of the source's module (timm);
- the transforms of the published weights (``torchvision:NAME``).

All three scale the image, cut out its centre, scale the pixels and normalize; only the names differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ..artifact import TensorSpec
from ..errors import BadInput
from ..source.load import Source
from .preprocess import Fit, Interpolation, Preprocess, image_axes

PROCESSOR_FILE = "preprocessor_config.json"

_PIL_FILTERS: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""``PIL.Image.Resampling`` → name."""

_BYTE = 255.0


def find(source: Source, folders: Iterable[Path] = (), *, published: bool = True) -> Preprocess | None:
    """What the source or a file in ``folders`` says of its images, made to fit the source's input; None: nothing.

    Args:
        published: Whether the source has the weights that its zoo publishes.

    Raises:
        BadInput: there is a ``preprocessor_config.json`` that can't be read.
    """
    found = _in_folders(folders) or _of_module(source) or (_of_torchvision(source) if published else None)
    return found and fitting(found, source.inputs[0])


def of_processor(config: Mapping[str, Any], origin: str = PROCESSOR_FILE) -> Preprocess | None:
    """The steps of a transformers image processor; None if the config is of something else.

    Sizes are a number, ``{height, width}`` or ``{shortest_edge}``; a step is skipped where its ``do_…`` is false.
    """
    if not {"image_mean", "size", "crop_size", "do_rescale"} & set(config) or "feature_size" in config:
        return None
    size, crop = config.get("size"), config.get("crop_size")
    crops = bool(config.get("do_center_crop", crop is not None)) and crop is not None
    edge = size if isinstance(size, int) else size.get("shortest_edge") if isinstance(size, Mapping) else None
    target = _extents(crop) if crops else _extents(size)
    if target is None and edge is not None and not crops:
        target = (int(edge), int(edge))
    share = config.get("crop_pct")
    if share and edge:  # ConvNeXt: the shorter side is edge ÷ crop_pct, and the centre of edge × edge is taken
        crops, target, edge = True, (int(edge), int(edge)), int(edge / share)
    fit: Fit = "crop" if crops or (isinstance(size, Mapping) and "shortest_edge" in size) else "stretch"
    factor = float(config.get("rescale_factor") or 1 / _BYTE) if config.get("do_rescale", True) else 1.0
    # MobileViT's, which turns the colours round, writes down a mean that it doesn't use.
    normalizes = config.get("do_normalize", "image_mean" in config and "do_flip_channel_order" not in config)
    mean, std = (config.get(key, d) if normalizes else d for key, d in (("image_mean", [0.0]), ("image_std", [1.0])))
    unit = factor * _BYTE
    return Preprocess(
        size=target,
        mean=tuple(float(v) / unit for v in _listed(mean)),
        std=tuple(float(v) / unit for v in _listed(std)),
        colour="bgr" if config.get("do_flip_channel_order") else "rgb",
        fit=fit,
        resize=int(edge) if edge and fit == "crop" else None,
        interpolation=_PIL_FILTERS.get(config.get("resample", 2), "bilinear"),
        origin=origin,
    )


def of_timm(config: Mapping[str, Any], origin: str = "timm's pretrained_cfg") -> Preprocess | None:
    """The steps of a timm data config; the shorter side is ⌊input size ÷ crop_pct⌋ (``timm.data.create_transform``)."""
    extents = config.get("input_size")
    if not isinstance(extents, Sequence) or len(extents) != 3:
        return None
    height, width = int(extents[1]), int(extents[2])
    share = float(config.get("crop_pct") or 0.875)
    fit: Fit = {"squash": "stretch", "border": "pad"}.get(str(config.get("crop_mode")), "crop")  # type: ignore[assignment]
    named = str(config.get("interpolation", "bicubic"))
    return Preprocess(
        size=(height, width),
        mean=tuple(map(float, config.get("mean", (0.485, 0.456, 0.406)))),
        std=tuple(map(float, config.get("std", (0.229, 0.224, 0.225)))),
        fit=fit,
        resize=math.floor(min(height, width) / share) if fit == "crop" else None,
        interpolation=named if named in get_args(Interpolation) else "bicubic",  # type: ignore[arg-type]
        origin=origin,
    )


def of_transforms(preset: Any, origin: str) -> Preprocess | None:
    """The steps of a torchvision preset by its attributes; None if it doesn't normalize."""
    mean, std = getattr(preset, "mean", None), getattr(preset, "std", None)
    if mean is None or std is None:
        return None
    crop, resize = (_extents(_single(getattr(preset, key, None))) for key in ("crop_size", "resize_size"))
    named = str(getattr(getattr(preset, "interpolation", None), "value", "bilinear"))
    return Preprocess(
        size=crop or resize,
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        fit="crop",
        resize=min(resize) if resize else None,
        interpolation=named if named in get_args(Interpolation) else "bilinear",  # type: ignore[arg-type]
        origin=origin,
    )


def fitting(found: Preprocess, spec: TensorSpec) -> Preprocess:
    """``found`` for an input of other extents, and for one that takes raw pixels."""
    axes = image_axes(spec)
    if axes is None:
        return found
    own = [spec.shape[axis] for axis in axes]
    if spec.dtype == "uint8":
        found = replace(found, mean=(0.0,), std=(1.0,))
    if found.size is None or own == list(found.size) or not all(isinstance(extent, int) for extent in own):
        return found
    scale = min(int(extent) for extent in own) / min(found.size)
    return replace(found, size=None, resize=found.resize and round(found.resize * scale))


def _in_folders(folders: Iterable[Path]) -> Preprocess | None:
    for folder in dict.fromkeys(folders):
        path = folder / PROCESSOR_FILE
        if not path.is_file():
            continue
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            found = of_processor(config, str(path)) if isinstance(config, dict) else None
        except (OSError, ValueError, TypeError, AttributeError, LookupError, ZeroDivisionError) as error:
            raise BadInput(
                f"the preprocessing beside the model can't be read: {error}",
                where=str(path),
                remedy="mend the file or take it away, and state the preprocessing by --size, --mean, --std …",
            ) from error
        if found is not None:
            return found
    return None


def _of_module(source: Source) -> Preprocess | None:
    config = getattr(source.module, "pretrained_cfg", None)
    return of_timm(config) if isinstance(config, Mapping) else None


def _of_torchvision(source: Source) -> Preprocess | None:
    zoo, _, name = source.spec.partition(":")
    if zoo != "torchvision":
        return None
    from torchvision import models  # the source was made by it

    weights = models.get_model_weights(name).DEFAULT
    return of_transforms(weights.transforms(), f"torchvision's {weights}")


def _extents(value: Any) -> tuple[int, int] | None:
    if isinstance(value, Mapping):
        return (int(value["height"]), int(value["width"])) if {"height", "width"} <= set(value) else None
    if isinstance(value, Sequence):
        return (int(value[0]), int(value[-1]))
    return None if value is None else (int(value), int(value))


def _single(value: Any) -> Any:
    """A list of one number as that number."""
    return value[0] if isinstance(value, Sequence) and len(value) == 1 else value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]
