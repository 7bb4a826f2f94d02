"""``--for``: the nodes that a target would refuse, before anything is converted, and again in the files that are made.
``--max-runtime 2.14`` is ``--for tflite-2.14``.

Devices (``devices.toml``) that ``--for`` names and that have no rules, such as ``x86``, stand for many targets: they
choose forms and refuse nothing.

Before, it is the operators that the lowering emits, in int8 where the target computes integers and the quantizer has a
rule; MLIR then fuses some of them, and only a file has versions of operators. So the files are held against the same
rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import devices
from ..artifact import Artifact, OnnxModel, TensorSpec, TFLiteModel
from ..config import ConvertTable, PreflightTable
from ..errors import CheckFailed
from ..formats.tflite.operations import Operand, Operation, as_int8, read
from ..formats.tflite.releases import least_runtime, release_name, releases
from ..quantize.exclusion import matches
from ..quantize_tables import QuantizeTable
from ..schemes import SCHEMES
from ..targets.rules import NodeRefusal, TargetRules, find, refused
from ..targets.rules import names as rules_there_are
from .origins import Origins

Refusals = Mapping[str, list[NodeRefusal]]
"""Target → the nodes that it would refuse."""

_FLOAT = "float32"


def of_graph(
    model: OnnxModel,
    targets: Iterable[str],
    conversion: ConvertTable | None = None,
    *,
    table: QuantizeTable | None = None,
    schemes: Sequence[str] = (),
) -> Refusals:
    """What targets would refuse of the files that an ONNX file becomes.

    Args:
        conversion: How it will be converted.
        table: How it will be quantized.
        schemes: By which: where one makes integers, targets that compute floats too are asked of both.

    Raises:
        BadInput: there are no rules of this name.
        UnsupportedNodes: some nodes can't be converted at all.
    """
    from ..convert import operations

    rules, options = _rules(targets), conversion or ConvertTable()
    if not rules:
        return {}
    found = operations(model, io_layout=options.io_layout, unroll=options.unroll, targets=tuple(targets))
    quantized = _quantized(found, model, table or QuantizeTable())
    return {name: _of_either(r, found, quantized, schemes) for name, r in rules.items()}


def of_file(path: Path, targets: Iterable[str], scheme: str | None = None, model: Path | None = None) -> Refusals:
    """What targets would refuse of a TFLite file.

    Args:
        scheme: What it is quantized by: targets that aren't meant for that are left out.
        model: The ONNX file that it was made from, for the PyTorch lines.

    Raises:
        BadInput: there are no rules of this name.
    """
    rules = _rules(targets)
    found = _traced(read(path), model)
    return {name: refused(r, found) for name, r in rules.items() if scheme is None or r.takes_scheme(scheme)}


def of_float_file(
    model: TFLiteModel, targets: Iterable[str], *, table: QuantizeTable | None = None, schemes: Sequence[str] = ()
) -> Refusals:
    """What targets would refuse of a float TFLite file; those that compute integers, once it is quantized.

    Args:
        table, schemes: As in ``of_graph``.

    Raises:
        BadInput: there are no rules of this name.
    """
    rules = _rules(targets)
    found = read(model.path)
    quantized = _quantized(found, model, table or QuantizeTable())
    return {name: _of_either(r, found, quantized, schemes) for name, r in rules.items()}


def names() -> dict[str, str]:
    """What ``--for`` takes, and what it is."""
    return {**devices.titles()} | {name: find(name).title for name in rules_there_are()}


def _rules(targets: Iterable[str]) -> dict[str, TargetRules]:
    """Target → its rules, of those that have some.

    Raises:
        BadInput: there is neither a target nor a device of this name.
    """
    refusing = rules_there_are()
    known = {name: title for name, title in devices.titles().items() if name not in refusing}
    return {name: find(name, also=known) for name in targets if name not in known}


def check(found: Refusals, table: PreflightTable, where: str, file: Path | None = None) -> None:
    """Refuse to go on with nodes that a target doesn't take.

    Args:
        where: Of the error.
        file: The TFLite file that was asked of, if it is one: the error names the oldest runtime that runs it.

    Raises:
        CheckFailed: there are some, and ``allow`` doesn't name them.
    """
    left = {name: [r for r in refusals if not _allowed(r.operation, table.allow)] for name, refusals in found.items()}
    left = {name: refusals for name, refusals in left.items() if refusals}
    nodes = {str(refusal.operation) for refusals in left.values() for refusal in refusals}
    if not nodes:
        return
    count = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}"
    remedy = "rewrite them, name those that may run elsewhere with --allow, or leave --for out"
    if left.keys() <= set(map(release_name, releases())):
        least = least_runtime(file) if file else None
        remedy = f"rewrite them, or ask for --max-runtime {least.number}" if least and least.release else "rewrite them"
    raise CheckFailed(
        f"{count} would be refused by {' and '.join(left)}",
        where=where,
        details=list(dict.fromkeys(f"{name}: {refusal}" for name, refusals in left.items() for refusal in refusals)),
        remedy=remedy,
    )


def _of_either(
    rules: TargetRules, floats: Sequence[Operation], integers: Sequence[Operation], schemes: Sequence[str]
) -> list[NodeRefusal]:
    """What is refused of a model in float, or in integers, or of either; each node once.

    Of several schemes, a TFLite runtime is asked of each one's own file.
    """
    found = [] if rules.integer else refused(rules, floats)
    static = [SCHEMES[name].method == "static" for name in schemes]
    if rules.integer or (static and (all if rules.versions else any)(static)):
        named = {str(refusal.operation) for refusal in found}
        found += [refusal for refusal in refused(rules, integers) if str(refusal.operation) not in named]
    return found


def _stays_float(operation: Operation, table: QuantizeTable) -> bool:
    return _allowed(operation, table.stays_float) or (bool(table.only) and not _allowed(operation, table.only))


def _allowed(operation: Operation, patterns: Sequence[str]) -> bool:
    paths = [operation.module] if operation.module else []
    return any(matches(pattern, operation.op, operation.name, paths) for pattern in patterns)


def _quantized(operations: Sequence[Operation], model: Artifact, table: QuantizeTable) -> list[Operation]:
    """Operators as quantization leaves them, and those that it puts at the ends."""
    inner = [o if _stays_float(o, table) else as_int8(o) for o in operations]
    if table.io_dtype != _FLOAT:
        return inner
    begin = [_end("QUANTIZE", spec, _FLOAT, "int8") for spec in model.inputs if spec.dtype == _FLOAT]
    end = [_end("DEQUANTIZE", spec, "int8", _FLOAT) for spec in model.outputs if spec.dtype == _FLOAT]
    return [*begin, *inner, *end]


def _end(op: str, spec: TensorSpec, before: str, after: str) -> Operation:
    shape = tuple(d if isinstance(d, int) else None for d in spec.shape)
    return Operation(op, spec.name, (Operand(spec.name, before, shape),), (Operand(spec.name, after, shape),))


def _traced(operations: Sequence[Operation], model: Path | None) -> list[Operation]:
    """Operators of a file with the PyTorch modules and lines of the graph that it was made from."""
    if model is None:
        return list(operations)
    origins = Origins(model)
    found = []
    for operation in operations:
        module, source = origins.of(operation.name)
        found.append(replace(operation, module=module, source=source, onnx=origins.op_of(operation.name)))
    return found
