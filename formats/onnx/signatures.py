"""What an operator takes and makes, as its ONNX schema says: how many operands, and which attributes of what type.

ONNX's inference goes by the schema without looking whether a node does, and crashes on some that don't.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto

from .attribute_values import objection


@dataclass(frozen=True)
class Signature:
    """An operator at one opset.

    Attributes:
        inputs: The least and the greatest number of inputs.
        outputs: The same of outputs.
        needed: Positions of inputs that may not be left out.
        attributes: Name → type (``AttributeProto.AttributeType``).
        mandatory: Attributes without a default that a node must have.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    needed: tuple[int, ...]
    attributes: Mapping[str, int]
    mandatory: frozenset[str]


@cache
def operator_signature(op_type: str, version: int, domain: str) -> Signature | None:
    """The signature of an operator as of an opset version; None if ONNX has no such operator."""
    if not onnx.defs.has(op_type, version, domain):
        return None
    schema: Any = onnx.defs.get_schema(op_type, version, domain)
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Signature(
        inputs=(schema.min_input, schema.max_input),
        outputs=(schema.min_output, schema.max_output),
        needed=tuple(i for i, parameter in enumerate(schema.inputs) if parameter.option == single),
        attributes={name: int(attribute.type.value) for name, attribute in schema.attributes.items()},
        mandatory=frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
    )


def violations(node: NodeProto, versions: Mapping[str, int], *, in_function: bool) -> Iterator[str]:
    """What is wrong with a node's form, each in half a sentence.

    Args:
        node: The node.
        versions: Domain → opset version, with ``""`` for ONNX's own domain.
        in_function: Whether its attributes may refer to those of a function.
    """
    if not node.op_type:
        yield "it has no operator"
        return
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) < len(names):
        yield "it has an attribute twice"
    for attribute in node.attribute:
        if attribute.ref_attr_name and not in_function:
            yield f"attribute {attribute.name!r} refers to that of a function, and there is none around it"
    if node.domain not in versions:
        yield f"no opset is imported for its domain {node.domain!r}"
        return
    found = operator_signature(node.op_type, versions[node.domain], node.domain)
    if found is not None:
        yield from _operand_violations(node, found)
        yield from _attribute_violations(node, found, names)


def _operand_violations(node: NodeProto, found: Signature) -> Iterator[str]:
    for have, (least, most), what in (
        (len(node.input), found.inputs, "input"),
        (len(node.output), found.outputs, "output"),
    ):
        if not least <= have <= most:
            wanted = f"{least}" if least == most else f"at least {least}" if have < least else f"at most {most}"
            yield f"it has {have} {what}{'s' if have != 1 else ''}, and the operator has {wanted}"
    for index in found.needed:
        if index < len(node.input) and not node.input[index]:
            yield f"input {index} is missing"


def _attribute_violations(node: NodeProto, found: Signature, names: list[str]) -> Iterator[str]:
    for attribute in node.attribute:
        kind = found.attributes.get(attribute.name)
        if kind is None:
            yield f"the operator has no attribute {attribute.name!r}"
        elif attribute.type != kind:
            has, wants = (_type_name(number) for number in (attribute.type, kind))
            yield f"attribute {attribute.name!r} is of type {has}, and the operator's is {wants}"
        elif not attribute.ref_attr_name:
            reason = objection(node.op_type, attribute)
            if reason:
                yield f"attribute {attribute.name!r} {reason}"
        if attribute.name == "num_outputs" and attribute.i != len(node.output):
            yield f"it has {len(node.output)} outputs, and attribute 'num_outputs' says {attribute.i}"
    missing = sorted(found.mandatory.difference(names))
    if missing:
        yield f"it lacks the attribute {missing[0]!r}"


def _type_name(number: int) -> str:
    return AttributeProto.AttributeType.Name(number) if number in AttributeProto.AttributeType.values() else str(number)
