"""What each quantized file lost and gained against the float32 file, and which is no good bargain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..schemes import FLOAT32, SCHEMES
from .made import ArtifactResult, QuantizationResult, Tradeoff
from .results import Hop, LatencyResult, LatencyRow, ParityResult

_RUNTIME = "tflite"
_BETTER_DB = 1.0
"""An SQNR that is higher by less is as good."""


def tradeoffs(
    artifacts: Sequence[ArtifactResult], quality: ParityResult | None, speed: LatencyResult | None
) -> dict[str, Tradeoff]:
    """Key of a quantized file → its trade-off. What was not measured, or couldn't be, is None in it.

    Args:
        quality: Parity on TFLite, or fidelity.
        speed: Latencies on TFLite; those on the fewest threads are taken.
    """
    whole = next((a.size_bytes for a in artifacts if a.name == FLOAT32.artifact or _is_float(a)), None)
    floating = _timed(speed, FLOAT32.artifact) or next((r for r in _rows(speed) if r.scheme == FLOAT32.name), None)
    found = {}
    for artifact in artifacts:
        if artifact.kind != "tflite" or _is_float(artifact):
            continue
        made = Tradeoff(
            size_ratio=artifact.size_bytes / whole if whole else None,
            samples_are=quality.samples_are if quality else "",
        )
        hop = next((h for h in quality.hops if _ran(h, artifact.name)), None) if quality else None
        made = made.model_copy(update=_quality(hop) | _speed(speed, _timed(speed, artifact.name), floating))
        found[artifact.name] = made
    return {key: made.model_copy(update={"beaten_by": _beaten_by(key, found)}) for key, made in found.items()}


def warnings(quantized: Sequence[QuantizationResult], speed: LatencyResult | None = None) -> Iterator[str]:
    """What a reader must not miss of quantized files: figures that flatter, what is slower than float32, or beaten.

    ``speed``: where they were timed besides; what couldn't be is told.
    """
    for row in speed.rows if speed else ():
        if row.failure:
            yield f"{row.name} could not be timed: {row.failure.splitlines()[0]}"
    for q in quantized:
        yield from _flattered(q)
    found = {q.artifact: (SCHEMES[q.scheme].short_name, q.tradeoff) for q in quantized if q.tradeoff}
    for name, one in found.values():
        if one.speed == "slower":
            interval = f"95 % interval {one.latency_low:.2f} to {one.latency_high:.2f}"
            yield f"{name} is slower than float32: {one.latency_ratio:.2f}× its latency ({interval})"
        if one.beaten_by in found:
            other, better = found[one.beaten_by]
            larger = (better.size_ratio or 0) > 1.05 * (one.size_ratio or 0)
            more = ", though larger" if larger else ""
            yield f"{name} is {one.said}, and {other} is both better and faster: {better.said}{more}"


def _flattered(made: QuantizationResult) -> Iterator[str]:
    """That the figure is of the samples that the ranges were made for."""
    figure, data = made.tradeoff, made.calibration
    if figure is None or data is None or figure.samples_are != "calibration" or figure.sqnr_db is None:
        return
    apart = data.samples - max(1, min(16, data.samples // 4))
    how = f"--samples {apart} holds {data.samples - apart} of the {data.samples} out" if apart else "give more samples"
    yield (
        f"{SCHEMES[made.scheme].short_name}: {figure.sqnr_db:.1f} dB is of the very samples that its ranges were taken "
        f"from, and others may be far worse: {how}, and --labelled judges on other data"
    )


def _is_float(artifact: ArtifactResult) -> bool:
    return artifact.kind == "tflite" and artifact.scheme == FLOAT32.name


def _ran(row: Hop | LatencyRow, key: str) -> bool:
    return row.artifact == key and row.runtime == _RUNTIME


def _rows(speed: LatencyResult | None) -> list[LatencyRow]:
    rows = [r for r in speed.rows if r.runtime == _RUNTIME and r.p50_ms is not None] if speed else []
    return sorted(rows, key=lambda row: row.threads)


def _timed(speed: LatencyResult | None, key: str) -> LatencyRow | None:
    return next((row for row in _rows(speed) if _ran(row, key)), None)


def _quality(hop: Hop | None) -> dict[str, object]:
    outputs = [o for o in hop.outputs if o.worst is not None] if hop else []
    if not outputs:
        return {}
    worst = min(outputs, key=lambda o: o.worst.quality_db if o.worst else 0.0)
    errors, group = worst.worst, worst.worst_group
    agreements = [o.vs_truth.top1_agreement for o in outputs if o.vs_truth and o.vs_truth.top1_agreement is not None]
    return {
        "output": worst.name,
        "channels": group.channels if group and group.errors is errors else "",
        "exact": bool(errors and errors.exact),
        "sqnr_db": errors.sqnr_db if errors else None,
        "top1_agreement": min(agreements, default=None),
    }


def _speed(speed: LatencyResult | None, row: LatencyRow | None, floating: LatencyRow | None) -> dict[str, object]:
    """Against the float32 file, with the interval where that was the baseline."""
    if speed is None or row is None or row.p50_ms is None or floating is None or not floating.p50_ms:
        return {}
    found: dict[str, object] = {"latency_ratio": row.p50_ms / floating.p50_ms}
    if speed.baseline == floating.name and row.verdict in ("faster", "slower", "inconclusive"):
        found |= {"latency_low": row.ratio_low, "latency_high": row.ratio_high, "speed": row.verdict}
    return found


def _beaten_by(key: str, found: Mapping[str, Tradeoff]) -> str | None:
    """The best of the files that are both truer and faster."""
    one = found[key]
    better = [
        name
        for name, other in found.items()
        if other.quality_db >= one.quality_db + _BETTER_DB and _is_faster(other, one)
    ]
    return max(better, key=lambda name: found[name].quality_db, default=None)


def _is_faster(one: Tradeoff, other: Tradeoff) -> bool:
    """Whether the whole interval is below the other's."""
    if one.latency_high is None or other.latency_low is None:
        return False
    return one.latency_high < other.latency_low
