"""Models that come with scales of their own."""

from __future__ import annotations

from ..errors import BadInput
from ..source.load import Source


def is_quantized(source: Source) -> bool:
    """Whether an ONNX source is quantized already; of a PyTorch source its export tells."""
    from ..formats.onnx.summary import summarize

    return source.kind == "onnx" and source.path is not None and summarize(source.path).quantizes


def quantized_already(spec: str) -> BadInput:
    """The error of quantizing what comes with scales of its own."""
    return BadInput(
        "the model is quantized already: it has scales of its own",
        where=spec,
        remedy="convert makes an int8 file of it, with these scales; to quantize it otherwise, give the float model",
    )
