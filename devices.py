"""Devices that files are made for, by the names that ``--for`` and ``--device`` take: the table ``devices.toml``.

What is known of them says who knows it: which forms of an operator they are fast with ``convert/forms.toml``, what they
compute in float ``quantize/devices.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .errors import BadInput, did_you_mean

FILE = Path(__file__).with_suffix(".toml")


class NamedDevice(BaseModel):
    """Whom a file is made for.

    Attributes:
        title: For people.
        also: Its other names.
        of: Devices that it stands for, where a table says nothing of it itself.
        integer: Whether it computes integers alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: str
    also: list[str] = []
    of: list[str] = []
    integer: bool = False


@cache
def devices() -> Mapping[str, NamedDevice]:
    """Name → device."""
    return {name: NamedDevice.model_validate(told) for name, told in tomllib.loads(FILE.read_text("utf-8")).items()}


@cache
def titles() -> Mapping[str, str]:
    """Every name of a device → its title."""
    return {other: device.title for name, device in devices().items() for other in (name, *device.also)}


def named(target: str) -> str | None:
    """The device that a target is, by its own name; ``ethos-u:55-128`` is ``ethos-u``."""
    base = target.partition(":")[0]
    return next((name for name, device in devices().items() if base in (name, *device.also)), None)


def find(target: str, where: str = "--device") -> str:
    """The device's own name.

    Raises:
        BadInput: there is none; lists those that exist.
    """
    if (name := named(target)) is not None:
        return name
    raise unknown(target, titles(), where)


def unknown(target: str, known: Mapping[str, str], where: str, *, more: Iterable[str] = ()) -> BadInput:
    """The error of a name that is none of those that an option takes.

    Args:
        known: What it takes → what that is.
        more: Other names of these, which may be what was meant, and aren't listed.
    """
    return BadInput(
        f"nothing is known of a device {target!r}",
        where=where,
        details=[f"{name}: {title}" if title else name for name, title in known.items()],
        remedy=did_you_mean(target, {*known, *more}, most=2) or "use one of these",
    )


def computes_integers_alone(target: str) -> bool:
    """Raises BadInput as ``find`` does."""
    return devices()[find(target)].integer


def of_targets(targets: Iterable[str]) -> str | None:
    """The first of these that is a device of integers alone, or else the first that is one."""
    found = [name for target in targets if (name := named(target)) is not None]
    return next((name for name in found if devices()[name].integer), next(iter(found), None))


def meant(device: str, known: Iterable[str]) -> tuple[str, ...]:
    """Whom to ask of a table that knows these: the device itself, or those that it stands for."""
    there = set(known)
    return tuple(name for name in ((device,) if device in there else devices()[device].of) if name in there)
