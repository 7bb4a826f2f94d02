"""Names of the PyTorch world: source lines, module paths, and what a model's outputs are called."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, NotAvailable
from ..vocabulary import MODULE_KEY, SOURCE_KEY

if TYPE_CHECKING:
    from types import ModuleType

    import onnx_ir as ir
    import torch

FILE_MODULE = "_edgeworthy_file_"
"""Prefix of the names that modules of ``file.py:factory`` are imported under."""

_OURS = tuple(Path(__file__).resolve().parents[1] / room for room in ("source", "export"))
"""Folders of edgeworthy whose frames come before those of the user's code."""
_TORCH = re.compile(r"/(site|dist)-packages/(torch|onnxscript|onnx_ir)/")
_LIBRARY = re.compile(r"/(site|dist)-packages/|/lib/python3\.\d+/|^<")
_EAGER_FRAME = re.compile(r'(?P<stored>Serialized +)?File "(?P<file>[^"]+)", line (?P<line>\d+)')
_TRACED_FRAME = re.compile(r"^(?P<file>.+)\((?P<line>\d+)\): ", re.MULTILINE)

Frame = tuple[str, int]
"""File and line."""


def require_torch() -> ModuleType:
    """The ``torch`` package.

    Raises:
        NotAvailable: it isn't installed.
    """
    try:
        import torch
    except ImportError as error:
        raise NotAvailable(
            "PyTorch is not installed", remedy="pip install 'edgeworthy[torch]'", details=[str(error)]
        ) from error
    return torch


def user_location(error: BaseException) -> str | None:
    """Where in the user's own code ``error`` arose, as ``path:line``; None if no frame of it is the user's.

    Of a chain of exceptions the last one counts, and in it the innermost frame that is neither PyTorch's nor
    the standard library's; frames of other installed packages only if there is no other.
    """
    for link in chain(error):
        if isinstance(link, SyntaxError) and link.filename:
            return shown(link.filename, link.lineno or 0)
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(link.__traceback__)]
        ours = [i for i, (file, _) in enumerate(frames) if Path(file).parent in _OURS]
        if found := _innermost(frames[ours[-1] + 1 if ours else 0 :]):
            return shown(*found)
    return traced_location(error)


def traced_location(error: BaseException) -> str | None:
    """The source line of the node that the exporter was at when it raised."""
    for link in chain(error):
        frame = link.__traceback__
        while frame is not None:
            # Both exporters call it so: an fx node, or one of a TorchScript graph.
            node: Any = frame.tb_frame.f_locals.get("node")
            trace = getattr(node, "meta", {}).get("stack_trace")
            if hasattr(node, "sourceRange"):
                trace = node.sourceRange()
            if isinstance(trace, str) and (found := _innermost(_frames(trace))):
                return shown(*found)
            frame = frame.tb_next
    return None


def shown(file: str, line: int) -> str:
    """``path:line`` for a message: relative to the working folder if it lies in it."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"


def flatten_outputs(result: object, where: str | None = None) -> dict[str, torch.Tensor]:
    """Name → tensor, in the order in which PyTorch flattens ``result``. ``where`` is for errors.

    Keys of mappings and fields of dataclasses name their tensors; a lone tensor is ``output``, those of a
    tuple ``output_0``, ``output_1`` …; nested names are joined by ``_``. None is left out, as exporters do.

    Raises:
        BadInput: there is something else than tensors, or no tensor.
    """
    named = dict(_leaves(result, "", where))
    if not named:
        raise BadInput(
            "the model returns no tensor", where=where, remedy="return a tensor, or a tuple or dict of tensors"
        )
    return named


def stamp(model: ir.Model) -> None:
    """Give every node its ``MODULE_KEY`` and ``SOURCE_KEY``, and drop what the exporters wrote about provenance.

    Theirs holds whole stack traces with this machine's paths. A node without any, such as one that the
    exporter's optimizer made, gets those of a neighbour.
    """
    modules = _modules_by_file()
    nodes = [*model.graph.all_nodes(), *(n for f in model.functions.values() for n in f.all_nodes())]
    known: dict[ir.Node, tuple[str, str]] = {}
    for node in nodes:
        trace = node.metadata_props.get("pkg.torch.onnx.stack_trace") or node.doc_string or ""
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes")
        frame = _innermost(_frames(trace)) or next(iter(reversed(_frames(trace))), None)
        if scopes or frame:
            module = _module_of_scopes(scopes) if scopes else _module_of_name(node.name or "")
            known[node] = module, _stable(*frame, modules) if frame else ""
    for node in nodes:
        module, source = known.get(node) or next((known[n] for n in _neighbours(node) if n in known), ("", ""))
        node.metadata_props.clear()
        node.metadata_props.update({MODULE_KEY: module, SOURCE_KEY: source})
        node.doc_string = None
    _drop_provenance(model)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _innermost(frames: Iterable[Frame]) -> Frame | None:
    """Of frames from the outermost on: the innermost of the user, else of a package that isn't PyTorch."""
    outside = [f for f in frames if not _is_torch(f[0]) and not f[0].startswith("<")]
    users = [f for f in outside if not _LIBRARY.search(f[0])]
    packages = [f for f in outside if "-packages/" in f[0]]
    found = users or packages
    return found[-1] if found else None


def _is_torch(file: str) -> bool:
    torch = sys.modules.get("torch")
    here = bool(torch and torch.__file__ and Path(file).is_relative_to(Path(torch.__file__).parent))
    return here or bool(_TORCH.search(file))


def _frames(trace: str) -> list[Frame]:
    """The frames of a stack trace as an exporter stores it, from the outermost on."""
    traced = [(m["file"], int(m["line"])) for m in _TRACED_FRAME.finditer(trace)]
    if traced:  # the tracer lists its own callers too: the model ends where the tracer begins
        ends = [i for i, (file, _) in enumerate(traced) if file.endswith("torch/jit/_trace.py")]
        return list(reversed(traced[: ends[0]] if ends else traced))
    found = [(m["file"], int(m["line"])) for m in _EAGER_FRAME.finditer(trace) if not m["stored"]]
    return list(reversed(found)) if "<--- HERE" in trace else found  # TorchScript's begin with the innermost


def _module_of_scopes(scopes: str) -> str:
    """``['', 'block', 'block.bn', 'batch_norm']`` → ``block.bn``: the last scope is the operation itself."""
    parts = re.findall(r"'([^']*)'", scopes)
    return parts[-2] if len(parts) > 1 else ""


def _module_of_name(name: str) -> str:
    """``/block/bn/BatchNormalization`` → ``block.bn``, as the TorchScript exporter names nodes."""
    return ".".join(name.split("/")[1:-1])


def _neighbours(node: ir.Node) -> Iterator[ir.Node]:
    """Nodes around ``node``, nearest first, producers before consumers."""
    seen = {node}
    ring = [node]
    while ring:
        following: list[ir.Node] = []
        for at in ring:
            around = [v.producer() for v in at.inputs if v is not None]
            around += [use.node for v in (*at.outputs, *at.inputs) if v is not None for use in v.uses()]
            following += [n for n in around if n is not None and n not in seen]
            seen.update(following)
        yield from following
        ring = list(dict.fromkeys(following))


def _modules_by_file() -> dict[str, str]:
    """Source file → its path from its package's root, for all modules loaded by a name of their own."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = vars(module).get("__file__") if module is not None else None
        if isinstance(file, str) and not name.startswith((FILE_MODULE, "__")):
            found[file] = name.replace(".", "/") + ("/__init__.py" if file.endswith("__init__.py") else ".py")
    return found


def _stable(file: str, line: int, modules: Mapping[str, str]) -> str:
    """``package/file.py:line``: the same on every machine."""
    return f"{modules.get(file, Path(file).name)}:{line}"


def _drop_provenance(model: ir.Model) -> None:
    model.metadata_props.clear()
    for graph in (*model.graphs(), *(f.graph for f in model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for value in (*values, *(v for node in graph for v in node.outputs)):
            value.metadata_props.clear()
            value.doc_string = None


def _leaves(value: object, name: str, where: str | None) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    if value is None:
        return
    if isinstance(value, torch.Tensor):
        yield name or "output", value
        return
    if isinstance(value, Mapping):
        items: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, (tuple, list)):
        items = zip(getattr(value, "_fields", range(len(value))), value, strict=True)
    elif is_dataclass(value) and not isinstance(value, type):
        if type(value) not in torch.utils._pytree.SUPPORTED_NODES:
            torch.export.register_dataclass(type(value))  # else torch.export doesn't look into it
        items = [(f.name, getattr(value, f.name)) for f in fields(value)]
    else:
        raise BadInput(
            f"the model returns a {type(value).__name__}" + (f" as {name!r}" if name else ""),
            where=where,
            remedy="return tensors, or tuples and dicts of tensors; a module around the model can pick them",
        )
    for key, item in items:
        inner = str(key) if name or not isinstance(key, int) else f"output_{key}"
        yield from _leaves(item, f"{name}_{inner}" if name else inner, where)
