"""What compilers for accelerators make of a file: a model of which nothing runs here, and a receipt.

Such a compiler writes the file anew, with one operator of its own in the place of all nodes that it took. What else is
in there runs on the CPU: that is the receipt, whatever the compiler prints.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import Artifact, Feeds, Receipt
from ..errors import NotAvailable, RuntimeFailure
from ..formats.tflite.operations import Operation, as_int8, read
from .session import TRY_TFLITE, LoadedModel

if TYPE_CHECKING:
    from ..artifact import Array


class OfflineModel(LoadedModel):
    """A model that is compiled and can't be run here.

    Args:
        artifact: The file before.
        receipt: Of the compiler.
        nanoseconds: Of one inference, as the compiler estimates; None where it doesn't.
        memory_bytes: What the device needs for it, where known.
    """

    def __init__(
        self, artifact: Artifact, receipt: Receipt, nanoseconds: int | None = None, memory_bytes: int = 0
    ) -> None:
        self._artifact = artifact
        self._receipt = receipt
        self._nanoseconds = nanoseconds
        self._memory = memory_bytes

    @property
    def receipt(self) -> Receipt:
        return self._receipt

    def run(self, feeds: Feeds) -> dict[str, Array]:
        raise self._absent()

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        raise self._absent()

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """The estimate, or nothing."""
        return [] if self._nanoseconds is None else [self._nanoseconds] * repeats

    def memory(self) -> tuple[int, int]:
        return self._memory, 0

    def _absent(self) -> NotAvailable:
        return NotAvailable(
            f"{self._receipt.asked} is not here: the file is compiled for it, and not run",
            where=str(self._artifact.path),
            remedy="compare what the target tflite computes on the same file, in int8 as the device does",
        )


def compiled(original: Path, path: Path, operator: str) -> tuple[int, int, int, tuple[str, ...]]:
    """Nodes of a file, how many of them a compiler took, in how many parts, and those that it left, by name.

    Args:
        original: The file before.
        path: The file after.
        operator: Name of the custom operator that stands for what was taken.
    """
    before, after = read(original), read(path)
    left = [o for o in after if o.op != f"CUSTOM:{operator}"]
    names = {o.name for o in left}
    stayed = [o for o in before if o.name in names]
    return len(before), len(before) - len(stayed), len(after) - len(left), tuple(map(str, stayed))


def precision(operations: Sequence[Operation]) -> str:
    """The dtypes of results, the commonest first: ``int8+float32``."""
    dtypes = [t.dtype for o in operations for t in o.outputs]
    return "+".join(sorted(set(dtypes), key=lambda dtype: -dtypes.count(dtype))) or "none"


def left_in_float(operations: Sequence[Operation], target: str) -> tuple[str, ...]:
    """A note if operators are in float that would be in int8 if the file had been quantized for the target."""
    floats = [o for o in operations if o.op != "DEQUANTIZE" and as_int8(o) is not o]
    if not floats:
        return ()
    named = f"{floats[0]}{f' and {len(floats) - 1} more' if len(floats) > 1 else ''}"
    return (
        f"in float, which it doesn't compute, though there is an int8 form: {named}; "
        f"quantize for it (of edgeworthy: --for {target})",
    )


def run_compiler(name: str, command: Sequence[str], where: Path) -> str:
    """Run a compiler; returns what it printed.

    Raises:
        RuntimeFailure: it ended badly; says its last words.
    """
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode:
        lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
        raise RuntimeFailure(f"{name} ended with {ran.returncode}: {' '.join(lines[-1:])}", where=str(where),
                             details=lines[-8:-1], remedy=TRY_TFLITE)  # fmt: skip
    return ran.stdout
