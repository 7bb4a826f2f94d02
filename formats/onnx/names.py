"""Names in an exported graph: its inputs, outputs and dynamic dimensions are called what the model calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from ...artifact import Dim, TensorSpec
from ...errors import BadInput


def called(name: str | None, outputs: Iterable[str | None]) -> str:
    """What messages call a node: its name; many files have none, then what it makes."""
    return name or f"→ {', '.join(filter(None, outputs))}"


def metadata_by_name(model: ir.Model) -> dict[str, Mapping[str, str]]:
    """Metadata of every node under the names of what it makes, and under its own, after which passes name the rest."""
    nodes = list(model.graph.all_nodes())
    found: dict[str, Mapping[str, str]] = {node.name: node.metadata_props for node in nodes if node.name}
    found |= {v.name: node.metadata_props for node in nodes for v in node.outputs if v.name}
    return found


def output_names(wanted: Iterable[str], inputs: Iterable[TensorSpec]) -> list[str]:
    """The outputs' own names; one that is taken already, by an input for example, gets a suffix."""
    taken = {spec.name for spec in inputs}
    names = []
    for name in wanted:
        while name in taken:
            name = f"{name}_out"
        taken.add(name)
        names.append(name)
    return names


def rename(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give inputs and outputs the names of the module's code; inner values step aside.

    The exporter may have left out inputs that aren't used.

    Raises:
        BadInput: the graph has more inputs than the module, or other outputs.
    """
    graph = model.graph
    if len(graph.outputs) != len(outputs) or len(graph.inputs) > len(inputs):
        raise BadInput(
            f"the exported graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, "
            f"the module {len(inputs)} and {len(outputs)}",
            remedy="try the other --exporter; outputs that are no tensors can't be exported",
        )
    _separate_outputs(model)
    if len(graph.inputs) == len(inputs) and {v.name for v in graph.inputs} != set(inputs):
        for value, name in zip(graph.inputs, inputs, strict=True):
            value.name = name
    edge = {id(v) for v in (*graph.inputs, *graph.outputs)}
    taken = {v.name for v in graph.inputs} | set(outputs)
    inner = [v for node in graph.all_nodes() for v in node.outputs] + list(graph.initializers.values())
    used = {v.name for v in inner} | taken
    for value in inner:
        if id(value) not in edge and value.name in taken:
            number = next(n for n in range(len(used) + 1) if f"{value.name}_{n}" not in used)
            value.name = f"{value.name}_{number}"
            used.add(value.name)
    for value, name in zip(graph.outputs, outputs, strict=True):
        value.name = name


def _separate_outputs(model: ir.Model) -> None:
    """An output that is an input, a constant, or an output already, becomes one of its own through Identity."""
    graph = model.graph
    seen: set[int] = set()
    for index, value in enumerate(graph.outputs):
        if value.producer() is None or id(value) in seen:
            node = ir.node("Identity", [value])
            node.outputs[0].type, node.outputs[0].shape = value.type, value.shape
            graph.append(node)
            graph.outputs[index] = node.outputs[0]
        seen.add(id(value))


def pin(model: ir.Model, inputs: Sequence[TensorSpec]) -> bool:
    """Put the extents and names of ``inputs`` in place of the graph's dynamic dimensions; whether any changed."""
    values = {value.name: value for value in model.graph.inputs}
    renamed: dict[str, Dim] = {}
    changed = False
    for spec in inputs:
        value = values.get(spec.name)
        if value is None or value.shape is None:
            continue
        shape: list[Dim | ir.SymbolicDim] = []
        for axis, (have, want) in enumerate(zip(value.shape, spec.shape, strict=True)):
            name = have.value if isinstance(have, ir.SymbolicDim) else have
            if isinstance(have, int) or want == (name or unnamed(spec.name, axis)):
                shape.append(have)
                continue
            shape.append(want)
            changed = True
            if name is not None:
                renamed[str(name)] = want
        value.shape = ir.Shape(shape)
    _rename_dims(model, renamed)
    return changed


def unnamed(tensor: str, axis: int) -> str:
    """What a dynamic dimension without a name is called."""
    return re.sub(r"\W", "_", f"{tensor}_dim{axis}")


def _rename_dims(model: ir.Model, renamed: Mapping[str, Dim]) -> None:
    if not renamed:
        return
    words = re.compile(r"\b(" + "|".join(map(re.escape, renamed)) + r")\b")
    for graph in model.graphs():
        for value in (*graph.inputs, *(v for node in graph for v in node.outputs)):
            if value.shape is not None:
                value.shape = ir.Shape([_renamed(dim, words, renamed) for dim in value.shape])


def _renamed(dim: int | ir.SymbolicDim, words: re.Pattern[str], renamed: Mapping[str, Dim]) -> Dim | None:
    """A dimension such as ``s1 // 2`` under its new names; unknown if a number came into it."""
    if isinstance(dim, int) or dim.value is None:
        return dim if isinstance(dim, int) else None
    text = words.sub(lambda found: str(renamed[found[0]]), str(dim.value))
    if text.isdigit():
        return int(text)
    numbers = any(isinstance(renamed[found], int) for found in words.findall(str(dim.value)))
    return None if numbers else text
