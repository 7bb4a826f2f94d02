"""The gate: `[gate]` of the configuration held against a report, one line for every limit and subject.

A limit that was asked for and has no measurement fails: a gate that passes because nothing was measured is no
gate. Sizes and accuracies are facts of the files and the data, so they pass or fail. Latency is a sample of a
noisy quantity: it passes or fails only when the whole 95 % interval of the ratio is on one side of the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ..config import EVERY, GateTable
from ..schemes import FLOAT32, SCHEMES
from .results import AccuracyRow, ArtifactResult, GateLine, GateResult, Hop, LatencyRow, Report
from .summary import six_digits

Row = TypeVar("Row", ArtifactResult, Hop, LatencyRow, AccuracyRow)
Status = Literal["pass", "fail", "inconclusive", "skipped"]


@dataclass(frozen=True)
class Measured:
    """A number with the ends of its interval (the number itself where there is no noise)."""

    value: float
    low: float
    high: float
    note: str = ""

    @classmethod
    def exactly(cls, value: float, note: str = "") -> Measured:
        return cls(value, value, value, note)


@dataclass(frozen=True)
class Check(Generic[Row]):
    """How one key of ``[gate]`` is measured on a row; ``measure`` gives None where it makes no sense."""

    key: str
    rows: Sequence[Row]
    measure: Callable[[Row], Measured | None]
    unit: str = ""
    least: bool = False

    def lines(self, limits: Mapping[str, float]) -> Iterator[GateLine]:
        for name, limit in limits.items():
            chosen = [r for r in self.rows if name == EVERY or name in names_of(r)]
            found = [(r, m) for r in chosen if (m := self.measure(r))]
            for row, measured in found:
                yield self._line(_title(row), measured, limit)
            if not found:
                yield self._unmeasured(name, limit)

    def _line(self, subject: str, measured: Measured, limit: float) -> GateLine:
        near, far = (-measured.low, -measured.high) if self.least else (measured.high, measured.low)
        bound = -limit if self.least else limit
        status: Status = "pass" if near <= bound else "fail" if far > bound else "inconclusive"
        value = measured.value if math.isfinite(measured.value) else "exact"
        shown = value if isinstance(value, str) else six_digits(value)
        return GateLine(
            check=self.key,
            subject=subject,
            status=status,
            limit=limit,
            measured=value,
            unit=self.unit,
            message=f"{subject}: {shown}{measured.note}, {self._bound(limit)}",
        )

    def _unmeasured(self, name: str, limit: float) -> GateLine:
        subject = "every artifact" if name == EVERY else name
        return GateLine(
            check=self.key,
            subject=subject,
            status="fail",
            limit=limit,
            unit=self.unit,
            message=f"{subject}: not measured, {self._bound(limit)}",
        )

    def _bound(self, limit: float) -> str:
        return f"at {'least' if self.least else 'most'} {six_digits(limit)} {self.unit}".rstrip()


def evaluate(report: Report, rules: GateTable) -> GateResult:
    """Hold ``rules`` against ``report``.

    Returns:
        ``fail`` if any line fails, else ``inconclusive`` if any is, else ``pass``.
    """
    lines = [*_must_convert(report, rules.must_convert), *_parity(report, rules)]
    hops = [h for h in (report.parity.hops if report.parity else []) if h.status != "reference"]
    timed = [r for r in (report.latency.rows if report.latency else []) if r.verdict != "baseline"]
    scored = [r for r in (report.accuracy.rows if report.accuracy else []) if r.status != "reference"]
    baseline = report.latency.baseline if report.latency else None
    lines += Check("noise_ratio", hops, _noise_ratio, "noise floors").lines(rules.noise_ratio)
    lines += Check("sqnr_db", hops, _sqnr, "dB", least=True).lines(rules.sqnr_db)
    lines += Check("accuracy_drop", scored, _accuracy_drop).lines(rules.accuracy_drop)
    lines += Check("size_bytes", report.artifacts, _size, "bytes").lines(rules.size_bytes)
    lines += Check("size_ratio", report.artifacts, _size_ratio(report), "× float32").lines(rules.size_ratio)
    lines += Check("latency_ratio", timed, _latency_ratio, f"× {baseline}").lines(rules.latency_ratio)
    found = {line.status for line in lines}
    status: Literal["pass", "fail", "inconclusive"] = (
        "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"
    )
    return GateResult(status=status, lines=lines, limits=rules)


def names_of(row: ArtifactResult | Hop | LatencyRow | AccuracyRow) -> set[str]:
    """What a limit may call a row: title, artifact key, a TFLite file's scheme, the scheme's alias."""
    key = row.name if isinstance(row, ArtifactResult) else row.artifact or row.runtime
    names = {row.name, key}
    for scheme in SCHEMES.values():
        if key == scheme.artifact:
            names |= set(scheme.names)
    return names | {"tflite"} if key == FLOAT32.artifact else names


def _title(row: ArtifactResult | Hop | LatencyRow | AccuracyRow) -> str:
    if isinstance(row, LatencyRow):
        return f"{row.name}, {row.threads} thread{'' if row.threads == 1 else 's'}"
    return row.path if isinstance(row, ArtifactResult) else row.name


# -- must_convert and parity: no numbers of their own --------------------------------------------------


def _must_convert(report: Report, wanted: list[str] | None) -> Iterator[GateLine]:
    conversion = report.conversion
    failures = {name: q.failure for q in report.quantization if q.failure for name in SCHEMES[q.scheme].names}
    if wanted is None:
        wanted = [*(conversion.targets if conversion else []), *(q.scheme for q in report.quantization)]
    for name in wanted:
        there = any(name in names_of(a) for a in report.artifacts)
        why = failures.get(name) or (conversion.failure if conversion else None)
        yield GateLine(
            check="must_convert",
            subject=name,
            status="pass" if there else "fail",
            limit="exists",
            measured="exists" if there else "missing",
            message=f"{name}: made" if there else f"{name}: missing, {why or 'nobody made it'}",
        )


def _parity(report: Report, rules: GateTable) -> Iterator[GateLine]:
    if not rules.parity:
        return
    if report.parity is None:
        asked = "parity" in rules.model_fields_set
        yield GateLine(
            check="parity",
            subject="all hops",
            status="fail" if asked else "skipped",
            message="parity was not measured; `edgeworthy validate` does",
        )
        return
    for hop in report.parity.hops:
        if hop.status == "reference":
            continue
        limits = sorted({o.limit for o in hop.outputs if o.limit})
        yield GateLine(
            check="parity",
            subject=hop.name,
            status="fail" if hop.status == "error" else hop.status,
            limit="; ".join(limits) or None,
            measured=hop.status,
            message=f"{hop.name}: {hop.failure or hop.reason or hop.status}",
        )


# -- the measures --------------------------------------------------------------------------------


def _noise_ratio(hop: Hop) -> Measured | None:
    ratios = [o.noise_ratio for o in hop.outputs if o.noise_ratio is not None]
    return Measured.exactly(max(ratios)) if ratios else None


def _sqnr(hop: Hop) -> Measured | None:
    errors = [o.worst for o in hop.outputs if o.worst]
    values = [math.inf if e.exact else e.sqnr_db for e in errors]
    known = [v for v in values if v is not None]
    return Measured.exactly(min(known)) if known else None


def _accuracy_drop(row: AccuracyRow) -> Measured | None:
    if row.drop is None:
        return None
    known = row.drop_low is not None and row.drop_high is not None
    return Measured.exactly(row.drop, f" (95 % interval {row.drop_low:.3g} to {row.drop_high:.3g})" if known else "")


def _size(artifact: ArtifactResult) -> Measured:
    return Measured.exactly(artifact.size_bytes)


def _size_ratio(report: Report) -> Callable[[ArtifactResult], Measured | None]:
    base = report.artifact(FLOAT32.artifact)

    def ratio(artifact: ArtifactResult) -> Measured | None:
        if base is None or artifact.kind != "tflite" or artifact.name == base.name:
            return None
        return Measured.exactly(artifact.size_bytes / base.size_bytes)

    return ratio


def _latency_ratio(row: LatencyRow) -> Measured | None:
    if row.ratio is None:
        return None
    low = row.ratio if row.ratio_low is None else row.ratio_low
    high = row.ratio if row.ratio_high is None else row.ratio_high
    return Measured(row.ratio, low, high, f" (95 % interval {low:.3g} to {high:.3g})")
