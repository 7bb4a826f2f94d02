"""`edgeworthy.toml`: one schema for the file, the command line, the Python API and the documentation.

A key is said once, here: its type, default, flag, and in the docstring below it what it means. `cli.flags` makes the
flags of it, `cli.reference` docs/config.md and what ``edgeworthy init`` writes, and `settings` reads files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, create_model

from .metrics import METRICS, Metric
from .quantize_tables import DataTable, QuantizeTable, RecommendTable
from .tables import (
    FilePath,
    Flag,
    Limits,
    PathOrSpec,
    PositiveFloat,
    PositiveInt,
    Table,
    Tolerances,
)
from .vocabulary import ROUTE, ConvertedKind

FILE_NAME = "edgeworthy.toml"


class ModelTable(Table):
    """``[model]``: what goes in."""

    source: PathOrSpec | None = Field(default=None, examples=["net.py:make"])
    """model.onnx, model.pt2, TorchScript file, file.py:factory, pkg.module:factory, sample:NAME, hf:, timm:,
    torchvision: or lightning:; or what is converted already: model.tflite, a SavedModel's folder"""
    weights: Annotated[FilePath | None, Flag("--weights")] = Field(default=None, examples=["net.safetensors"])
    """weights for a factory: .safetensors or .pt"""
    weights_key: Annotated[str | None, Flag("--weights-key", metavar="KEY")] = Field(default=None, examples=["ema"])
    """where in the checkpoint the weights are, as in trainer.ema; default: where training scripts keep them"""
    bind: Annotated[dict[str, bool | int | float], Flag("--bind", metavar="NAME=VALUE", repeat=True)] = Field(
        default={}, examples=[{"sr": 16000}]
    )
    """inputs to make constants, each as in sr=16000; an If on one becomes the branch that it takes"""
    inputs: Annotated[list[str], Flag("--input", metavar="NAME:DTYPE[DIMS]", repeat=True)] = Field(
        default=[], examples=[["image:float32[batch,3,224,224]"]]
    )
    """the inputs, each as in image:float32[1,3,224,224]; a name instead of a number is a dynamic dimension"""
    inputs_file: Annotated[FilePath | None, Flag("--inputs")] = Field(default=None, examples=["inputs.npz"])
    """.npz with example inputs, one array for each"""


class ExportTable(Table):
    """``[export]``: PyTorch to ONNX."""

    exporter: Annotated[Literal["dynamo", "torchscript"], Flag("--exporter")] = "dynamo"
    """PyTorch's exporter"""
    opset: Annotated[PositiveInt | None, Flag("--opset")] = Field(default=None, examples=[20])
    """ONNX opset; default: the exporter's own"""


class ConvertTable(Table):
    """``[convert]``: ONNX to SavedModel and TFLite."""

    to: Annotated[list[ConvertedKind] | None, Flag("--to", metavar="KINDS")] = Field(
        default=None, examples=[["tflite", "saved_model"]]
    )
    """kinds of file to make; default: both, or TFLite alone where TensorFlow isn't installed or nobody would use a
    SavedModel"""
    io_layout: Annotated[Literal["keep", "nhwc"], Flag("--io-layout")] = "keep"
    """layout of 4-D inputs and outputs: the model's own, or channels-last"""
    unroll: Annotated[bool, Flag("--unroll")] = False
    """write all steps of recurrent layers out as operators, for NPUs, which have no loops; else those of few steps are,
    and the others run in a loop"""
    max_runtime: Annotated[str | None, Flag("--max-runtime", metavar="VERSION")] = Field(
        default=None, examples=["2.14"]
    )
    """the oldest TFLite runtime that the TFLite files have to run on: 2.7 to 2.14 are TFLite's, 1.0 to 2.3 LiteRT's; as
    --for tflite-2.14 does, it has forms written that it takes, and refuses an operator that it can't run"""
    check_passes: Annotated[bool, Flag("--check-passes")] = False
    """run the graph after every pass and compare"""


class PreflightTable(Table):
    """``[preflight]``: what targets would refuse, said before anything is converted."""

    targets: Annotated[list[str], Flag("--for", metavar="TARGET")] = Field(
        default=[], examples=[["ethos-u:55-128", "android-gpu"]]
    )
    """what the model is meant for: of equal forms it gets those that are fast there, and a node that it would refuse
    fails the run before it converts; android-gpu, edgetpu, ethos-u, nnapi, a TFLite runtime such as tflite-2.14, or
    x86, arm, gpu, npu, which choose forms and refuse nothing; default: forms that are fast on both CPUs"""
    allow: Annotated[list[str], Flag("--allow", metavar="PATTERN", repeat=True)] = Field(
        default=[], examples=[["SOFTMAX", "head"]]
    )
    """nodes that may run elsewhere, by operator (SOFTMAX), a part of a tensor's name, or PyTorch module"""


class ArtifactsTable(Table):
    """``[artifacts]``: files of other converters, which are judged and timed as our own."""

    files: Annotated[list[FilePath], Flag("--artifact", metavar="PATH", repeat=True)] = Field(
        default=[], examples=[["theirs.tflite", "route:NAME"]]
    )
    """a .tflite file or the folder of a SavedModel, made of the same model; or route:NAME, which another
    converter makes of it (`edgeworthy routes` lists them)"""
    layout: Annotated[Literal["keep", "nhwc", "nchw"] | None, Flag("--artifact-layout")] = Field(
        default=None, examples=["nhwc"]
    )
    """layout of those tensors whose shapes don't tell: the model's own, or its channels moved last or second; default:
    the only one that agrees with the model"""
    memory_gb: Annotated[PositiveFloat | None, Flag("--artifact-memory", metavar="GB")] = Field(
        default=None, examples=[8.0]
    )
    """memory that converters of route:NAME may take together; default: nine tenths of what is free"""
    jobs: Annotated[PositiveInt | None, Flag("--jobs", metavar="N")] = Field(default=None, examples=[1])
    """converters of route:NAME that work at once; default: as many as there are cores and memory has room for; 1: one
    after the other, so that none takes seconds from another"""
    int8: Annotated[bool, Flag("--artifact-int8")] = False
    """make an int8 file of what each converter of route:NAME makes, by edgeworthy's quantizer on the same calibration
    data, and judge that too"""

    @property
    def paths(self) -> list[Path]:
        """The files that there are already."""
        return [path for path in self.files if not str(path).startswith(ROUTE)]

    @property
    def routes(self) -> list[str]:
        """The names of the converters that make the others."""
        return [str(path).removeprefix(ROUTE) for path in self.files if str(path).startswith(ROUTE)]


class ValidateTable(Table):
    """``[validate]``: parity of every hop, and accuracy on labelled data."""

    samples: PositiveInt = 8
    """inputs that go through every hop: labelled, calibration or random ones"""
    noise_multiple: PositiveFloat = 10.0
    """a float artifact passes within this many times PyTorch's own float32 error"""
    atol: Annotated[Tolerances, Flag("--atol", metavar="[OUTPUT:]VALUE")] = Field(
        default={}, examples=[{"logits": 1e-4}]
    )
    """absolute tolerance instead of the noise floor; a number holds for all outputs"""
    rtol: Annotated[Tolerances, Flag("--rtol", metavar="[OUTPUT:]VALUE")] = Field(
        default={}, examples=[{"logits": 1e-3}]
    )
    """relative tolerance instead of the noise floor; a number holds for all outputs"""
    labelled: Annotated[PathOrSpec | None, Flag("--labelled", metavar="DATA")] = Field(
        default=None, examples=["test.npz"]
    )
    """labelled data for accuracy: as calibration, with labels (array, column or a folder for each class), or .json with
    lists of objects"""
    accuracy: Annotated[PathOrSpec, Flag("--accuracy", metavar="TASK")] = "classification"
    """what is asked of the labelled data: classification (top-1), detection (mAP), segmentation (mIoU), or a metric of
    your own, file.py:function of outputs and labels"""
    box_format: Annotated[Literal["xyxy", "yxyx", "xywh", "cxcywh"] | None, Flag("--box-format")] = Field(
        default=None, examples=["cxcywh"]
    )
    """of a detector's boxes; default: corners x1, y1, x2, y2; and centre, width, height where boxes and class scores
    are one tensor"""
    timeout_s: Annotated[PositiveFloat, Flag("--timeout")] = 300.0
    """seconds after which a runtime, or another converter, counts as hung"""


class BenchTable(Table):
    """``[bench]``: latency."""

    threads: Annotated[list[PositiveInt], Field(min_length=1), Flag("--threads", metavar="N,N")] = Field(default=[1])
    """numbers of threads, as in 1,2; at most the cores of this machine"""
    seconds: Annotated[PositiveFloat, Flag("--seconds")] = 2.0
    """time for each row"""
    baseline: Annotated[str | None, Flag("--baseline", metavar="ROW")] = Field(
        default=None, examples=["TFLite float32"]
    )
    """the row to compare with; default: TFLite float32"""


class GateRules(Table):
    """``[gate]``: what must hold. Artifacts are named as in the report, or by scheme (``int8``)."""

    parity: bool = True
    """every hop passes by its own rule (noise floor, tolerance or SQNR)"""
    must_convert: list[str] | None = Field(default=None, examples=[["tflite", "int8"]])
    """artifacts that have to exist, and be run by some target; default: all that were asked for"""
    baseline: FilePath | None = Field(default=None, examples=["main/report.json"])
    """report of an earlier run (or its folder), which the limits of ``regression`` are held against"""

    def limits(self, key: str) -> dict[str, float]:
        """The limits on a metric: artifact or scheme → limit."""
        return _limits(self, key)

    def regressions(self, key: str) -> dict[str, float]:
        """The limits on a metric against the baseline."""
        return _limits(getattr(self, "regression"), key)  # noqa: B009 - the class gets it below


def _limits(table: Table, key: str) -> dict[str, float]:
    found: object = table
    for part in key.split("."):
        found = getattr(found, part)
    return dict(cast(dict[str, float], found))


def _limited(name: str, base: type[Table], metrics: Sequence[Metric], about: str, **more: Any) -> Any:
    """``base`` with a key of limits for every metric; a key with a dot is in a table of its own."""
    tables: dict[str, dict[str, Any]] = {}
    for metric in metrics:
        table, _, key = metric.key.rpartition(".")
        most = "most" if metric.better == "less" else "least"
        says = about.format(about=metric.about, most=most, limit=_ALLOWS[metric.regression])
        example = metric.example if base is GateRules else 1.1 if metric.regression == "ratio" else 0.01
        tables.setdefault(table, {})[key] = (Limits, Field({}, description=says, examples=[example]))
    fields = tables.pop("", {})
    for table, keys in tables.items():
        inner = create_model(
            f"{name}_{table}", __base__=Table, __module__=__name__, __doc__="limits by percentile", **keys
        )
        fields[table] = (inner, inner())
    return create_model(name, __base__=base, __module__=__name__, __doc__=base.__doc__, **fields, **more)


_ALLOWS = {"ratio": "most times the baseline's", "difference": "most that may be lost of the", None: ""}


class Regression(Table):
    """``[gate.regression]``: how much worse than in ``gate.baseline`` each metric may be."""


if TYPE_CHECKING:
    GateTable = GateRules
else:
    _REGRESSION = _limited("RegressionTable", Regression, [m for m in METRICS if m.regression], "{limit} {about}")
    GateTable = _limited("GateTable", GateRules, METRICS, "{most} {about}", regression=(_REGRESSION, _REGRESSION()))


class Config(Table):
    """All of ``edgeworthy.toml``."""

    output: Annotated[FilePath | None, Flag("--output", "-o", metavar="OUT")] = Field(default=None, examples=["out"])
    """folder for the results"""
    seed: Annotated[int, Field(ge=0), Flag("--seed")] = 0
    """of all that is random"""
    targets: Annotated[list[str] | None, Flag("--target", metavar="NAME[:ADDRESS][,OPTION=VALUE]")] = Field(
        default=None, examples=[["pytorch", "onnxruntime", "tensorflow", "tflite"]]
    )
    """where to validate and time, see `edgeworthy targets`; default: the usual runtimes that are installed"""
    model: ModelTable = ModelTable()
    export: ExportTable = ExportTable()
    convert: ConvertTable = ConvertTable()
    preflight: PreflightTable = PreflightTable()
    quantize: QuantizeTable = QuantizeTable()
    data: DataTable = DataTable()
    artifacts: ArtifactsTable = ArtifactsTable()
    validation: ValidateTable = Field(default=ValidateTable(), alias="validate")
    recommend: RecommendTable = RecommendTable()
    bench: BenchTable = BenchTable()
    gate: GateTable = GateTable()
