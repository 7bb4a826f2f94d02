"""What a file is, before anything in it is looked at closely: its first bytes, its versions, its domains."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx

from ...errors import BadInput
from ...files import absent


def check_file(path: Path) -> None:
    """Hold a file's first bytes against what is often mistaken for an ONNX file.

    Raises:
        BadInput: it is no file, can't be read, or is something else.
    """
    if path.is_dir():
        raise BadInput("this is a folder, not an ONNX file", where=str(path), remedy="name the .onnx file in it")
    if not path.is_file():
        raise absent(path, "check the path")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise BadInput(f"can't read the file: {error.strerror}", where=str(path), remedy="make it readable") from error
    if not head:
        raise BadInput("the file is empty", where=str(path), remedy="copy or export it again")
    if head.startswith(b"version https://git-lfs"):
        raise BadInput("this is a Git LFS pointer, not the model", where=str(path), remedy="run `git lfs pull`")
    if head.startswith(b"PK\x03\x04"):
        raise BadInput(
            "this is a zip archive, not an ONNX file",
            where=str(path),
            remedy="PyTorch files are named .pt2 (torch.export) or .ts.pt (TorchScript)",
        )
    if _is_text(head):
        raise BadInput("this is a text file, not an ONNX model", where=str(path), remedy="export the model again")


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)


def check_header(proto: onnx.ModelProto, path: Path) -> None:
    """Check that a file has a graph with outputs, of opsets that the installed ``onnx`` knows.

    Raises:
        BadInput: it hasn't.
    """
    opsets = {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}
    if not proto.ir_version or not opsets or not (proto.graph.node or proto.graph.output):
        raise BadInput(
            "not an ONNX model: it has no IR version, no opset or no graph",
            where=str(path),
            remedy="give a file that torch.onnx.export or another exporter wrote",
        )
    known = onnx.defs.onnx_opset_version()
    newest = opsets.get("ai.onnx", 0)
    if newest > known or proto.ir_version > onnx.IR_VERSION:
        raise BadInput(
            f"the model is of opset {newest} (IR version {proto.ir_version}); the installed onnx "
            f"{onnx.__version__} knows opset {known} (IR version {onnx.IR_VERSION}) at most",
            where=str(path),
            remedy=f"export with --opset {known} or lower, or run `pip install --upgrade onnx`",
        )
    if min(opsets.values()) < 1:
        raise BadInput(
            f"the model is of opset {min(opsets.values())}, and the first is 1",
            where=str(path),
            remedy="export the model again; the file may have been edited",
        )
    if not proto.graph.output:
        raise BadInput("the graph has no outputs", where=str(path), remedy="export the model again")


def name_own_domain(imports: Iterable[onnx.OperatorSetIdProto], nodes: Iterable[onnx.NodeProto]) -> None:
    """ONNX's own domain has two names, the empty one and ``ai.onnx``; from here on it has the first."""
    for entry in imports:
        if entry.domain == "ai.onnx":
            entry.domain = ""
    for node in nodes:
        if node.domain == "ai.onnx":
            node.domain = ""
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                name_own_domain((), graph.node)


def type_passed_inputs(graph: onnx.GraphProto) -> None:
    """An output that is an input has that input's type, whatever the file says of it."""
    inputs = {value.name: value for value in graph.input}
    for output in graph.output:
        if output.name in inputs:
            output.type.CopyFrom(inputs[output.name].type)
