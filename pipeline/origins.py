"""Where tensors of a TFLite file come from: PyTorch module and source line, as the ONNX graph's nodes carry them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..quantize.exclusion import module_of
from ..vocabulary import MODULE_KEY, SOURCE_KEY

_OUTPUT = re.compile(r"serving_default_(.*)_output")
"""What a tensor that is an output is called after."""


class Origins:
    """Module and line by tensor.

    Args:
        model: The ONNX file that the TFLite file was made from; None: nothing is known.
    """

    def __init__(self, model: Path | None) -> None:
        from ..formats.onnx.file import read_onnx
        from ..formats.onnx.names import metadata_by_name

        graph = None if model is None else read_onnx(model)
        nodes = {} if graph is None else metadata_by_name(graph)
        made = [] if graph is None else graph.graph.all_nodes()
        self._ops = {str(value.name): node.op_type for node in made for value in node.outputs}
        self._modules, self._lines = (
            {name: data.get(key, "") for name, data in nodes.items()} for key in (MODULE_KEY, SOURCE_KEY)
        )

    def __bool__(self) -> bool:
        """Whether the module of any node is known."""
        return any(self._modules.values())

    def of(self, tensor: str) -> tuple[str, str]:
        """Module and source line of a tensor, each empty where it isn't known."""
        return _told(tensor, self._modules), _told(tensor, self._lines)

    def op_of(self, tensor: str) -> str:
        """The ONNX operator that a tensor is a result of, or of a part of it; empty where it isn't known."""
        return _told(tensor, self._ops)


def parts_of(tensor: str) -> list[str]:
    """The values that a tensor's name is made of, as ``relu`` and ``conv`` of ``relu;conv``."""
    return [match[1] if (match := _OUTPUT.fullmatch(part)) else part for part in tensor.split(";")]


def _told(tensor: str, told: Mapping[str, str]) -> str:
    """Of what is fused, of what computes the most: MLIR names the convolution after its activation."""
    return next((found for part in reversed(parts_of(tensor)) if (found := module_of(part, told))), "")
