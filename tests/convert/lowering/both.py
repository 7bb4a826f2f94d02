"""One graph in ONNX's text form, as both artifacts compute it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx.parser

from ...conformance.adapters import RUNNERS, convert_to

Arrays = dict[str, Any]


def model_of(graph: str, opset: int = 28, **domains: int) -> onnx.ModelProto:
    """The model of a graph as text; ``domains`` are others than ONNX's own, with ``_`` for ``.``."""
    opsets = [onnx.helper.make_opsetid(name.replace("_", "."), version) for name, version in domains.items()]
    proto = onnx.parser.parse_graph(graph)
    return onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", opset), *opsets], ir_version=10)


def both(model: onnx.ModelProto, feeds: list[Arrays], folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(Artifact, outputs) for each of ``feeds`` in turn, artifact by artifact."""
    for artifact, run in RUNNERS.items():
        (folder / artifact).mkdir(exist_ok=True)
        path = convert_to(artifact, model.SerializeToString(), folder / artifact)
        for arrays in feeds:
            yield artifact, run(path, arrays)
