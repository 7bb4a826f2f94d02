"""Rules of the lint that need what samples did to the tensors (``per_layer.Layer``)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...numerics.groups import MIN_VALUES, ranges, split
from .file_rules import FIXED
from .rules import LEVELS, Linted, Said

SATURATED = 0.01
"""Share of a tensor's values beyond its range from which on it is too narrow."""

SUM_OFF = 0.1
"""How far the shares of a SOFTMAX may be from 1 together."""

_MOVES = 2.0
"""Steps that a channel has to move in the float file to count as lost when it doesn't move any more."""


def mixed_activations(subject: Linted) -> Iterator[Said]:
    """Groups of channels so much smaller than others of their scale that few levels are left to them."""
    for layer in subject.layers:
        for sums in (layer.rounding.channels or {}).values() if layer.grid else ():
            parts = split(sums.top) if sums.count >= MIN_VALUES else []
            for part in parts[1:]:
                levels = float(sums.high[part].max() - sums.low[part].min()) / layer.grid.scale if layer.grid else 0.0
                if levels < LEVELS:
                    yield Said(
                        layer.place,
                        f"channels {ranges(part)} reach ±{sums.top[part].max():.3g} and others ±{sums.top.max():.3g} "
                        f"in one scale, which leaves them {levels:.1f} levels",
                    )


def constant_activations(subject: Linted) -> Iterator[Said]:
    """Channels that move in the float file and not any more, by the operator's own doing."""
    for layer in subject.layers:
        step, channels = layer.grid.scale if layer.grid else 0.0, layer.local.channels or {}
        if not channels:
            continue
        sums = channels[max(channels)]
        dead = (sums.high - sums.low > _MOVES * step) & (sums.got_low == sums.got_high)
        if dead.any():
            which = "all its channels" if dead.all() else f"channels {ranges(np.flatnonzero(dead).tolist())}"
            yield Said(layer.place, f"{which} are constant on all samples, and move in the float file")


def saturated_activations(subject: Linted) -> Iterator[Said]:
    """Ranges that values lie beyond."""
    for layer in subject.layers:
        share = layer.beyond / max(1, layer.rounding.count)
        if layer.grid and share > SATURATED:
            low, high = layer.grid.limits
            yield Said(
                layer.place,
                f"{share:.1%} of its values lie beyond {low:.3g} … {high:.3g}: they reach {layer.rounding.low:.3g} … "
                f"{layer.rounding.high:.3g}",
            )


def wide_ranges(subject: Linted) -> Iterator[Said]:
    """Ranges that values use little of."""
    for layer in subject.layers:
        if layer.grid is None or not layer.rounding.count or layer.op in FIXED:
            continue
        levels = (layer.rounding.high - layer.rounding.low) / layer.grid.scale
        if 0 < levels < LEVELS:
            low, high = layer.grid.limits
            yield Said(
                layer.place,
                f"its values use {levels:.1f} levels: they reach {layer.rounding.low:.3g} … {layer.rounding.high:.3g} "
                f"of {low:.3g} … {high:.3g}",
            )


def softmax_sums(subject: Linted) -> Iterator[Said]:
    """Shares that don't sum to about 1."""
    for layer in subject.layers:
        low, high = layer.sums
        if low <= high and (low < 1 - SUM_OFF or high > 1 + SUM_OFF):
            yield Said(layer.place, f"its shares sum to {low:.2f} … {high:.2f}")
