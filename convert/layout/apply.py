"""Makes a graph follow its plan: transposes where layouts meet, permuted constants, rewritten nodes."""

from __future__ import annotations

import onnx_ir as ir

from .edit import LayoutEditor, ir_shape
from .layouts import TO_CHANNELS_LAST, Dims, Perm, dims_of, inverse, is_reshape, natural, permute, reshape_target
from .partition import LAST_SIDE, NATURAL_SIDE
from .placement import Port, Site, constant_of
from .plan import LayoutPlan, Reader, Unit, Wire, end


def apply_plan(plan: LayoutPlan, edit: LayoutEditor) -> None:
    """Rewrite the graph of ``edit`` as ``plan`` says; ``edit.layouts`` tells which values changed."""
    made = _made(plan)
    dims = {value: dims_of(value) or () for value in made}
    for value, wire in plan.wires.items():
        _convert(plan, wire, dims[value], made[value], edit)
    for unit in plan.units:
        _rewrite(plan, unit, made, edit)
    for value, is_last in made.items():
        if is_last:
            edit.layouts[value] = TO_CHANNELS_LAST[len(dims[value])]
            value.shape = ir_shape(permute(dims[value], edit.layouts[value]))


def _made(plan: LayoutPlan) -> dict[ir.Value, bool]:
    """Value → whether it is made channels-last.

    What a Transpose gives is as all its readers want it, where they agree: it costs the same.
    """
    made = {value: plan.label(wire.producer) for value, wire in plan.wires.items()}
    for unit in plan.units:
        value = unit.op.outputs[0] if unit.placement.absorbs else None
        if value is not None and value in made:
            wanted = {plan.label(reader.end) for reader in plan.wires[value].readers if not reader.absorbs}
            if len(wanted) == 1:
                made[value] = wanted.pop()
    return made


def _convert(plan: LayoutPlan, wire: Wire, dims: Dims, is_last: bool, edit: LayoutEditor) -> None:
    """Give those who want the other layout of a value a copy in it."""
    others = [r for r in wire.readers if not r.absorbs and plan.label(r.end) != is_last]
    if not others:
        return
    perm, source = TO_CHANNELS_LAST[len(dims)], dims
    if is_last:
        perm, source = inverse(perm), permute(dims, perm)
    copy = _transposed(wire.value, source, perm, "natural" if is_last else "channels_last", edit)
    turn = copy.producer()
    if turn is not None and turn.op_type == "Transpose":
        edit.reasons[turn] = _why(wire, others, is_last)
    if not is_last:
        edit.layouts[copy] = perm
    for reader in others:
        if reader.node is not None:
            reader.node.replace_input_with(reader.index, copy)
        else:
            edit.graph.outputs[reader.index] = copy
    if any(reader.node is None for reader in others):
        # The graph's outputs keep their names.
        name = wire.value.name
        wire.value.name = edit.unique(f"{name}_{'channels_last' if is_last else 'natural'}")
        copy.name = name


def _why(wire: Wire, others: list[Reader], is_last: bool) -> str:
    """Who gives a value in one layout, and who reads it in the other."""
    here, there = ("channels-last", "in the model's order")[:: 1 if is_last else -1]
    maker = wire.value.producer()
    gives = f"the input comes {here}" if maker is None else f"{maker.op_type} gives {here}"
    nodes = [reader.node.op_type for reader in others if reader.node is not None]
    fixed = any(reader.end in (NATURAL_SIDE, LAST_SIDE) for reader in others)
    wants = [f"{' and '.join(dict.fromkeys(nodes))} takes it {there}{' only' if fixed else ''}"] if nodes else []
    wants += [f"the output goes {there}"] if len(nodes) < len(others) else []
    return f"{gives}, and {', and '.join(wants)}{'' if fixed else ', as is cheapest'}"


def _transposed(value: ir.Value, dims: Dims, perm: Perm, suffix: str, edit: LayoutEditor) -> ir.Value:
    target = permute(dims, perm)
    if is_reshape(perm, dims):
        operand = edit.integers(reshape_target(dims, target) or ())
        return edit.after(value, "Reshape", (value, operand), target, suffix)
    return edit.after(value, "Transpose", (value,), target, suffix, {"perm": perm})


def _rewrite(plan: LayoutPlan, unit: Unit, made: dict[ir.Value, bool], edit: LayoutEditor) -> None:
    """Bring the unit's constants into its layout, and its node to terms with it."""
    inputs: list[Perm | None] = []
    for index, (value, port) in enumerate(zip(unit.op.inputs, unit.placement.inputs, strict=True)):
        dims = unit.op.in_dims[index]
        tensor = constant_of(value)
        if value is None or dims is None:
            inputs.append(None)
            continue
        if tensor is None and (port is Port.ANY or unit.placement.absorbs):
            is_last = made.get(value, False)
        else:
            is_last = port is not Port.ANY and plan.label(end(unit, port))
        inputs.append(TO_CHANNELS_LAST[len(dims)] if is_last else natural(len(dims)))
        if is_last and tensor is not None:
            edit.set_input(unit.op.node, index, edit.permuted(value, tensor, TO_CHANNELS_LAST[len(dims)]))
    outputs = [
        TO_CHANNELS_LAST[len(dims)] if made.get(value, False) and dims is not None else natural(len(dims or ()))
        for value, dims in zip(unit.op.outputs, unit.op.out_dims, strict=True)
    ]
    if any(perm is not None and perm != natural(len(perm)) for perm in (*inputs, *outputs)):
        unit.placement.rewrite(Site(unit.op, tuple(inputs), tuple(outputs), edit))
