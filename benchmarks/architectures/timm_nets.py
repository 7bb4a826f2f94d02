"""Classifiers of images of the ``timm`` package, in small sizes; ``timm_nets:NAME`` makes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from .architecture import Architecture, normal
from .vision import SIZE

_FOUR: dict[str, Any] = {"depths": (1, 1, 2, 1), "dims": (16, 32, 48, 64)}
_NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "xcit": ("xcit_nano_12_p8_224", {"img_size": SIZE, "depth": 2, "embed_dim": 64, "num_heads": 4}),
    "swin_v2_cr": ("swinv2_cr_tiny_224", {"img_size": SIZE, "embed_dim": 24, "depths": (1, 1, 2, 1),
                                          "num_heads": (1, 2, 4, 8)}),
    "edgenext": ("edgenext_xx_small", _FOUR),
    "starnet": ("starnet_s050", {"depths": (1, 1, 2, 1), "base_dim": 16}),
    "mambaout": ("mambaout_femto", _FOUR),
    "fastvit": ("fastvit_t8", {"layers": (1, 1, 2, 1), "embed_dims": (24, 48, 96, 192)}),
    "hrnet": ("hrnet_w18_small", {}),
}  # fmt: skip
"""Name → timm's name of it, and what it is made with."""


def _make(name: str, options: Mapping[str, Any]) -> nn.Module:
    import timm

    module: nn.Module = timm.create_model(name, num_classes=16, **options)
    return module


ARCHITECTURES = {
    name: Architecture("vision", partial(_make, kind, options), {"x": normal(3, SIZE, SIZE)})
    for name, (kind, options) in _NETS.items()
}


def spec(name: str) -> str:
    """An architecture as a source for ``edgeworthy run``."""
    return f"{__name__}:{name}"


def __getattr__(name: str) -> Callable[[], nn.Module]:
    if name not in ARCHITECTURES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return ARCHITECTURES[name].module
