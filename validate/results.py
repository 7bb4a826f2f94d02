"""Everything that `report.json` holds, as pydantic models.

One schema serves the stages (which fill it in), the gate and the reports (which read it) and ``report.json``
(its JSON schema is ``Report.model_json_schema()``). Conventions:

- Field names carry the unit: ``_ms`` milliseconds, ``_bytes``, ``_db`` decibels, ``seconds``.
- Every number is finite. What doesn't exist is None: an SQNR without noise is ``sqnr_db=None`` with
  ``exact=True``, a metric that makes no sense for a tensor (top-1 of a feature map) is None too.
- ``status`` says how a row ended: ``pass``, ``fail``, ``inconclusive``, ``error`` (the runtime raised,
  crashed or hung; ``failure`` holds the message), ``skipped`` (not available here; ``failure`` says why), or
  ``reference`` (the row that others are measured against, or one that has no verdict of its own).
- Rows of parity, latency and accuracy that speak of one file carry its ``artifact`` name, the key of
  ``Report.artifacts``; rows without a file (PyTorch) carry None.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ..analysis import QuantizationAnalysis
from ..config import GateTable
from ..numerics.comparison import Errors
from ..numerics.fidelity import Group, worst
from ..schemes import FLOAT32
from ..vocabulary import MeasuredWhere
from .accuracy_results import AccuracyResult as AccuracyResult
from .accuracy_results import AccuracyRow as AccuracyRow
from .accuracy_results import WorstSample as WorstSample
from .advice import RecommendationResult
from .host import Host
from .made import (
    ArtifactResult,
    ConversionResult,
    ExportResult,
    InputHash,
    ModelInfo,
    QuantizationResult,
    Revision,
    SamplesAre,
    TensorInfo,
)
from .record import GateStatus, Record, Status

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes; new optional fields don't raise it."""


# ---- Parity ----


class ReceiptResult(Record):
    """What was asked of a runtime and what ran (see ``artifact.Receipt``)."""

    asked: str
    ran: str
    nodes: int | None = None
    delegated: int | None = None
    partitions: int | None = None
    precision: str = "float32"
    notes: list[str] = Field(default_factory=list)
    fallback: list[str] = Field(
        default_factory=list, description="nodes that the delegate didn't take, as operator and name"
    )
    kernels: str = Field(
        default="", description="family of kernels, on all of which integers come out alike; empty: what ran is its own"
    )

    @property
    def family(self) -> str:
        """The family of kernels that computed integers."""
        return self.kernels or self.ran

    @property
    def said(self) -> str:
        """In a few words: ``XNNPACK, 12 of 13 nodes in 2 partitions``."""
        if self.nodes is None or self.delegated is None:
            return self.ran
        parts = f" in {self.partitions} partition{'' if self.partitions == 1 else 's'}" if self.partitions else ""
        return f"{self.ran}, {self.delegated} of {self.nodes} nodes{parts}"


class EdgeError(Record):
    """What is wrong with an output at an edge."""

    edge: str = Field(description="zeros, ties, equal rows, large values …")
    problem: str = Field(description="in words")
    max_abs: float | None = Field(default=None, description="largest error; None: it is no matter of size")


class OutputParity(Record):
    """One output of one hop."""

    name: str
    dtype: str
    shapes: list[list[int]] = Field(description="the distinct shapes over the samples")
    problems: list[str] = Field(
        default_factory=list, description="wrong shape, dtype, NaN or Inf; with any there are no numbers"
    )
    vs_truth: Errors | None = Field(default=None, description="accumulated error: against the truth")
    groups: list[Group] = Field(
        default_factory=list, description="vs_truth of channels of different scale, such as boxes and scores"
    )
    saturated: float = Field(default=0.0, description="share of the truth's values beyond what the output reaches")
    dead: float = Field(default=0.0, description="share of the channels that move in the truth, and here never do")
    vs_previous: Errors | None = Field(default=None, description="this hop's own share: against the hop before")
    noise_ratio: float | None = Field(
        default=None, description="error against the truth ÷ noise floor; of rms and max error the larger quotient"
    )
    noise_floor: float | None = Field(default=None, description="the floor that noise_ratio was taken against (rms)")
    limit: str = Field(default="", description="the rule that applied, in words")
    bound: float | None = Field(
        default=None, description="of that rule: most noise floors, or least SQNR in dB; None: the rule is another"
    )
    passed: bool | None = Field(default=None, description="None: no rule applied (reference rows)")
    quanta: float | None = Field(
        default=None,
        description="largest difference to the hop that counted_from names, in steps of the output's scale; None: the "
        "output has none, or this is that hop",
    )
    quanta_limit: float | None = Field(default=None, description="most quanta that pass (see docs/targets.md)")
    quanta_apart: float | None = Field(
        default=None, description="what TFLite's families of kernels differ by here, where quanta are more than 1"
    )
    breach: str = Field(
        default="", description="what broke the rule, in a few words, where the figure alone doesn't show it"
    )
    edges: list[EdgeError] = Field(
        default_factory=list, description="what is wrong at zeros, ties and extremes, where the samples pass"
    )
    remedy: str = Field(default="", description="what to do where it didn't pass")
    notes: list[str] = Field(default_factory=list)

    @property
    def worst_group(self) -> Group | None:
        """The group of channels with the least SQNR; None where all channels are one group."""
        return worst(self.groups)

    @property
    def worst(self) -> Errors | None:
        """Against the truth: of the group of channels, or the whole, whose SQNR is least."""
        group = self.worst_group
        found = [e for e in (self.vs_truth, group.errors if group else None) if e]
        return min(found, key=lambda errors: errors.quality_db, default=None)


class Hop(Record):
    """One step of the chain: a runtime on an artifact."""

    name: str = Field(description="as shown, such as 'TFLite int8'")
    runtime: str
    artifact: str | None = None
    scheme: str = FLOAT32.name
    previous: str | None = Field(default=None, description="name of the hop that vs_previous compares with")
    counted_from: str | None = Field(
        default=None, description="the run of the same file that quanta are counted from: LiteRT's on this CPU"
    )
    status: Status
    reason: str = Field(default="", description="one sentence: why it passed, failed or was not run")
    failure: str | None = Field(default=None, description="the runtime's message when status is error or skipped")
    remedy: str = Field(default="", description="what to do where it failed")
    receipt: ReceiptResult | None = None
    outputs: list[OutputParity] = Field(default_factory=list)
    seconds: float = 0.0


class NoiseFloor(Record):
    """The least error that float32 arithmetic makes on an output; float artifacts are judged against it."""

    output: str
    rms: float
    max_abs: float
    least: bool = Field(description="True: the measured error was smaller than 4·eps·max|truth|, which stands in")


class ParityResult(Record):
    """One set of inputs through every hop."""

    status: Status
    samples: int
    seed: int | None = Field(default=None, description="of the random inputs; None when the inputs were given")
    inputs: str = Field(default="", description="where the inputs came from")
    samples_are: SamplesAre = Field(default="", description="whether ranges were taken from them; empty: not known")
    truth: str = Field(description="name of the hop that counts as truth")
    floor_method: str = Field(description="how the noise floor was found, in words")
    multiple: float = Field(description="a float artifact passes within this many noise floors")
    floor: list[NoiseFloor] = Field(default_factory=list)
    hops: list[Hop]
    notes: list[str] = Field(default_factory=list)

    def hop(self, name: str) -> Hop | None:
        """The hop with this name, or with this artifact key."""
        return next((h for h in self.hops if name in (h.name, h.artifact)), None)


# ---- Latency ----


class LatencyRow(Record):
    """One artifact on one runtime with a number of threads. All times are of one inference."""

    name: str = Field(description="as shown, such as 'TFLite int8'")
    runtime: str
    artifact: str | None = None
    scheme: str = FLOAT32.name
    threads: int
    status: Status = Field(description="pass, error or skipped")
    failure: str | None = None
    receipt: ReceiptResult | None = None
    measured: MeasuredWhere = Field(
        default="host", description="on the device, on this host, emulated (says nothing of speed), or estimated"
    )
    size_bytes: int | None = None
    load_ms: float | None = Field(default=None, description="from file to ready, without the runtime's own import")
    first_ms: float | None = Field(default=None, description="first inference after loading")
    runs: int = Field(default=0, description="timed inferences")
    rounds: int = Field(default=0, description="turns that they were spread over")
    warmup_runs: int = 0
    steady: bool | None = Field(default=None, description="False: the warm-up ended by its limit, not by steadiness")
    min_ms: float | None = None
    mean_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    p50_low_ms: float | None = Field(default=None, description="lower end of the median's 95 % bootstrap interval")
    p50_high_ms: float | None = Field(default=None, description="upper end")
    p90_low_ms: float | None = None
    p90_high_ms: float | None = None
    p99_low_ms: float | None = None
    p99_high_ms: float | None = None
    quantiles_ms: list[float] = Field(
        default_factory=list, description="quantiles 0, 5, … 100 % (21 values), for plots of the distribution"
    )
    peak_rss_bytes: int | None = Field(default=None, description="peak resident memory of the worker process")
    model_rss_bytes: int | None = Field(
        default=None,
        description="growth of peak memory from before loading to the end: the model without the runtime",
    )
    ratio: float | None = Field(default=None, description="median ÷ the baseline's median; below 1 is faster")
    ratio_low: float | None = Field(default=None, description="lower end of the ratio's 95 % bootstrap interval")
    ratio_high: float | None = None
    verdict: Literal["baseline", "faster", "slower", "inconclusive", "not comparable"] | None = None
    notes: list[str] = Field(default_factory=list)


class LatencyResult(Record):
    """All rows were loaded together and timed in turns, one worker at a time."""

    status: Status
    rows: list[LatencyRow]
    baseline: str | None = Field(default=None, description="name of the baseline row")
    baseline_threads: int | None = Field(
        default=None,
        description="threads of the baseline row; other rows are compared at their own thread count first",
    )
    inputs: list[TensorInfo] = Field(default_factory=list, description="what was fed, in the common layout")
    seconds_per_row: float = Field(description="time budget of each row")
    total_seconds: float = 0.0
    notes: list[str] = Field(default_factory=list)

    @property
    def fed(self) -> str:
        """What was fed, in words."""
        return ", ".join(map(str, self.inputs))


# ---- Gate and the whole ----


class GateLine(Record):
    """One requirement of ``[gate]`` on one subject."""

    check: str = Field(description="the key in [gate]: parity, sqnr_db, accuracy_drop, size_ratio …")
    subject: str = Field(description="the artifact or row that it looked at")
    status: GateStatus
    limit: float | str | None = None
    measured: float | str | None = None
    unit: str = ""
    message: str = Field(description="the line in words")
    remedy: str = Field(default="", description="what to do where it doesn't pass and the message doesn't say")


class GateResult(Record):
    """The verdict; ``fail`` exits with 1, ``inconclusive`` with 4."""

    status: GateStatus
    lines: list[GateLine] = Field(default_factory=list)
    limits: GateTable = Field(default=GateTable(), description="the [gate] that the report was held against")
    origin: str = Field(default="", description="where the limits are from")

    @property
    def failing(self) -> list[GateLine]:
        return [line for line in self.lines if line.status == "fail"]

    @property
    def exit_code(self) -> int:
        return {"pass": 0, "fail": 1, "inconclusive": 4}[self.status]


class Report(Record):
    """The whole of ``report.json``. A stage that did not run is None (or an empty list)."""

    schema_version: int = SCHEMA_VERSION
    edgeworthy: str = Field(description="version of edgeworthy")
    created: datetime
    command: str = ""
    options: dict[str, str | int | float | bool | list[str] | None] = Field(default_factory=dict)
    revision: Revision | None = Field(default=None, description="None: the project is in no git repository")
    inputs: list[InputHash] = Field(default_factory=list, description="what the run was given")
    host: Host
    model: ModelInfo
    artifacts: list[ArtifactResult] = Field(default_factory=list)
    export: ExportResult | None = None
    conversion: ConversionResult | None = None
    quantization: list[QuantizationResult] = Field(default_factory=list)
    fidelity: ParityResult | None = Field(
        default=None, description="the quantized files against the float32 file, where parity was not measured"
    )
    speed: LatencyResult | None = Field(
        default=None, description="the quantized files and the float32 file, timed in turns, where bench was not run"
    )
    analyses: list[QuantizationAnalysis] = Field(default_factory=list, description="the worst of each quantized file")
    recommendation: RecommendationResult | None = Field(
        default=None, description="which of the ways to quantize the model to take (`recommend`)"
    )
    parity: ParityResult | None = None
    latency: LatencyResult | None = None
    accuracy: AccuracyResult | None = None
    limits: GateTable = Field(default=GateTable(), description="the [gate] that the run was configured with")
    gate: GateResult | None = Field(default=None, description="the run's own verdict, by its own limits")
    stage_seconds: dict[str, float] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(
        default_factory=list, description="what a reader must not miss, such as random calibration data"
    )

    def artifact(self, name: str) -> ArtifactResult | None:
        """The artifact with this key."""
        return next((a for a in self.artifacts if a.name == name), None)
