"""A TFLite file by PyTorch module, its transposes, and what XNNPACK leaves of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..convert.layout.report import OWN
from ..errors import BadInput, EdgeworthyError
from ..formats.tflite.arithmetic import flops_of
from ..formats.tflite.operations import Operand, Operation, read
from ..formats.tflite.summary import TFLiteSummary, describe
from ..targets.leftover import name, partitions
from ..targets.xnnpack import sizes_of, why_left
from .anatomy import Anatomy, Delegated, Island, LeftNode, ModuleShare, TransposeFound
from .origins import Origins, parts_of

if TYPE_CHECKING:
    from ..validate.made import TransposeResult
    from ..validate.results import Report

_INTO, _OUT_OF = ((0, 2, 3, 1), (0, 2, 3, 4, 1)), ((0, 3, 1, 2), (0, 4, 1, 2, 3))
_NHWC = {
    "input": "`edgeworthy convert --io-layout nhwc` of the model, and feed it channels-last",
    "output": "`edgeworthy convert --io-layout nhwc` of the model, and read it channels-last",
}
_IN_STEPS = ((1, 0), (1, 0, 2), (1, 0))
"""The transposes of the form ``swap_by_places``."""
_RECODES = ("CAST", "DEQUANTIZE", "QUANTIZE")
"""What may stand between the model's ends and the first or last transpose of a quantized file."""
_MOST_ISLANDS = 64
"""Of which each is counted what it divides."""


def dissect(path: Path, summary: TFLiteSummary) -> Anatomy:
    """Take a file apart. PyTorch's names come from the report beside it, if the file is one of that run's.

    Raises:
        BadInput: as ``describe``.
    """
    report = _report_of(path)
    origins = Origins(_graph_of(report, path.parent))
    operators = [replace(op, onnx=origins.op_of(op.name)) for op in read(path)]
    places = {id(op): origins.of(op.name) for op in operators}
    split, source = (_dotted, "the run's report") if origins else (_scopes, "the names of tensors")
    paths = [split(places[id(op)][0] if origins else op.name) for op in operators]
    modules = _modules(operators, paths, "." if origins else "/")
    main = operators[: len(summary.graphs[0].ops)]
    known = report.conversion.layout.remaining if report and report.conversion and report.conversion.layout else []
    return Anatomy(
        modules=modules,
        modules_from=source if len(modules) > 1 else "",
        transposed=[_transpose(op, main, places[id(op)], known, summary) for op in main if op.op == "TRANSPOSE"],
        xnnpack=_xnnpack(path, summary, main, [places[id(op)] for op in main]),
        extents_vary=any(None in t.shape for op in operators for t in op.tensors),
    )


def _report_of(path: Path) -> Report | None:
    """The report beside a file, if it speaks of this very file."""
    from ..formats.model_files import sha256
    from ..validate.report_file import read as read_report

    try:
        report = read_report(path.parent)
    except BadInput:
        return None
    ours = next((a for a in report.artifacts if not a.given and a.path == path.name), None)
    return report if ours is not None and ours.sha256 == sha256(path) else None


def _graph_of(report: Report | None, folder: Path) -> Path | None:
    """The ONNX file that a run converted."""
    if report is None:
        return None
    exported, given = folder / "model.onnx", Path(report.model.spec)
    return exported if exported.is_file() else given if given.suffix == ".onnx" and given.is_file() else None


# -- modules ------------------------------------------------------------------------------------------


def _dotted(module: str) -> tuple[str, ...]:
    return tuple(filter(None, module.split(".")))


def _scopes(tensor: str) -> tuple[str, ...]:
    """The scopes of a tensor's name, as ``encoder/layer_1`` of ``/encoder/layer_1/MatMul;other``."""
    scoped = next((part for part in parts_of(tensor) if "/" in part), "")
    return tuple(filter(None, scoped.split("/")[:-1]))  # TorchScript's begin with one


def _modules(operators: Iterable[Operation], paths: Iterable[tuple[str, ...]], mark: str) -> list[ModuleShare]:
    """Every module before those below it, in the order of their first operators."""
    found: dict[tuple[str, ...], ModuleShare] = {}
    stored: set[int] = set()
    for op, path in zip(operators, paths, strict=True):
        fresh = {t.buffer: t.nbytes for t in op.inputs if t.buffer and t.buffer not in stored}
        stored |= {*fresh}
        for depth in range(len(path) + 1):
            share = found.setdefault(
                path[:depth],
                ModuleShare(module=mark.join(path[:depth]), depth=depth, ops={}, weight_bytes=0, flops=0),
            )
            share.ops[op.op] = share.ops.get(op.op, 0) + 1
            share.weight_bytes += sum(fresh.values())
            share.flops += flops_of(op)
    below: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for path in filter(None, found):
        below.setdefault(path[:-1], []).append(path)
    order: list[ModuleShare] = []
    waiting: list[tuple[str, ...]] = [()] if found else []
    while waiting:
        path = waiting.pop()
        order.append(found[path])
        waiting += reversed(below.get(path, []))
    return order


# -- transposes ---------------------------------------------------------------------------------------


def _transpose(
    op: Operation,
    graph: Sequence[Operation],
    place: tuple[str, str],
    known: Sequence[TransposeResult],
    summary: TFLiteSummary,
) -> TransposeFound:
    """``known``: what the layout step said when the file was made; else it is what stands before and behind."""
    names = parts_of(op.name)
    said = next((turn.why for turn in known if turn.tensor in names), "")
    before = _giver(op.x, graph)
    readers = [other for other in graph if any(t is op.y for t in other.inputs)]
    results = {summary.graphs[0].tensors[i].name for i in summary.graphs[0].outputs}
    moved = f"from one order of axes to another, {list(op.permutation)},"
    if op.permutation in _INTO:
        moved = "into channels-last"
    elif op.permutation in _OUT_OF:
        moved = "out of channels-last"
    elif _is_step(op, graph):
        moved = "through one of three steps that swap its last axes, as a shuffle of channels does,"
    why = [f"what {before.op if before else 'the input'} gives goes {moved}"]
    why += [f"for {' and '.join(dict.fromkeys(other.op for other in readers))}"] if readers else []
    why += ["for the output"] if op.y.name in results else []
    begins = before is None or (before.op in _RECODES and _giver(before.x, graph) is None)
    ends = all(other.op in _RECODES for other in readers) and {t.y.name for t in readers or [op]} <= results
    edge = "input" if begins and op.permutation in _INTO else "output" if ends and op.permutation in _OUT_OF else ""
    return TransposeFound(
        tensor=op.name,
        bytes=op.y.size * _itemsize(op.y),
        axes=list(op.permutation),
        why=": ".join(filter(None, (said, " ".join(why)))) if said in ("", OWN) else said,
        instead=_NHWC.get(edge, ""),
        module=place[0],
        source=place[1],
    )


def _is_step(op: Operation, graph: Sequence[Operation]) -> bool:
    """Whether a transpose is of a row of such, with nothing but reshapes between them, that swaps axes in steps."""
    moves = [other for other in graph if other.op in ("RESHAPE", "TRANSPOSE")]
    row = [op]
    while (before := _giver(row[0].x, moves)) is not None:
        row.insert(0, before)
    while (after := next((other for other in moves if other.x is row[-1].y), None)) is not None:
        row.append(after)
    steps = [other.permutation for other in row if other.op == "TRANSPOSE"]
    return any(steps[i : i + 3] == [*_IN_STEPS] for i in range(len(steps)))


def _giver(operand: Operand, graph: Sequence[Operation]) -> Operation | None:
    """What computes a tensor; None for an input of the model."""
    return next((op for op in graph if any(t is operand for t in op.outputs)), None)


def _itemsize(operand: Operand) -> int:
    return np.dtype(operand.dtype).itemsize if hasattr(np, operand.dtype) else 1


# -- XNNPACK ------------------------------------------------------------------------------------------


def _xnnpack(
    path: Path, summary: TFLiteSummary, graph: Sequence[Operation], places: Sequence[tuple[str, str]]
) -> Delegated:
    from ..targets.worker import Worker

    try:
        with Worker("tflite", describe(path, summary.scheme)) as worker:
            receipt, runtime = worker.receipt, f"LiteRT {worker.version}"
    except EdgeworthyError as error:
        return Delegated(runtime="LiteRT", failure=error.what)
    left, sizes = _found(receipt.fallback, summary), sizes_of(graph)
    parts = partitions(summary.graphs[0], left)
    between = [sorted(part) for part in parts if part & left]
    count = len(parts) - len(between)
    counted = count == receipt.partitions and len(left) == len(receipt.fallback) and len(between) <= _MOST_ISLANDS

    def without(part: Sequence[int]) -> int:
        rest = left - {*part}
        return sum(not p & rest for p in partitions(summary.graphs[0], rest))

    def node(index: int) -> LeftNode:
        op, (module, source) = graph[index], places[index]
        why, instead = why_left(op, sizes)
        return LeftNode(op=op.op, tensor=op.name, module=module, source=source, why=why, instead=instead)

    return Delegated(
        runtime=runtime,
        nodes=receipt.nodes or 0,
        delegated=receipt.delegated or 0,
        partitions=receipt.partitions or 0,
        islands=[
            Island(nodes=[node(i) for i in part], partitions=without(part) if counted else None) for part in between
        ],
    )


def _found(fallback: Sequence[str], summary: TFLiteSummary) -> set[int]:
    """The operators of the main graph that a receipt names, in their order."""
    graph, found, wanted = summary.graphs[0], set(), Counter(fallback)
    for index, op in enumerate(graph.ops):
        called = name(graph, op)
        if wanted[called]:
            wanted[called] -= 1
            found.add(index)
    return found
