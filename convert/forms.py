"""Which of several equal forms is written for which devices: the table ``forms.toml``, asked by the lowering.

A rule is taken where every device has it that the model is for: what one likes can ruin another. A number in it is the
least of theirs. Nobody said what it is for: both CPUs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from .. import devices
from ..errors import InternalFault
from ..formats.tflite.releases import MANY, most_axes, release_name, releases

FILE = Path(__file__).with_name("forms.toml")
USUAL = ("x86", "arm")
TENSORFLOW = "tensorflow"
"""The device of SavedModels."""
STEPS = "steps_written_out"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FormGround(_Entry):
    """Why a device has a rule.

    Attributes:
        basis: ``measured`` on it, or by ``argument``: nobody measured it there.
        gain: What was measured.
        runtime: By which runtime.
        source: Where and when, by whom, or the argument.
    """

    basis: Literal["measured", "argument"]
    gain: str = ""
    runtime: str = ""
    source: str


class FormRule(_Entry):
    """A form that is written in the place of a plainer one.

    Attributes:
        form: Its name, which the lowering asks for.
        says: What it is, and when; the names of ``numbers`` stand for them.
        numbers: Bounds of its condition; one that isn't here is none.
        on: Device → why it is taken there.
        off: Device → why it isn't.
        since: The TFLite runtime, as ``releases`` calls it, from which on it is the better one; empty: in any.
    """

    form: str
    says: str
    numbers: dict[str, int] = {}
    on: dict[str, FormGround]
    off: dict[str, str] = {}
    since: str = ""


class FormTable(_Entry):
    """The whole file."""

    rules: list[FormRule]

    @property
    def devices(self) -> tuple[str, ...]:
        """Those that rules speak of."""
        return tuple(dict.fromkeys(device for rule in self.rules for device in (*rule.on, *rule.off)))

    @property
    def forms(self) -> set[str]:
        return {rule.form for rule in self.rules}


@dataclass(frozen=True)
class Forms:
    """The forms that are taken.

    Attributes:
        devices: For whom.
        taken: Form → its numbers.
        runtime: The oldest TFLite runtime that has to run them, as ``releases`` calls it; empty: any.
    """

    devices: tuple[str, ...]
    taken: Mapping[str, Mapping[str, int]]
    runtime: str = ""

    def most_axes(self, op: str) -> int:
        """Axes up to which the oldest runtime takes a TFLite operator, by its name in the TFL dialect."""
        return most_axes(self.runtime, op.upper()) if self.runtime else MANY

    def numbers(self, form: str) -> Mapping[str, int] | None:
        """The bounds of a form that is taken; None where it isn't.

        Raises:
            InternalFault: the table doesn't have it.
        """
        if form not in table().forms:
            raise InternalFault(f"convert/forms.toml has no form {form!r}")
        return self.taken.get(form)

    def takes(self, form: str) -> bool:
        """Whether a form is taken.

        Raises:
            InternalFault: see :meth:`numbers`.
        """
        return self.numbers(form) is not None

    def toggled(self, form: str) -> Forms:
        """The same, but for one form: the plain one in its place, or it in place of the plain one."""
        if self.takes(form):
            return replace(self, taken={name: n for name, n in self.taken.items() if name != form})
        numbers = next(rule.numbers for rule in table().rules if rule.form == form)
        return replace(self, taken={**self.taken, form: numbers})


@cache
def table() -> FormTable:
    return FormTable.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def choose(targets: Collection[str] = (), *, unroll: bool = False) -> Forms:
    """The forms for targets, as ``--for`` takes them (``ethos-u:55-128`` is ``ethos-u``); for an old TFLite runtime
    those that it takes too.

    Args:
        targets: Those whose kernels the table doesn't know have no say.
        unroll: All steps of recurrent layers are written out, whatever the table says.
    """
    named = [device for target in targets if (device := devices.named(target)) is not None]
    meant = dict.fromkeys(one for device in named for one in devices.meant(device, table().devices))
    oldest = next((release for release in releases() if release_name(release) in targets), "")
    chosen = _of(tuple(meant) or USUAL)
    old = {rule.form for rule in table().rules if oldest and rule.since and _is_before(oldest, rule.since)}
    taken = {form: numbers for form, numbers in chosen.taken.items() if form not in old}
    chosen = replace(chosen, taken=taken, runtime=oldest)
    return replace(chosen, taken={**chosen.taken, STEPS: {}}) if unroll else chosen


def _is_before(release: str, other: str) -> bool:
    order = list(releases())
    return order.index(release) < order.index(other)


def of_saved_models(*, unroll: bool = False) -> Forms:
    """The forms for TensorFlow's kernels."""
    chosen = _of((TENSORFLOW,))
    return replace(chosen, taken={**chosen.taken, STEPS: {}}) if unroll else chosen


def _of(meant: tuple[str, ...]) -> Forms:
    taken = {}
    for form in sorted(table().forms):
        rules = [rule for rule in table().rules if rule.form == form]
        found = [rule.numbers for device in meant for rule in rules if device in rule.on]
        if len(found) == len(meant):
            names = {name for numbers in found for name in numbers}
            taken[form] = {name: min(n[name] for n in found if name in n) for name in sorted(names)}
    return Forms(meant, taken)
