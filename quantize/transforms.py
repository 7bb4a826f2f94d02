"""Transforms of the float model, done before its ranges are measured; they change no more than its last digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..formats.tflite import edit as fb
from .equalization import equalize

TRANSFORMS: dict[str, Callable[[Any], list[str]]] = {"equalize": equalize}
"""Name in a recipe → what edits a ``ModelT`` in place, and gives the names of the results that it changed."""


def transformed(content: bytes, names: Sequence[str]) -> bytes:
    """The flatbuffer with these transforms done, in their order."""
    if not names:
        return content
    model = fb.read(content)
    for name in names:
        TRANSFORMS[name](model)
    fb.drop_unused_buffers(model)
    return fb.write(model)
