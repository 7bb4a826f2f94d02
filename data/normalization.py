"""The range that a model was trained on, as its first batch normalization remembers it.

An example that was drawn says nothing of the range of an input. The running mean and variance of a batch normalization
do: they are what training saw behind the layers before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput
from ..source.load import Source

if TYPE_CHECKING:
    from ..artifact import Array

_FEEDS = 4
"""Feeds that go through the model's first layers."""

_OPERATORS = ("aten::native_batch_norm", "aten::_native_batch_norm_legit_no_training", "aten::batch_norm")


@dataclass(frozen=True)
class Normalization:
    """What data looks like to a batch normalization, against its training.

    Attributes:
        width: Deviation of its input ÷ the running one, the median over channels.
        shift: Distance of the means in running deviations, the median over channels.
    """

    width: float
    shift: float


@dataclass(frozen=True)
class _Seen:
    """Of one run: sums of values and squares by channel, how many there were, and the running mean and variance."""

    sums: Array
    squares: Array
    count: int
    mean: Array
    variance: Array


class _Enough(BaseException):
    """What comes after the first batch normalization is of no interest. No user code may catch it."""


def observed(source: Source, feeds: Iterable[Mapping[str, Array]]) -> Normalization | None:
    """What the first batch normalization that runs sees of a few feeds; None where there is none, or it wasn't trained.

    Raises:
        BadInput: the model can't run on the data.
    """
    if source.module is None or not any("running_mean" in name for name, _ in source.module.named_buffers()):
        return None
    found = [seen for _, feed in zip(range(_FEEDS), feeds, strict=False) if (seen := _until_norm(source, feed))]
    if not found:
        return None
    mean, variance = found[0].mean, found[0].variance
    if not mean.any() and (variance == 1).all():
        return None
    count = sum(seen.count for seen in found)
    means = np.sum([seen.sums for seen in found], 0) / count
    variances = np.maximum(np.sum([seen.squares for seen in found], 0) / count - means**2, 0)
    alive = variance > np.median(variance) * 1e-6
    if not alive.any():
        return None
    deviation = np.sqrt(variance[alive])
    return Normalization(
        width=float(np.median(np.sqrt(variances[alive]) / deviation)),
        shift=float(np.median(np.abs(means - mean)[alive] / deviation)),
    )


def _until_norm(source: Source, feed: Mapping[str, Array]) -> _Seen | None:
    """What comes to the first batch normalization; the model runs no further."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[_Seen] = []

    def watch(_: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name().partition(".")[0] in _OPERATORS and args[3] is not None:
            x = args[0].double().transpose(0, 1).flatten(1)
            arrays = (t.double().numpy() for t in (x.sum(1), x.square().sum(1), args[3], args[4]))
            sums, squares, mean, variance = arrays
            found.append(_Seen(sums, squares, x.shape[1], mean, variance))
            raise _Enough
        return func(*args, **(kwargs or {}))

    mode: Any = type("Watch", (TorchDispatchMode,), {"__torch_dispatch__": watch})
    try:
        with mode():
            source.run(feed)
    except (_Enough, BadInput):  # TorchScript's interpreter makes an error of its own of whatever is raised in it
        if not found:
            raise
    return found[0] if found else None
