"""Floats in and out of a file that is quantized, in one way for every runtime of TFLite files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, Feeds, TensorSpec
from ..errors import BadInput
from ..formats.tflite.summary import STEPS
from .session import ANOTHER_FILE, checked

if TYPE_CHECKING:
    from ..artifact import Array

Tensors = Mapping[str, Mapping[str, Any]]
"""Name → ``dtype``, and the ``scales`` and ``zero_points`` of what is quantized, as a backend tells them."""


class QuantizedSignature:
    """The inputs and outputs that an artifact names, as its file has them.

    A tensor that the file quantizes to int8, uint8 or int16 takes float32 feeds too: they are quantized here with
    the tensor's scale and zero point, and then the quantized outputs are given back as float32. When every
    quantized input is fed in its own dtype, outputs come out raw.

    Raises:
        BadInput: the file's signature lacks a name of the artifact's.
    """

    def __init__(self, artifact: Artifact, inputs: Tensors, outputs: Tensors) -> None:
        missing = [s.name for s in artifact.inputs if s.name not in inputs]
        missing += [s.name for s in artifact.outputs if s.name not in outputs]
        if missing:
            raise BadInput(
                f"the file's signature lacks {missing}; it has {[*inputs, *outputs]}",
                where=str(artifact.path),
                remedy=ANOTHER_FILE,
            )
        self._artifact = artifact
        self.inputs = {s.name: inputs[s.name] for s in artifact.inputs}
        self.outputs = {s.name: outputs[s.name] for s in artifact.outputs}

    def encode(self, feeds: Feeds) -> tuple[dict[str, Array], bool]:
        """The feeds in the file's dtypes, and whether quantized outputs shall come back as float."""
        quantized = {name for name, tensor in self.inputs.items() if _step(tensor) is not None}
        floats = {n for n in quantized & set(feeds) if np.asarray(feeds[n]).dtype == np.float32}
        specs = [
            TensorSpec(s.name, "float32" if s.name in floats else self.inputs[s.name]["dtype"], s.shape)
            for s in self._artifact.inputs
        ]
        arrays = checked(feeds, specs, where=str(self._artifact.path))
        for name in floats:
            arrays[name] = quantize(arrays[name], self.inputs[name])
        return arrays, bool(floats) or not quantized

    def decode(self, arrays: Feeds, dequantized: bool) -> dict[str, Array]:
        """The outputs that the artifact names, in its order, as float where they are to be."""
        found = {name: arrays[name] for name in self.outputs}
        return {n: dequantize(a, self.outputs[n]) for n, a in found.items()} if dequantized else found


def quantize(array: Array, tensor: Mapping[str, Any]) -> Array:
    """round(x / scale) + zero point, saturating (TFLite quantization spec)."""
    found = _step(tensor)
    if found is None:
        return array
    scale, zero = found
    limits = np.iinfo(tensor["dtype"])
    steps = np.rint(array.astype(np.float64) / scale) + zero
    result: Array = np.clip(steps, limits.min, limits.max).astype(tensor["dtype"])
    return result


def dequantize(array: Array, tensor: Mapping[str, Any]) -> Array:
    """(q - zero point) · scale, in float32."""
    found = _step(tensor)
    if found is None:
        return array
    scale, zero = found
    return (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def _step(tensor: Mapping[str, Any]) -> tuple[float, int] | None:
    """(scale, zero point) of a tensor quantized as a whole."""
    scales = tensor.get("scales", ())
    if tensor["dtype"] not in STEPS or len(scales) != 1:
        return None
    return float(scales[0]), int(tensor["zero_points"][0])
