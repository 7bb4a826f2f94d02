"""What a device computes best, by operator: the table ``devices.toml``, asked about one model.

Under XNNPACK some operators have no fast int8 form, and some lose too much by it. They stay float, and so does what
lies between them where that saves casts (``islands``). Devices that compute integers alone have no rules.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..errors import BadInput, did_you_mean
from ..formats.tflite import edit as fb
from ..formats.tflite.condition import Condition
from ..formats.tflite.operations import of_main
from ..schemes import Method, Scheme
from .normalization import normalizations
from .recipe import Compute, Decision

FILE = Path(__file__).with_name("devices.toml")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class QuantizedDevice(_Entry):
    """What a file is quantized for.

    Attributes:
        title: For people.
        of: Devices that it stands for: what one of them wants in float stays float.
        integer: Whether it computes integers alone.
        targets: Names of targets (see ``--for``) that are such devices.
    """

    title: str
    of: list[str] = []
    integer: bool = False
    targets: list[str] = []


class DeviceRule(_Entry):
    """What some operators compute in on some devices.

    Attributes:
        devices: Which.
        operators: Their kinds.
        part: Instead of kinds, what they are a part of.
        when: Condition on an operator.
        methods: Of the schemes that it is for.
        compute: What they compute in.
        gain: What was measured.
        source: Where and when it was, or who says so.
    """

    devices: list[str]
    operators: list[str] = []
    part: Literal["normalization"] | None = None
    when: str = "True"
    methods: list[Method] = ["static"]
    compute: Compute = "float32"
    gain: str
    source: str


class DeviceTable(_Entry):
    """The whole file."""

    devices: dict[str, QuantizedDevice]
    rules: list[DeviceRule]


@cache
def table() -> DeviceTable:
    return DeviceTable.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def find(name: str) -> QuantizedDevice:
    """The device of this name.

    Raises:
        BadInput: there is none; lists those that exist.
    """
    devices = table().devices
    if name not in devices:
        raise BadInput(
            f"nothing is known of a device {name!r}",
            where="--device",
            details=[f"{known}: {device.title}" for known, device in devices.items()],
            remedy=did_you_mean(name, devices) or "use one of these",
        )
    return devices[name]


def of_targets(names: Iterable[str]) -> str | None:
    """The device that the first of these targets is which is one; ``ethos-u:55-128`` is ``ethos-u``."""
    bases = [name.partition(":")[0] for name in names]
    known = {target: name for name, device in table().devices.items() for target in device.targets}
    return next((known[base] for base in bases if base in known), None)


def preferences(content: bytes, scheme: Scheme, device: str) -> dict[int, Decision]:
    """Operators of the main graph that are better off in something else than the scheme says → what, and why."""
    return {
        index: Decision(rule.compute, f"better in {rule.compute} on {device}: {rule.gain}")
        for index, rule in _meant(content, scheme, device)
    }


def costs(content: bytes, scheme: Scheme, device: str) -> list[str]:
    """What it costs that all operators are integers, by kind."""
    model = fb.read(content)
    kinds = [fb.op_name(model, op) for op in model.subgraphs[0].operators]
    found = Counter((kinds[index], rule.gain) for index, rule in _meant(content, scheme, device))
    said = "in int8, which would be better in float on"
    return [f"{count} {kind} {said} {device}: {gain}" for (kind, gain), count in found.items()]


def _meant(content: bytes, scheme: Scheme, device: str) -> Iterator[tuple[int, DeviceRule]]:
    """(operator, the first rule that speaks of it)."""
    names = {device, *find(device).of}
    rules = [r for r in table().rules if names & set(r.devices) and scheme.method in r.methods]
    operations, parts = of_main(content), {"normalization": normalizations(fb.read(content))}
    for index, operation in enumerate(operations):
        if all(t.dtype != "float32" for t in operation.tensors):
            continue
        for rule in rules:
            named = index in parts[rule.part] if rule.part else operation.op in rule.operators
            if named and Condition.of(rule.when).holds(operation):
                yield index, rule
                break
