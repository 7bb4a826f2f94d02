"""What must hold of every model; a bar that is missed is a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .make import REPAIRED
from .rows import OURS, Row

BARS = (
    "SQNR of int8 at least that of the better engine by itself, within 0.3 dB",
    "at least 25 dB when repaired",
    "int8 not slower than float",
    "int8 at most 27 % of the float file, of a convolutional net above 1 MB",
    "no failure",
)

WITHIN_DB, REPAIRED_DB = 0.3, 25.0
SLOWER, LARGER, LARGE_MB = 1.0, 0.27, 1.0
TIE = 0.05
"""Medians of one interleaved run repeat within this share of a ratio."""


def missed(rows: Sequence[Row]) -> list[str]:
    """All that misses a bar, in order of the models."""
    found = []
    for model in dict.fromkeys(row.model for row in rows):
        found += [f"{model}: {what}" for what in _of([row for row in rows if row.model == model])]
    return found


def _of(rows: Sequence[Row]) -> Iterator[str]:
    ours = {row.scheme: row for row in rows if row.by == OURS}
    yield from (f"{row.scheme}: {row.failure}" for row in ours.values() if row.failure)
    repaired = ours.get(REPAIRED)
    if repaired and repaired.worst_db is not None and repaired.worst_db < REPAIRED_DB:
        yield f"repaired: {repaired.worst_db:.1f} dB < {REPAIRED_DB:g} dB"
    int8 = ours.get("int8")
    if int8 is None or int8.worst_db is None or int8.size is None:
        return
    for row in rows:
        if row.by != OURS and row.worst_db is not None and int8.worst_db < row.worst_db - WITHIN_DB:
            yield f"int8: {int8.worst_db:.1f} dB, and {row.by} by itself has {row.worst_db:.1f} dB"
    if int8.latency is not None and int8.latency > SLOWER + TIE:
        yield f"int8: {int8.latency:.2f} × the float time"
    if int8.convolutional and (int8.float_mb or 0) > LARGE_MB and int8.size > LARGER:
        yield f"int8: {int8.size:.0%} of the float file's size"
