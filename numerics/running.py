"""Fidelity sample by sample: SQNR of a tensor and of the groups of its channels, in memory that samples don't grow.

The figures are those of ``fidelity``, which holds all samples of an output at once. Here, of each axis that may count
channels, there are sums for each channel; the groups are found from them when all samples are in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .fidelity import STEP
from .groups import MIN_VALUES, UNIT, ranges, split

if TYPE_CHECKING:
    from ..artifact import Array, Floats


class ChannelSums:
    """Sums over all values of each channel of one axis.

    Attributes:
        signal, noise: Σb² and Σ(a-b)², [channels].
        top: max |b|, [channels].
        low, high: Least and largest b, [channels].
        got_low, got_high: The same of a.
        off: max |a-b|, [channels].
        count: Values of a channel.
    """

    def __init__(self, channels: int) -> None:
        self.signal, self.noise, self.top, self.off = (np.zeros(channels) for _ in range(4))
        self.low, self.got_low = np.full(channels, np.inf), np.full(channels, np.inf)
        self.high, self.got_high = np.full(channels, -np.inf), np.full(channels, -np.inf)
        self.count = 0

    def settled(self, channels: list[int]) -> bool:
        """Whether they are settled, as ``fidelity`` says."""
        low, high, off = self.low[channels].min(), self.high[channels].max(), self.off[channels].max()
        return bool(low >= 0 and high <= UNIT and off <= STEP)

    def add(self, truth: Floats, got: Floats, axis: int) -> None:
        """Take in one sample; all its values are finite."""
        others = tuple(i for i in range(truth.ndim) if i != axis)
        low, high = truth.min(axis=others), truth.max(axis=others)
        self.signal += np.square(truth).sum(axis=others)
        error = truth - got
        self.noise += np.square(error).sum(axis=others)
        self.off = np.maximum(self.off, np.abs(error).max(axis=others))
        self.top = np.maximum(self.top, np.maximum(np.abs(low), np.abs(high)))
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.got_low = np.minimum(self.got_low, got.min(axis=others))
        self.got_high = np.maximum(self.got_high, got.max(axis=others))
        self.count += truth.size // truth.shape[axis]


class Running:
    """Errors of a tensor over samples that come one by one.

    Attributes:
        signal, noise: Σb² and Σ(a-b)².
        sum_abs, max_abs: Of a-b.
        low, high: Least and largest b.
        count: Values that both have finite.
        channels: Axis → its sums; the axes that may count channels, as long as all samples agree on their extent.
    """

    def __init__(self) -> None:
        self.signal = self.noise = self.sum_abs = self.max_abs = 0.0
        self.low, self.high = math.inf, -math.inf
        self.count = 0
        self.channels: dict[int, ChannelSums] | None = None

    def add(self, truth: Array, got: Array) -> None:
        """Take in one sample: arrays of one shape. Values that one of them has not finite count nowhere."""
        b, a = truth.astype(np.float64), got.astype(np.float64)
        finite = np.isfinite(a) & np.isfinite(b)
        whole = bool(finite.all())
        self._add_channels(b, a, whole)
        if not whole:
            a, b = a[finite], b[finite]
        if not b.size:
            return
        error = np.abs(a - b)
        self.signal += float(np.square(b).sum())
        self.noise += float(np.square(error).sum())
        self.sum_abs += float(error.sum())
        self.max_abs = max(self.max_abs, float(error.max()))
        self.low, self.high = min(self.low, float(b.min())), max(self.high, float(b.max()))
        self.count += b.size

    @property
    def exact(self) -> bool:
        return self.noise == 0

    @property
    def sqnr_db(self) -> float | None:
        """Of the whole; None when exact, or without signal."""
        return sqnr(self.signal, self.noise)

    @property
    def mean_abs(self) -> float:
        return self.sum_abs / max(1, self.count)

    def worst_group(self) -> tuple[float | None, str]:
        """The least SQNR of a group of channels that isn't settled, and which these are; of the whole, and nothing,
        with one group."""
        found = [(self.sqnr_db, "")]
        for sums in (self.channels or {}).values():
            parts = split(sums.top) if sums.count >= MIN_VALUES else []
            for part in parts if len(parts) > 1 else ():
                signal, noise = float(sums.signal[part].sum()), float(sums.noise[part].sum())
                if noise and not sums.settled(part):
                    found.append((sqnr(signal, noise), ranges(part)))
        return min(found, key=lambda f: math.inf if f[0] is None else f[0])

    def _add_channels(self, truth: Floats, got: Floats, whole: bool) -> None:
        axes = dict.fromkeys((1, truth.ndim - 1)) if truth.ndim > 1 and truth.size and whole else {}
        if self.channels is None:
            self.channels = {axis: ChannelSums(truth.shape[axis]) for axis in axes if truth.shape[axis] > 1}
        for axis, sums in list(self.channels.items()):
            if axis not in axes or sums.top.size != truth.shape[axis]:
                del self.channels[axis]
            else:
                sums.add(truth, got, axis)


def sqnr(signal: float, noise: float) -> float | None:
    """In dB; None without noise or without signal."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
