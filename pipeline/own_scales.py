"""Models that come with scales of their own."""

from __future__ import annotations

from ..errors import BadInput
from ..source.load import Source


def is_quantized(source: Source) -> bool:
    """Whether a source is seen to be quantized already; of a module without a graph its export tells."""
    from ..formats.onnx.summary import summarize

    if source.kind == "onnx" and source.path is not None:
        found = summarize(source.path)
        return found.quantizes or found.ranged
    graph = getattr(source.program if source.program is not None else source.module, "graph", None)
    # A TorchScript graph has no list of nodes under this name.
    return any("quantize_per_tensor" in str(node.target) for node in getattr(graph, "nodes", ()) if _calls(node))


def quantized_already(spec: str) -> BadInput:
    """The error of quantizing what comes with scales of its own."""
    return BadInput(
        "the model is quantized already: it has scales of its own",
        where=spec,
        remedy="convert makes a file of its integers, with these scales; to quantize it otherwise, give the float one",
    )


def _calls(node: object) -> bool:
    """Whether a node of a graph of PyTorch's calls an operator."""
    return getattr(node, "op", None) == "call_function"
