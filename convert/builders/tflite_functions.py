"""The functions of a TFLite module: the main one, and the bodies of IF and WHILE, whose outer values are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from litert_converter.mlir import ir
from litert_converter.mlir.dialects import func

from ...artifact import Array


@dataclass
class TflFunction:
    """A function that is being made, or was.

    Attributes:
        operation: The ``func.func``.
        block: Its only block.
        constants: dtype, extents and bytes of a small constant → its value here.
        weights: Index of the contents of a large constant → the argument that stands for it, and its name in the file.
        captured: Values of the function around it, in the order of the arguments behind the first ``own``. The two
            bodies of a loop or of a branch share it, since TFLite gives both the same operands.
        own: Number of arguments that aren't captured.
        calls: Calls of it.
    """

    operation: func.FuncOp
    block: ir.Block
    own: int
    captured: dict[ir.Value, None] = field(default_factory=dict)
    inside: dict[ir.Value, ir.Value] = field(default_factory=dict)
    constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = field(default_factory=dict)
    weights: dict[int, tuple[ir.BlockArgument, str]] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.operation.name.value)

    def set_type(self) -> None:
        """Let the function's type be that of its block's arguments and of what it returns."""
        results = self.block.operations[len(self.block.operations) - 1].operands
        kind = ir.FunctionType.get([a.type for a in self.block.arguments], [v.type for v in results])
        self.operation.attributes["function_type"] = ir.TypeAttr.get(kind)

    def owns(self, value: ir.Value) -> bool:
        owner = value.owner
        return bool((owner if isinstance(owner, ir.Block) else owner.operation.block) == self.block)

    def take(self, value: ir.Value) -> ir.Value:
        """The argument that a value of the function around it comes in by."""
        if value not in self.inside:
            self.captured[value] = None
            self.inside[value] = self.block.add_argument(value.type, value.location)
        return self.inside[value]

    def take_all(self) -> None:
        """Take what its twin has captured."""
        for value in self.captured:
            self.take(value)

    def call(self, operands: Sequence[ir.Value]) -> list[ir.Value]:
        """Call it where the insertion point is: with ``operands`` for its own arguments and for what it captured.

        Its weights are given zeros, which :meth:`reveal` takes away again.
        """
        weights = {argument.arg_number for argument, _ in self.weights.values()}
        given = iter(operands)
        passed = [_zeros(a.type) if a.arg_number in weights else next(given) for a in self.block.arguments]
        made = _call(self.operation, passed)
        self.calls.append(made)
        return list(made.results)

    def reveal(self) -> list[int]:
        """Put constants without contents in the place of the arguments that stand for weights, those that are used.

        Returns:
            What each is to contain, in the order in which the constants stand at the beginning of the block.
        """
        contents, beginning = [], ir.InsertionPoint.at_block_begin(self.block)
        for content, (argument, name) in self.weights.items():
            if any(True for _ in argument.uses):
                with beginning, ir.Location.name(name):
                    nowhere = {"buffer_index": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 0)}
                    constant = ir.Operation.create("tfl.external_const", results=[argument.type], attributes=nowhere)
                argument.replace_all_uses_with(constant.result)
                contents.append(content)
        numbers = sorted((argument.arg_number for argument, _ in self.weights.values()), reverse=True)
        for number in numbers:
            self.block.erase_argument(number)
        self.set_type()
        if numbers:
            self.calls = [_without(self.operation, call, numbers) for call in self.calls]
        return contents

    def name_arguments(self) -> None:
        """Name a body's arguments as the exporter names their tensors: it looks for an IF's operands by that name."""
        names = ",".join(f"{self.name}_arg{i}" for i in range(len(self.block.arguments)))
        self.operation.attributes["tf.entry_function"] = ir.DictAttr.get({"inputs": ir.StringAttr.get(names)})


def constant_op(array: Array, kind: ir.Type, value: ir.Attribute) -> ir.Value:
    # arith has no unsigned integers.
    op = "tfl.pseudo_const" if array.dtype.kind == "u" else "arith.constant"
    return ir.Operation.create(op, results=[kind], attributes={"value": value}).result


def is_constant(value: ir.Value) -> bool:
    """Whether :func:`constant_op` made it."""
    owner = value.owner
    return not isinstance(owner, ir.Block) and owner.name in ("tfl.pseudo_const", "arith.constant")


def _zeros(kind: ir.Type) -> ir.Value:
    ranked = ir.RankedTensorType(kind)
    zero = (ir.FloatAttr if isinstance(ranked.element_type, ir.FloatType) else ir.IntegerAttr).get(
        ranked.element_type, 0
    )
    value = ir.DenseElementsAttr.get_splat(kind, zero)
    return ir.Operation.create("tfl.pseudo_const", results=[kind], attributes={"value": value}).result


def _call(function: func.FuncOp, operands: Sequence[ir.Value]) -> Any:
    results = ir.FunctionType(function.type).results
    return ir.Operation.create(
        "func.call",
        results=list(results),
        operands=list(operands),
        attributes={"callee": ir.FlatSymbolRefAttr.get(str(function.name.value))},
    )


def _without(function: func.FuncOp, call: Any, numbers: Sequence[int]) -> Any:
    """The call without these operands, and without the constants that stood there."""
    operands = list(call.operands)
    with ir.InsertionPoint(call):
        made = _call(function, [v for i, v in enumerate(operands) if i not in numbers])
    for old, new in zip(call.results, made.results, strict=True):
        old.replace_all_uses_with(new)
    call.erase()
    for number in numbers:
        if not any(True for _ in operands[number].uses):
            operands[number].owner.erase()
    return made
