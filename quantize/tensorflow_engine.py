"""TensorFlow's own post-training quantizer, from the SavedModel, in a process of its own.

It takes min/max over all samples, with rounding rules and fusions of its own. What it makes is called as TensorFlow
calls it; ``adoption`` makes it ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NotAvailable
from ..formats.saved_model import argument_names
from ..schemes import Scheme, get_scheme
from ..vocabulary import SIGNATURE
from ..workers.serve import Commands, Tell
from .range_methods import AUTO, MIN_MAX
from .recipe import Recipe

if TYPE_CHECKING:
    from ..artifact import Array


@dataclass(frozen=True)
class TensorFlowRequest:
    """What to make of which SavedModel, and where to."""

    saved_model: Path
    output: Path
    scheme: str
    io_dtype: str


def refuses(recipe: Recipe) -> str:
    """Why TensorFlow can't make what a recipe asks for; empty if it can."""
    scheme = get_scheme(recipe.scheme)
    if not _does(scheme):
        return f"TensorFlow's quantizer has no {scheme.name}"
    if recipe.rules or recipe.only:
        return "TensorFlow's quantizer takes no rules for single operators"
    if recipe.ranges not in (AUTO, MIN_MAX):
        return f"TensorFlow's quantizer takes ranges by {MIN_MAX} alone"
    if recipe.weight_ranges == "octav" or recipe.bias_correction == "on":
        return "TensorFlow's quantizer clips no weights and corrects no biases"
    return ""


def _does(scheme: Scheme) -> bool:
    if scheme.method == "cast":
        return scheme.weight_bits == 16
    return scheme.method in ("static", "dynamic") and scheme.weight_bits == 8 and scheme.granularity == "channel"


def start(tell: Tell, request: TensorFlowRequest) -> Commands:
    """``calibrate`` takes a feed in the model's own names; ``quantize`` writes the file and gives TensorFlow's name.

    Raises:
        NotAvailable: TensorFlow isn't installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise NotAvailable(
            "the engine tensorflow needs TensorFlow, which is not installed",
            where="--engine",
            remedy="pip install 'edgeworthy[tensorflow]', or use --engine ai-edge",
        ) from error
    job = _Job(tf, request)
    return {"calibrate": job.calibrate, "quantize": job.quantize}


class _Job:
    """Samples wait on the disk: TensorFlow asks for them when it converts, and may do so twice."""

    def __init__(self, tf: Any, request: TensorFlowRequest) -> None:
        self._tf, self._request = tf, request
        self._folder = TemporaryDirectory()
        self._count = 0

    def calibrate(self, feed: dict[str, Array]) -> None:
        named = argument_names(feed)
        arrays = {named[name]: array for name, array in feed.items()}
        np.savez(self._path(self._count), **arrays)  # type: ignore[arg-type]
        self._count += 1

    def quantize(self) -> str:
        tf, scheme = self._tf, get_scheme(self._request.scheme)
        made = tf.lite.TFLiteConverter.from_saved_model(str(self._request.saved_model), signature_keys=[SIGNATURE])
        made.optimizations = [tf.lite.Optimize.DEFAULT]
        if scheme.method == "cast":
            made.target_spec.supported_types = [tf.float16]
        if scheme.method == "static":
            kernels = tf.lite.OpsSet
            wide = kernels.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            whole = wide if scheme.activation_bits == 16 else kernels.TFLITE_BUILTINS_INT8
            made.target_spec.supported_ops = [whole, kernels.TFLITE_BUILTINS]  # what it can't do may stay float
            made.representative_dataset = self._samples
            made.inference_input_type = made.inference_output_type = tf.dtypes.as_dtype(self._request.io_dtype)
        self._request.output.write_bytes(made.convert())
        self._folder.cleanup()
        return f"TensorFlow {tf.__version__}"

    def _samples(self) -> Iterator[tuple[str, dict[str, Array]]]:
        for index in range(self._count):
            with np.load(self._path(index)) as arrays:
                yield SIGNATURE, dict(arrays)

    def _path(self, index: int) -> Path:
        return Path(self._folder.name, f"{index}.npz")
