"""What the sessions of all runtimes share: a checked feed, and a call that can be timed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, Feeds, Receipt, TensorSpec
from ..errors import BadInput

if TYPE_CHECKING:
    from ..artifact import Array


ANOTHER_FILE = "the file is another one than was made: convert the model again, and change nothing in it"
"""What helps where a file's inputs and outputs aren't those that it was made with."""

TRY_TFLITE = (
    "run the file on the target tflite: what fails there too is the fault of the file; else take another target"
)
"""What helps where the runtime or the compiler of a target fails on a TFLite file."""


class LoadedModel(ABC):
    """A loaded model.

    ``run`` takes and gives numpy arrays by the model's names. ``prepare`` does once what belongs to no
    inference (checks, conversion of the feeds to the runtime's own type) and returns the call that latency is
    measured on: from the runtime's inputs in host memory to its outputs in host memory.

    Attributes:
        elapsed_ns: Nanoseconds of the last load or run by a clock where the model runs; None where that is here, and
            the one who asks can time it.
    """

    elapsed_ns: int | None = None

    @property
    @abstractmethod
    def receipt(self) -> Receipt:
        """What was asked and what ran; complete after the first run."""

    @abstractmethod
    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run once; returns output name → array in the model's order."""

    @abstractmethod
    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        """The bare inference on these feeds, as a call without arguments."""

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """Nanoseconds of each of ``repeats`` inferences, by a clock where the model runs."""
        call, clock, times = self.prepare(feeds), time.perf_counter_ns, []
        for _ in range(repeats):
            begin = clock()
            call()
            times.append(clock() - begin)
        return times

    def memory(self) -> tuple[int, int] | None:
        """Bytes of peak resident memory, and of what was resident before loading, where the model runs.

        None: in this process, where the one who asks can see for itself.
        """
        return None


def receipt(fields: Mapping[str, Any]) -> Receipt:
    """A receipt of what a backend told."""
    read: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Receipt(**read)


def check_kind(artifact: Artifact, kind: str, runtime: str) -> None:
    """Raise BadInput when ``runtime`` doesn't run this kind of file."""
    if artifact.kind != kind:
        raise BadInput(
            f"{runtime} runs {kind} models, and this is {artifact.kind or 'of unknown kind'}",
            where=str(artifact.path),
            remedy=f"give it a file of the kind {kind}, or choose another target",
        )


def checked(feeds: Feeds, specs: Sequence[TensorSpec], *, where: str) -> dict[str, Array]:
    """The feeds in the order of ``specs``, with the dtypes of ``specs``.

    An integer array of another width is taken when every value fits (token ids are int64 in PyTorch and may
    be int32 in TFLite). Nothing else is cast.

    Raises:
        BadInput: a name is missing or unknown, a shape or a dtype doesn't fit.
    """
    names = [s.name for s in specs]
    if set(feeds) != set(names):
        raise BadInput(
            f"the model takes the inputs {names}, and was given {list(feeds)}",
            where=where,
            remedy="name each input as the model does",
        )
    result: dict[str, Array] = {}
    for spec in specs:
        array = np.asarray(feeds[spec.name])
        if not spec.accepts(array.shape):
            raise BadInput(
                f"input {spec.name!r} has shape {list(spec.shape)}, and was given {list(array.shape)}",
                where=where,
                remedy="feed arrays of the shape that the model takes, or convert it with that shape: --input",
            )
        result[spec.name] = _as_dtype(array, spec, where)
    return result


def check_32_bits(feeds: Feeds, runtime: str, *, where: str) -> None:
    """Raise BadInput for an integer that a runtime would cut off, as its own have 32 bits whatever the file says."""
    for name, array in feeds.items():
        if array.dtype.kind in "iu" and not np.array_equal(array.astype(np.int32), array):
            raise BadInput(
                f"{runtime}'s integers have 32 bits, and {name!r} has a value beyond them",
                where=where,
                remedy="feed smaller values, or run the model on another target",
            )


def named(values: Sequence[Array], names: Sequence[str], *, where: str) -> dict[str, Array]:
    """Outputs by name, in order.

    Raises:
        BadInput: there are more or fewer values than names.
    """
    if len(values) != len(names):
        raise BadInput(
            f"the model gave {len(values)} outputs, and {len(names)} were expected: {list(names)}",
            where=where,
            remedy=ANOTHER_FILE,
        )
    return dict(zip(names, values, strict=True))


def _as_dtype(array: Array, spec: TensorSpec, where: str) -> Array:
    want = np.dtype(spec.dtype)
    if array.dtype == want:
        return np.require(array, requirements="C")  # unlike ascontiguousarray, it keeps rank 0
    if array.dtype.kind in "iu" and want.kind in "iu":
        cast = array.astype(want)
        if np.array_equal(cast, array):
            return cast
    raise BadInput(
        f"input {spec.name!r} is {spec.dtype}, and was given {array.dtype}",
        where=where,
        remedy=f"hand in an array of dtype {spec.dtype}",
    )
