"""Numbers for people: sizes, times, shares."""

from __future__ import annotations

import math


def size(count: float | None) -> str:
    """Bytes for people, in powers of 1000."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count:.0f} B"
    power = min(3, int(math.log10(count)) // 3)
    return f"{_three(count / 1000**power)} {('B', 'kB', 'MB', 'GB')[power]}"


def milliseconds(value: float | None) -> str:
    """A time in the unit that fits, with three significant digits."""
    if value is None:
        return "–"
    if value < 1:
        return f"{_three(value * 1000)} µs"
    return f"{_three(value)} ms" if value < 1000 else f"{_three(value / 1000)} s"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def quanta(count: float) -> str:
    """Steps of a quantized tensor's scale."""
    return f"{six_digits(count)} quant{'um' if count == 1 else 'a'}"


def six_digits(value: float) -> str:
    """For limits and what they are held against; all digits of a large number, as bytes are counted exactly."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"


def _three(value: float) -> str:
    """Three significant digits, no exponent."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, digits)}f}"
