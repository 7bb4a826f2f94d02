"""Whether the inputs and outputs of a TFLite file can be told by name: those of its signature, or its tensors' own."""

from __future__ import annotations

from collections import Counter

from ...errors import BadInput
from .summary import TFLiteSummary


def check_names(summary: TFLiteSummary) -> None:
    """Refuse a file whose names don't tell the inputs and outputs of the main graph apart, or leave some out.

    Raises:
        BadInput: names the inputs and outputs.
    """
    graph, key = summary.graphs[0], summary.signature
    counts = [Counter(spec.name for spec in side) for side in (summary.inputs, summary.outputs)]
    twice = dict.fromkeys(repr(name) for side in counts for name, count in side.items() if count > 1)
    named = {*summary.input_tensors.values(), *summary.output_tensors.values()}
    left = [repr(graph.tensors[i].name) for i in (*graph.inputs, *graph.outputs) if i not in named]
    if key == "":
        what = "the file's signature has no key"
    elif twice:
        what = f"several inputs or outputs have one name: {', '.join(twice)}"
    elif left:
        what = f"the signature {key!r} leaves out inputs or outputs of the graph: {', '.join(left)}"
    else:
        return
    remedy = "make the file with a signature that names each input and output, such as TensorFlow's serving_default"
    raise BadInput(what, where=str(summary.path), remedy=remedy)
