"""Metrics: what is measured of an artifact and can have a limit, one entry each.

An entry makes the key in ``[gate]`` (and in ``[gate.regression]``), the gate's lines and so the test cases of
``junit.xml``, and the columns of all tables. A new metric is one entry of ``METRICS``.

``of`` and its like are given a row of ``validate.summary``: ``row.artifact``, ``row.hop``, ``row.accuracy`` and
``row.latency``, of which the one that ``stage`` names is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .display import milliseconds, percent, size
from .schemes import FLOAT32, SCHEMES

Row = Any
"""A ``validate.summary.SummaryRow``: the table stands below the rooms that fill in rows."""

RowField = Literal["artifact", "hop", "accuracy", "latency"]
"""A field of a summary row that a stage fills."""


@dataclass(frozen=True)
class Metric:
    """Something that is measured.

    Attributes:
        key: In ``[gate]``; a dot stands for a table in the table.
        about: What is measured, in words that go on after "most".
        stage: The field of a row that it is read from.
        of: The number; None: it could not be measured.
        better: Whether a limit is the most or the least that passes.
        unit: Of limit and number; ``{baseline}`` is the row that latencies are compared with.
        show: The number in a table.
        title: Its column; empty: it has none.
        glance: Whether its column is in the table of all rows.
        rank: How soon a narrow terminal leaves the column out.
        applies: Rows on which it makes sense.
        interval: Ends of the 95 % interval; None without one.
        decides: Whether the whole interval must be on one side of a limit, or the number alone is held against it.
        regression: How it is held against an earlier report: new ÷ old, what was lost; None: not at all.
        basis: What must be the same in both reports, as attributes of a report.
        example: A limit, for the documentation.
        remedy: What helps where the limit is not kept.
    """

    key: str
    about: str
    stage: RowField
    of: Callable[[Row], float | None]
    better: Literal["less", "more"] = "less"
    unit: str = ""
    show: Callable[[float], str] = "{:.3g}".format
    title: str = ""
    glance: bool = False
    rank: int = 0
    applies: Callable[[Row], bool] = lambda row: True
    interval: Callable[[Row], tuple[float | None, float | None]] = lambda row: (None, None)
    decides: bool = True
    regression: Literal["ratio", "difference"] | None = None
    basis: tuple[str, ...] = ()
    example: float = 1.0
    remedy: str = ""


_FEWER_BITS = "keep in float what is sensitive (--exclude), calibrate on more and truer data, or take another scheme"
_FASTER = "quantize the file, take more threads (--threads), or make the model smaller"
_SMALLER = "quantize the file (--scheme), or make the model smaller"
_MACHINE = ("host.cpu", "host.logical_cores")


def _timed(row: Row) -> bool:
    """An emulator's times and memory say nothing of the device."""
    return row.latency is None or row.latency.measured != "emulated"


def _percentile(rank: int, *, glance: bool = False) -> Metric:
    return Metric(
        f"latency_ms.p{rank}",
        f"milliseconds of one inference, {'the median' if rank == 50 else f'of which {rank} % are faster'}",
        "latency",
        lambda row: getattr(row.latency, f"p{rank}_ms"),
        unit="ms",
        show=milliseconds,
        title="latency" if glance else f"p{rank}",
        glance=glance,
        rank=2,
        interval=lambda row: (getattr(row.latency, f"p{rank}_low_ms"), getattr(row.latency, f"p{rank}_high_ms")),
        applies=_timed,
        regression="ratio",
        basis=_MACHINE,
        example=5.0,
        remedy=_FASTER,
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        "noise_ratio",
        "error against the truth, in noise floors: of rms and largest error the larger quotient",
        "hop",
        lambda row: row.noise_ratio,
        unit="noise floors",
        applies=lambda row: SCHEMES[row.scheme].by_floor,
        example=5.0,
        remedy='the column "hop adds" tells which step makes the error; raise the limit if it is harmless',
    ),
    Metric(
        "sqnr_db",
        "signal to quantization noise against the truth, in dB, of the output and group of its channels that is worst",
        "hop",
        lambda row: row.sqnr_db,
        better="more",
        unit="dB",
        regression="difference",
        example=30.0,
        remedy=_FEWER_BITS,
    ),
    Metric(
        "top1_agreement",
        "share of the decisions (top-1 of a sample, step or pixel) that are the truth's",
        "hop",
        lambda row: row.top1_agreement,
        better="more",
        show=percent,
        regression="difference",
        example=0.98,
        remedy=_FEWER_BITS,
    ),
    Metric(
        "accuracy",
        "share of right answers on the labelled data",
        "accuracy",
        lambda row: row.accuracy.accuracy,
        better="more",
        show=percent,
        title="accuracy",
        glance=True,
        rank=1,
        interval=lambda row: (row.accuracy.low, row.accuracy.high),
        decides=False,
        regression="difference",
        basis=("accuracy.data", "accuracy.samples"),
        example=0.9,
        remedy=f"where PyTorch's own row is as low, it is the model; else {_FEWER_BITS}",
    ),
    Metric(
        "accuracy_drop",
        "accuracy lost against the reference, as a share (0.01 is one point)",
        "accuracy",
        lambda row: row.accuracy.drop,
        show=percent,
        applies=lambda row: row.accuracy is None or row.accuracy.status != "reference",
        interval=lambda row: (row.accuracy.drop_low, row.accuracy.drop_high),
        decides=False,
        example=0.01,
        remedy=_FEWER_BITS,
    ),
    Metric(
        "size_bytes",
        "bytes",
        "artifact",
        lambda row: row.artifact.size_bytes,
        unit="bytes",
        show=size,
        title="size",
        glance=True,
        rank=3,
        regression="ratio",
        example=300_000,
        remedy=_SMALLER,
    ),
    Metric(
        "size_mb",
        "megabytes (10⁶ bytes)",
        "artifact",
        lambda row: row.artifact.size_bytes / 1e6,
        unit="MB",
        remedy=_SMALLER,
    ),
    Metric(
        "size_ratio",
        "bytes, relative to the float32 TFLite file",
        "artifact",
        lambda row: row.size_ratio,
        unit="× float32",
        applies=lambda row: row.kind == "tflite" and row.scheme != FLOAT32.name,
        example=0.3,
        remedy="take a scheme of fewer bits; what --exclude keeps in float, and what isn't weights, doesn't shrink",
    ),
    _percentile(50, glance=True),
    _percentile(90),
    _percentile(99),
    Metric(
        "latency_ratio",
        "median latency, relative to the baseline of the bench",
        "latency",
        lambda row: row.latency.ratio,
        unit="× {baseline}",
        show="{:.2f}".format,
        title="÷ base",
        glance=True,
        rank=4,
        applies=lambda row: row.latency is None or row.latency.verdict != "baseline",
        interval=lambda row: (row.latency.ratio_low, row.latency.ratio_high),
        remedy="the report tells what ran on which kernels: take a scheme that they are made for, or more threads",
    ),
    Metric(
        "memory_mb",
        "megabytes (10⁶ bytes) that the process of runtime and model held at its peak",
        "latency",
        lambda row: row.latency.peak_rss_bytes and row.latency.peak_rss_bytes / 1e6,
        unit="MB",
        show=lambda megabytes: size(megabytes * 1e6),
        title="peak memory",
        applies=_timed,
        regression="ratio",
        basis=_MACHINE,
        example=250.0,
        remedy=_SMALLER,
    ),
    Metric(
        "first_inference_ms",
        "milliseconds of the first inference after loading",
        "latency",
        lambda row: row.latency.first_ms,
        unit="ms",
        show=milliseconds,
        title="first",
        applies=_timed,
        regression="ratio",
        basis=_MACHINE,
        example=50.0,
        remedy=_SMALLER,
    ),
    Metric(
        "load_ms",
        "milliseconds from file to ready",
        "latency",
        lambda row: row.latency.load_ms,
        unit="ms",
        show=milliseconds,
        title="load",
        applies=_timed,
        regression="ratio",
        basis=_MACHINE,
        example=100.0,
        remedy=_SMALLER,
    ),
)
"""Every metric, in the order of lines and columns."""
