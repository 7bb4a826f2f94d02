"""What parity, latency and accuracy are measured on. ``validate`` knows no runtime: runners are handed in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ..artifact import Feeds, Receipt
from ..errors import BadInput, CheckFailed, EdgeworthyError, NotAvailable, OutOfMemory
from ..schemes import FLOAT32
from ..vocabulary import MeasuredWhere, Whose
from .made import TensorMatch
from .matching import as_file, as_model
from .results import ReceiptResult

if TYPE_CHECKING:
    from ..artifact import Array

OnStep = Callable[[str, int, int], None]
"""Called with what runs now, how many steps are done, and how many there are."""

Permutations = Mapping[str, tuple[int, ...]]
"""Tensor name → axes, as in ``numpy.transpose``."""


ROW_FAILURES = (CheckFailed, BadInput, NotAvailable)
"""What ends a row and not the measurement."""

_LOG = logging.getLogger(__name__)


def row_failure(subject: str, error: EdgeworthyError) -> tuple[Literal["skipped", "error"], str]:
    """Status and message of a row whose runner raised: what isn't there is skipped, and what died is an error."""
    _LOG.debug("%s failed", subject, exc_info=error)
    absent = isinstance(error, NotAvailable) and not isinstance(error, OutOfMemory)
    return ("skipped" if absent else "error"), str(error)


class Runner(Protocol):
    """A loaded model that can be run and timed; ``targets.worker.Worker`` is one.

    Every method raises ``RuntimeFailure`` when the runtime raises, crashes or hangs, and ``OutOfMemory`` when it
    was killed.
    """

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run once; output name → array."""
        ...

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """Nanoseconds of each of ``repeats`` inferences."""
        ...

    @property
    def receipt(self) -> Receipt: ...

    @property
    def load_ms(self) -> float: ...

    @property
    def first_ms(self) -> float | None: ...

    @property
    def peak_rss_bytes(self) -> int: ...

    @property
    def model_rss_bytes(self) -> int: ...


@dataclass(frozen=True)
class OutputGrid:
    """The grid that the outputs of a quantized file lie on, and who gives their places on it.

    Attributes:
        steps: Output → scale; an output that is computed in floats isn't there.
        usual: The file on LiteRT's usual kernels of this CPU.
        others: Family (``ReceiptResult.family``) → the file on it: TFLite's other kernels on this CPU.
    """

    steps: Mapping[str, float]
    usual: Subject
    others: Mapping[str, Subject]

    @property
    def names(self) -> set[str]:
        """What the runs that give the places are called."""
        return {self.usual.name, *(subject.name for subject in self.others.values())}


@dataclass(frozen=True)
class Subject:
    """A runtime on an artifact: one row of a table.

    Attributes:
        name: As shown, unique among the rows of one thread count.
        runtime: The runtime's name.
        open: Gives the loaded runner on entry; may be called more than once.
        artifact: Key of the file in the report; None without a file (PyTorch).
        scheme: A name of ``schemes.SCHEMES``.
        threads: Threads that the runner was asked to use.
        measured: Where its latency is taken.
        computes: Whether it gives outputs, and not only a latency.
        size_bytes: Size of the file.
        baseline_rank: How soon it is the row that others are compared with, where none is named; the highest is first.
        permute_inputs: Axes that each named feed is transposed by for this subject, such as ``(0, 2, 3, 1)``
            when its file takes NHWC and the feeds are NCHW. Inputs without an entry stay as they are.
        permute_outputs: Axes that each named output is transposed by before it is compared, such as
            ``(0, 3, 1, 2)``.
        matches: How the file's tensors stand for the model's, layout and all: it is another converter's file (see
            ``matching``).
        whose: Who made the file what it is, for what to do about it.
        grid: Of a file whose activations are integers; None for others, and for those who give the places.
    """

    name: str
    runtime: str
    open: Callable[[], AbstractContextManager[Runner]]
    artifact: str | None = None
    scheme: str = FLOAT32.name
    threads: int = 1
    measured: MeasuredWhere = "host"
    computes: bool = True
    size_bytes: int | None = None
    baseline_rank: int = 0
    permute_inputs: Permutations = field(default_factory=dict)
    permute_outputs: Permutations = field(default_factory=dict)
    matches: Sequence[TensorMatch] = ()
    whose: Whose = "ours"
    grid: OutputGrid | None = None

    def feeds(self, feeds: Feeds) -> dict[str, Array]:
        """The feeds by this subject's names, in its layout and floats."""
        named = {match.model: match for match in self.matches if match.side == "input"}
        if not named:
            return permuted(feeds, self.permute_inputs)
        return {named[n].file: _as_taken(as_file(named[n], a), named[n].file_dtype) for n, a in feeds.items()}

    def outputs(self, outputs: Feeds) -> dict[str, Array]:
        """The outputs by the common names, in the common layout."""
        named = {match.file: match for match in self.matches if match.side == "output"}
        if not named:
            return permuted(outputs, self.permute_outputs)
        ours = {n: as_model(named[n], np.asarray(a)) for n, a in outputs.items() if n in named}
        return {named[n].model: _as_wide(a, named[n].model_dtype) for n, a in ours.items()}


def permuted(arrays: Feeds, permutations: Permutations) -> dict[str, Array]:
    """The arrays with the named ones transposed (and contiguous).

    Raises:
        BadInput: the axes don't fit the array.
    """
    result = dict(arrays)
    for name, axes in permutations.items():
        if name not in result:
            continue
        if sorted(axes) != list(range(result[name].ndim)):
            raise BadInput(
                f"axes {list(axes)} don't permute {name!r} of shape {list(result[name].shape)}",
                remedy="name each axis of it once, from 0 on",
            )
        result[name] = np.require(np.transpose(result[name], axes), requirements="C")
    return result


def _as_taken(array: Array, dtype: str) -> Array:
    """Floats as another float dtype, truth values as integers; what else a file takes, its runtime makes of them."""
    kind = {"f": "float", "b": "int"}.get(array.dtype.kind)
    return array.astype(dtype) if kind and kind in dtype else array


def _as_wide(array: Array, dtype: str) -> Array:
    """Floats as floats and integers as integers of the model's width, or truth values, where no value changes by it."""
    kinds = array.dtype.kind, np.dtype(dtype).kind
    if kinds == ("f", "f"):
        return array.astype(dtype)
    cast = array.astype(dtype) if set(kinds) <= {"i", "u", "b"} else array
    return cast if np.array_equal(cast, array) else array


def receipt_result(receipt: Receipt) -> ReceiptResult:
    """A receipt as the report holds it; where it was measured is the row's."""
    told = {name: value for name, value in vars(receipt).items() if name != "measured"}
    return ReceiptResult(**(told | {"notes": list(receipt.notes), "fallback": list(receipt.fallback)}))
