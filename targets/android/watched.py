"""A model on a device whose heat, limits and clock are looked at around each turn of times."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...artifact import Feeds, Receipt
from ...errors import RuntimeFailure
from ..session import LoadedModel
from .adb import Adb
from .state import DeviceInfo, DeviceState, notes, observe, void

if TYPE_CHECKING:
    from ...artifact import Array

TURNS = 4
"""How often a turn is taken until it may stand."""

PAUSES_S = 5.0, 15.0, 30.0
"""To cool down, before the second turn, the third, …"""


class WatchedModel(LoadedModel):
    """A loaded model, and the device that it is on.

    A turn during which the device throttled or its clock was set is void: the device rests, and it is taken again.

    Args:
        model: Whatever runs it there.
        first: The device as it was before loading.
    """

    def __init__(self, model: LoadedModel, adb: Adb, device: DeviceInfo, first: DeviceState) -> None:
        self._model, self._adb, self._device, self._first = model, adb, device, first
        self._void: Counter[str] = Counter()

    @property
    def elapsed_ns(self) -> int | None:  # type: ignore[override]
        """That of the model."""
        return self._model.elapsed_ns

    @property
    def receipt(self) -> Receipt:
        receipt = self._model.receipt
        said = [self._device.note, *notes(self._first, observe(self._adb))]
        said += [f"{count} turn{'s' * (count > 1)} taken again: {why}" for why, count in self._void.items()]
        measured = "emulated" if self._device.emulator else receipt.measured or "device"
        return replace(receipt, notes=(*receipt.notes, *said), measured=measured)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        return self._model.run(feeds)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        return self._model.prepare(feeds)

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """As ``LoadedModel.time``, of a turn that may stand.

        Raises:
            RuntimeFailure: none of several did.
        """
        for pause in (*PAUSES_S[: TURNS - 1], None):
            before = observe(self._adb)
            times = self._model.time(feeds, repeats)
            after = observe(self._adb)
            why = void(before, after, self._first)
            if why is None:
                return times
            self._void[why] += 1
            if pause is not None:
                time.sleep(pause)
        raise RuntimeFailure(
            f"device {self._adb.serial} gave no valid times in {TURNS} turns",
            where=self._adb.where,
            details=[f"{count} times: {why}" for why, count in self._void.items()],
            remedy="let it cool down, unplugged from its charger and out of its case, and run it again",
        )

    def memory(self) -> tuple[int, int] | None:
        return self._model.memory()
