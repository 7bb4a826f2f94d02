"""An ONNX file in an older opset, for converters that read no newer one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import CheckFailed

if TYPE_CHECKING:
    import onnx

_OURS = ("", "ai.onnx")


def lower_opset(path: Path, opset: int) -> None:
    """Put a file into an older opset, if it is of a newer one.

    ONNX's own converter does it; what it forgets is done after it: attributes that are newer than the operator go, as
    long as they say what the older one does anyway.

    Raises:
        CheckFailed: the graph has something that the older opset can't say.
    """
    import onnx
    from onnx import version_converter

    from ...formats.onnx.nesting import graphs_of

    proto = onnx.load(path)
    used = next((entry.version for entry in proto.opset_import if entry.domain in _OURS), 0)
    if used <= opset:
        return
    try:
        older = version_converter.convert_version(proto, opset)
        for graph in graphs_of(older.graph):
            for node in graph.node:
                _drop_newer(node, opset, used)
    except (RuntimeError, ValueError, version_converter.ConvertError) as error:
        raise CheckFailed(
            f"it reads ONNX up to opset {opset}, and the graph of opset {used} can't be said in it",
            where=path.name,
            details=str(error).splitlines()[-1:],
            remedy=f"export the model with --opset {opset} --exporter torchscript",
        ) from error
    onnx.save(older, path)


def _drop_newer(node: onnx.NodeProto, opset: int, used: int) -> None:
    """Take off the attributes that the older operator lacks, where they are the newer one's defaults.

    Raises:
        ValueError: one says something else.
    """
    from onnx import defs, helper

    if node.domain not in _OURS or not defs.has(node.op_type, node.domain):
        return
    known, newer = (defs.get_schema(node.op_type, version, node.domain).attributes for version in (opset, used))
    for attribute in [a for a in node.attribute if a.name not in known]:
        told = newer.get(attribute.name)
        default = told.default_value if told is not None and told.default_value.type else None
        if default is None or helper.get_attribute_value(attribute) != helper.get_attribute_value(default):
            raise ValueError(f"{node.op_type} {node.name!r} has {attribute.name}, which is newer")
        node.attribute.remove(attribute)
