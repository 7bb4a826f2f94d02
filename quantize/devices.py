"""What a device computes best, by operator: the table ``devices.toml``, asked about one model.

Under XNNPACK some operators have no fast int8 form, and some lose too much by it. They stay float, and so does what
lies between them where that saves casts (``islands``). Devices that compute integers alone have no rules.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..devices import find, meant
from ..formats.tflite import edit as fb
from ..formats.tflite.arithmetic import flops_of
from ..formats.tflite.condition import Condition
from ..formats.tflite.operations import Operation, of_main
from ..schemes import Method, Scheme
from .parts import PARTS
from .recipe import Compute, Decision

FILE = Path(__file__).with_name("devices.toml")

_BLOCK = 64


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DeviceRule(_Entry):
    """What some operators compute in on some devices.

    Attributes:
        devices: Which.
        operators: Their kinds; none: any.
        part: What they are a part of (``parts``).
        when: Condition on an operator.
        methods: Of the schemes that it is for.
        compute: What they compute in.
        gain: What was measured.
        source: Where and when it was, or who says so.
    """

    devices: list[str]
    operators: list[str] = []
    part: Literal["normalization", "compression"] | None = None
    when: str = "True"
    methods: list[Method] = ["static"]
    compute: Compute = "float32"
    gain: str
    source: str


class UnitCost(_Entry):
    """Picoseconds that an operator takes in one type, by what there is of it.

    Attributes:
        mac: For each multiplication and addition.
        element: For each element of its largest operand or result.
        pixel: For each position of its result.
        weight: For each of its weights.
        block: For each position, element of the window, and begun block of 64 input channels and 64 output channels:
            kernels of matrix units compute a whole one where there are fewer.
    """

    mac: int = 0
    element: int = 0
    pixel: int = 0
    weight: int = 0
    block: int = 0

    def of(self, operation: Operation) -> int:
        """Picoseconds; of a dynamic extent, 1 counts."""
        elements = max(t.size for t in operation.tensors)
        pixels = operation.y.size // max(operation.y.shape[-1] or 1, 1) if operation.y.rank else 1
        weights = operation.weights.size if len(operation.inputs) > 1 and operation.weights.constant else 0
        macs = flops_of(operation) // 2
        found = self.mac * macs + self.element * elements + self.pixel * pixels + self.weight * weights
        if not self.block:
            return found
        blocks = math.prod(-(-(operation.weights.shape[axis] or 1) // _BLOCK) for axis in (0, -1))
        return found + self.block * blocks * pixels * math.prod(operation.kernel)


class DeviceCosts(_Entry):
    """What some operators take on some devices.

    Attributes:
        devices: Which.
        operators: Their kinds.
        when: Condition on an operator.
        float32: In float.
        int8: In int8.
        source: Where and when it was measured.
    """

    devices: list[str]
    operators: list[str]
    when: str = "True"
    float32: UnitCost
    int8: UnitCost
    source: str


class DeviceTable(_Entry):
    """The whole file."""

    rules: list[DeviceRule]
    costs: list[DeviceCosts]


@cache
def table() -> DeviceTable:
    return DeviceTable.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def preferences(content: bytes, scheme: Scheme, device: str) -> dict[int, Decision]:
    """Operators of the main graph that are better off in something else than the scheme says → what, and why."""
    return {
        index: Decision(rule.compute, f"better in {rule.compute} on {device}: {rule.gain}")
        for index, rule in _meant(content, scheme, device)
    }


@dataclass(frozen=True)
class Costs:
    """What a model takes on a device.

    Attributes:
        saved: Operator of the main graph → picoseconds that int8 saves, negative where it takes longer.
        cast: Picoseconds that a QUANTIZE or DEQUANTIZE takes for each element.
    """

    saved: Mapping[int, int]
    cast: int


def costs(content: bytes, scheme: Scheme, device: str) -> Costs | None:
    """What the table knows of a model; None of a device that it has no costs of, or of another scheme than int8."""
    names = _asked(device)
    known = [entry for entry in table().costs if names & set(entry.devices)]
    cast = next((entry.int8.element for entry in known if "QUANTIZE" in entry.operators), None)
    if cast is None or not scheme.needs_calibration or scheme.activation_bits != 8:
        return None
    saved = {}
    for index, operation in enumerate(of_main(content)):
        told = (e for e in known if operation.op in e.operators and Condition.of(e.when).holds(operation))
        if (entry := next(told, None)) is not None:
            saved[index] = entry.float32.of(operation) - entry.int8.of(operation)
    return Costs(saved, cast)


def regrets(content: bytes, scheme: Scheme, device: str) -> list[str]:
    """What it costs that all operators are integers, by kind."""
    model = fb.read(content)
    kinds = [fb.op_name(model, op) for op in model.subgraphs[0].operators]
    found = Counter((kinds[index], rule.gain) for index, rule in _meant(content, scheme, device))
    said = "in int8, which would be better in float on"
    return [f"{count} {kind} {said} {device}: {gain}" for (kind, gain), count in found.items()]


def _asked(device: str) -> set[str]:
    rules, costs = table().rules, table().costs
    known = {name for told in (*(r.devices for r in rules), *(c.devices for c in costs)) for name in told}
    return set(meant(find(device), known))


def _meant(content: bytes, scheme: Scheme, device: str) -> Iterator[tuple[int, DeviceRule]]:
    """(operator, the first rule that speaks of it)."""
    names = _asked(device)
    rules = [r for r in table().rules if names & set(r.devices) and scheme.method in r.methods]
    operations, model = of_main(content), fb.read(content)
    parts = {part: PARTS[part](model) for part in {rule.part for rule in rules} if part is not None}
    for index, operation in enumerate(operations):
        if all(t.dtype != "float32" for t in operation.tensors):
            continue
        for rule in rules:
            fits = not rule.operators or operation.op in rule.operators
            if fits and (rule.part is None or index in parts[rule.part]) and Condition.of(rule.when).holds(operation):
                yield index, rule
                break
