"""All architectures of the zoo by name; ``catalogue:NAME`` makes one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from torch import nn

from edgeworthy.samples import seeding

from . import (
    architecture,
    decoders,
    dense,
    generative,
    geometry,
    multimodal,
    pretrained,
    seq2seq,
    sequences,
    speech,
    text,
    vision,
)
from .architecture import Architecture

_FILES = (vision, text, decoders, seq2seq, speech, dense, multimodal, generative, sequences, geometry)
_SHARED = (architecture, pretrained, seeding)

ARCHITECTURES: dict[str, Architecture] = {name: one for file in _FILES for name, one in file.ARCHITECTURES.items()}

TRACED = ("crnn_ctc", "encodec_decoder", "encodec_encoder")
"""Those that PyTorch's TorchScript exporter is for: the other one finds pads in tensors, or gets an LSTM's extents
wrong."""


def spec(name: str) -> str:
    """An architecture as a source for ``edgeworthy run``."""
    return f"{__name__}:{name}"


def fingerprint(name: str) -> str:
    """Changes with the code that makes an architecture, its weights and its inputs."""
    own = next(file for file in _FILES if name in file.ARCHITECTURES)
    return hashlib.sha256(b"".join(map(_code, (own, *_SHARED)))).hexdigest()[:16]


def _code(module: ModuleType) -> bytes:
    return Path(str(module.__file__)).read_bytes()


def __getattr__(name: str) -> Callable[[], nn.Module]:
    if name not in ARCHITECTURES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return ARCHITECTURES[name].module
