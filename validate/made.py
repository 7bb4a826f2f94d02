"""The records of a report that say what was brought and what was made: the model, its files, each stage."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from .. import files
from ..artifact import FloatOp
from ..schemes import FLOAT32
from .record import Record, Status

InputRole = Literal["source", "weights", "inputs", "calibration", "labelled"]
SamplesAre = Literal["", "held out", "calibration", "labelled", "random"]
"""What figures are of: samples that no range was taken from, or those that some were; labelled data; noise."""


class TensorInfo(Record):
    """A tensor of a signature; a string in ``shape`` is a dynamic dimension."""

    name: str
    dtype: str
    shape: list[int | str]

    def __str__(self) -> str:
        return f"{self.name}:{self.dtype}[{','.join(map(str, self.shape))}]"


class Revision(Record):
    """Where the user's project stood (made by ``pipeline.provenance``)."""

    commit: str = Field(description="hash of git's HEAD in the folder of the source, else in the current one")
    changed: bool = Field(description="tracked files differed from it")


class InputHash(Record):
    """Something that the run was given, by its content."""

    role: InputRole
    name: str = Field(description="as given")
    what: str = Field(description="what the hash is of: a file, a folder, weights and code, arrays")
    sha256: str


class ModelInfo(Record):
    """The model that the user handed in."""

    spec: str = Field(description="as given: path, file.py:factory, sample:NAME …")
    kind: str = Field(description="module, onnx, exported_program, torchscript, tflite or saved_model")
    inputs: list[TensorInfo]
    outputs: list[TensorInfo] = Field(default_factory=list)
    parameters: int | None = Field(default=None, description="number of weights, where known")
    notes: list[str] = Field(default_factory=list)


class TensorMatch(Record):
    """How a tensor of a file that the user gave stands for one of the model."""

    side: Literal["input", "output"]
    model: str = Field(description="the model's name")
    file: str = Field(description="the file's name")
    by: Literal["name", "shape", "order"]
    axes: list[int] = Field(
        default_factory=list,
        description="axes of the model's tensor that the file's consists of, both with the axis of extent 1 that one "
        "of them lacks; empty: the same",
    )
    added: int | None = Field(
        default=None, description="axis of extent 1 that the file's tensor has more, counted before axes move"
    )
    dropped: int | None = Field(
        default=None, description="axis of extent 1 that the file's tensor lacks, counted after axes moved"
    )
    model_dtype: str
    file_dtype: str = Field(default="", description="where it is another")


class ArtifactResult(Record):
    """A model file that was written, or that the user gave."""

    name: str = Field(description="key of the file: onnx, saved_model, tflite_SCHEME …; of a given one its own name")
    kind: Literal["onnx", "saved_model", "tflite"]
    scheme: str = Field(default=FLOAT32.name, description="float32 or a quantization scheme")
    path: str = Field(description="relative to the output folder")
    size_bytes: int
    sha256: str
    inputs: list[TensorInfo] = Field(default_factory=list)
    outputs: list[TensorInfo] = Field(default_factory=list)
    ops: dict[str, int] = Field(default_factory=dict, description="operator → how many of them")
    transposes: int | None = Field(default=None, description="TRANSPOSE operators in the file")
    loads_on: str = Field(default="", description="the oldest TFLite runtime that loads it, and because of what")
    seconds: float | None = Field(default=None, description="wall time to make it")
    peak_bytes: int | None = Field(default=None, description="memory that another converter took to make it")
    cpu_seconds: float | None = Field(default=None, description="processor time that another converter took")
    beside: int = Field(default=0, description="converters that were at work at the same time, at most")
    cached: bool = Field(default=False, description="taken over from an earlier run")
    made_by: str = Field(default="", description="the converter of a third party that made it, with its version")
    given: bool = Field(default=False, description="the user's own file, where it lies; not made by the run")
    matches: list[TensorMatch] = Field(
        default_factory=list, description="of a file judged against the model: which tensors stand for the model's"
    )
    notes: list[str] = Field(default_factory=list)

    @property
    def op_count(self) -> int:
        return sum(self.ops.values())

    def below(self, folder: Path) -> Path:
        """Where the file is, of a report in ``folder``; a given one as its user reads it, without ``..``."""
        path = folder / self.path
        return files.tidy(path) if self.given else path


class OutputCheck(Record):
    """An output of the exported graph in ONNX Runtime against the module that it came from."""

    output: str
    max_abs: float | None
    max_rel: float | None = Field(default=None, description="max |a-b| / max |b|")


class ExportResult(Record):
    """PyTorch → ONNX."""

    exporter: str = Field(description="dynamo, torchscript, or none when the source is ONNX already")
    opset: int
    seconds: float
    check: list[OutputCheck] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class PassResult(Record):
    """One pass over the graph."""

    name: str
    changes: int = Field(description="rewrites that it made")
    seconds: float = 0.0
    refusals: list[str] = Field(default_factory=list, description="what it left alone, and why")
    operators: dict[str, int] = Field(
        default_factory=dict, description="ONNX operator → how many more of it there were afterwards, or fewer"
    )
    max_abs: float | None = Field(default=None, description="largest numeric change it caused (--check-passes)")


class UnsupportedNodeResult(Record):
    """A node that can't be lowered (see ``errors.UnsupportedNode``)."""

    op: str
    opset: int
    node: str
    module: str = ""
    source: str = ""
    reason: str
    remedy: str


class TransposeResult(Record):
    """A transpose that remains."""

    tensor: str = Field(description="what it gives")
    bytes: int = Field(description="what it moves; of a dynamic extent, 64 counts, of a batch 1")
    axes: list[int] = Field(description="axis of the operand that each axis of the result is")
    why: str
    module: str = ""
    source: str = ""


class LoweredNode(Record):
    """A node of the graph that was lowered."""

    tensor: str = Field(description="the first that it makes")
    module: str = ""
    source: str = ""


class FormResult(Record):
    """What nodes of one ONNX operator became."""

    op: str
    operators: dict[str, int] = Field(
        description="TFLite operator → how many for each node, before MLIR fuses any; empty: it computes nothing"
    )
    count: int = Field(description="nodes that became this")
    reasons: list[str] = Field(default_factory=list, description="why it has this form and not a plainer one")
    nodes: list[LoweredNode] = Field(default_factory=list, description="where there is a reason: which")


class LayoutResult(Record):
    """NCHW → NHWC by minimum cut."""

    io_layout: Literal["keep", "nhwc"] = "keep"
    nodes_channels_last: int | None = Field(default=None, description="nodes that run channels-last")
    transposes: int | None = Field(default=None, description="transposes that remain in the graph")
    transposed_bytes: int | None = Field(default=None, description="bytes that those move in one inference")
    remaining: list[TransposeResult] = Field(default_factory=list, description="each of them, and why it is there")


class ConversionResult(Record):
    """ONNX → SavedModel and TFLite. With unsupported nodes nothing was written."""

    status: Status
    targets: list[str] = Field(default_factory=list, description="kinds asked for: tflite, saved_model")
    left_out: dict[str, str] = Field(
        default_factory=dict, description="kinds that are made when none is asked for and can't be here → why"
    )
    failure: str | None = None
    passes: list[PassResult] = Field(default_factory=list)
    layout: LayoutResult | None = None
    forms: list[FormResult] = Field(default_factory=list, description="what the nodes were lowered to")
    forms_for: list[str] = Field(
        default_factory=list, description="devices whose kernels these were chosen for: x86, arm, gpu, npu; tensorflow"
    )
    unsupported: list[UnsupportedNodeResult] = Field(default_factory=list)
    nodes_before: int | None = Field(default=None, description="ONNX nodes in the exported graph")
    nodes_after: int | None = Field(default=None, description="ONNX nodes when lowering begins")
    seconds: float = 0.0
    peak_rss_bytes: int | None = None
    notes: list[str] = Field(default_factory=list)


class CalibrationResult(Record):
    """The data that static quantization took its ranges from."""

    description: str = Field(description="where the data came from and how it was prepared")
    samples: int
    fit_for_deployment: bool = Field(description="False for random data")
    sha256: str = Field(default="", description="of the samples that were used: names, dtypes, shapes and values")
    saved: InputHash | None = Field(default=None, description="the file that exactly these were written to")


class Tradeoff(Record):
    """What a quantized file lost and gained against the float32 file. None: not measured."""

    samples_are: SamplesAre = Field(
        default="", description="what the figures are of; calibration: the very samples that ranges were taken from"
    )
    output: str = Field(default="", description="the output that is furthest off")
    channels: str = Field(default="", description="its channels that are; empty: all")
    sqnr_db: float | None = Field(default=None, description="of these; None: exact, or no number")
    exact: bool = False
    top1_agreement: float | None = Field(
        default=None, description="share of the decisions that are the same; of several outputs the least"
    )
    size_ratio: float | None = Field(default=None, description="bytes ÷ those of the float32 file")
    latency_ratio: float | None = Field(default=None, description="median ÷ that of the float32 file, timed in turns")
    latency_low: float | None = Field(default=None, description="lower end of its 95 % bootstrap interval")
    latency_high: float | None = None
    speed: Literal["faster", "slower", "inconclusive"] | None = Field(default=None, description="by that interval")
    beaten_by: str | None = Field(default=None, description="artifact that is both truer and faster; None: none is")

    @property
    def quality_db(self) -> float:
        """The SQNR for comparing: infinite when exact, minus infinity without one."""
        return math.inf if self.exact else -math.inf if self.sqnr_db is None else self.sqnr_db

    @property
    def said(self) -> str:
        """``30.1 dB at 0.20×``, or ``30.1 dB on calibration samples at 0.20×``."""
        quality = "exact" if self.exact else "–" if self.sqnr_db is None else f"{self.sqnr_db:.1f} dB"
        quality += " on calibration samples" if self.samples_are == "calibration" else ""
        return quality + ("" if self.latency_ratio is None else f" at {self.latency_ratio:.2f}×")


OWN_ENGINE = "the model's own"
"""The engine of a model that came quantized."""


class ContenderResult(Record):
    """One of several ways to make the same file, held against the float32 file."""

    name: str = Field(description="range method, or engine")
    worst_db: float | None = Field(default=None, description="least SQNR of an output, or of a group of its channels")
    mean_db: float | None = Field(default=None, description="mean of that over the outputs")
    failure: str = Field(default="", description="why there is no file")
    samples: int = Field(default=0, description="how many it was compared on")


class RepairResult(Record):
    """The search for the fastest file that meets a budget (``--repair``)."""

    met: bool
    asked: list[str] = Field(description="the budget")
    reached: str = Field(description="the worse of the samples that the file was chosen by and of others")
    judged_on: str = Field(default="", description="how many samples these are")
    missed: list[str] = Field(default_factory=list, description="what of the budget no file reached in the time")
    trials: list[str] = Field(
        description="what was tried, in order: how, what it reached, and its time if it was taken"
    )
    notes: list[str] = Field(
        default_factory=list, description="what layers don't compute in int8, and what there was no time for"
    )


class QuantizationResult(Record):
    """TFLite float32 → one quantized TFLite file."""

    status: Status
    scheme: str
    engine: str
    artifact: str | None = Field(default=None, description="key into Report.artifacts; None when it failed")
    recipe: str | None = Field(default=None, description="file beside the artifact that makes the same bytes again")
    failure: str | None = None
    traceback: str = Field(default="", description="of the process that quantized, where it raised")
    io_dtype: Literal["float32", "int8", "uint8"] = "float32"
    calibration: CalibrationResult | None = None
    fit_for_deployment: bool = Field(
        default=True, description="False when it was calibrated with random data: the file must not be shipped"
    )
    ranges: list[ContenderResult] = Field(
        default_factory=list, description="range methods that were tried; the best one made the file"
    )
    engines: list[ContenderResult] = Field(default_factory=list, description="the same of engines")
    judged_on: str = Field(default="", description="samples that ranges and engines were judged on")
    repair: RepairResult | None = None
    float_ops: list[FloatOp] = Field(default_factory=list)
    tradeoff: Tradeoff | None = Field(default=None, description="None when it failed")
    seconds: float = 0.0
    notes: list[str] = Field(default_factory=list)
