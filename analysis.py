"""What ``quantize --analyze`` finds in a quantized file: values that the analysis makes and the report holds.

SQNRs are in dB against the float file. A *quantum* is one step of a tensor's scale. ``None`` stands for a ratio that
isn't there: of what is exact, or has no signal at all (then ``exact`` is False).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first: a result that is wrong, one that is worse than it need be, time or size that is wasted."""

SensitivityMode = Literal["one", "all-but-one"]


class Found(BaseModel):
    """Base of all: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Deviation(Found):
    """How far a tensor of the quantized file is from the float one, over all samples."""

    sqnr_db: float | None = Field(description="of the whole tensor; None: exact, or there is no signal")
    worst_group_db: float | None = Field(description="the least of a group of channels of one scale")
    channels: str = Field(default="", description="which channels those are; empty: all are one group")
    exact: bool
    mean_quanta: float | None = Field(default=None, description="mean |error| in steps; None: it is float here")
    max_quanta: float | None = None

    @property
    def quality_db(self) -> float:
        """The worst group's SQNR for comparing: infinite when exact, minus infinity where there is no signal."""
        if self.exact:
            return math.inf
        return -math.inf if self.worst_group_db is None else self.worst_group_db


class Place(Found):
    """An operator of the file and where it comes from."""

    op: str = Field(description="name in the schema; INPUT: an input of the model")
    tensor: str = Field(description="name of its result")
    module: str = Field(default="", description="path of its PyTorch module, where known")
    source: str = Field(default="", description="its PyTorch line, where known")


class LayerError(Found):
    """One float activation and its counterpart in the quantized file."""

    place: Place
    index: int = Field(description="position in the float file")
    dtype: str = Field(description="in the quantized file")
    accumulated: Deviation = Field(description="both files run from the input")
    local: Deviation | None = Field(
        default=None, description="its operator alone, fed with the float file's values; None: it can't run by itself"
    )
    rounding: Deviation | None = Field(default=None, description="the float values in its scale: the best it can be")
    saturated: float = Field(default=0.0, description="share of the float values beyond what its scale reaches")
    used: tuple[float, float] = Field(description="least and largest float value")
    there: tuple[float, float] | None = Field(default=None, description="what its scale reaches")
    scale_of: str = Field(
        default="", description="the tensor whose scale it has to take and that explains most of its local error"
    )

    @property
    def used_share(self) -> float | None:
        """Range used over range there; None where it is float."""
        if self.there is None or self.there[1] <= self.there[0]:
            return None
        return (self.used[1] - self.used[0]) / (self.there[1] - self.there[0])

    @property
    def local_db(self) -> float:
        """For ranking: infinite where its operator can't run by itself."""
        return math.inf if self.local is None else self.local.quality_db


class Histogram(Found):
    """Float values of a tensor and the range that its scale takes."""

    place: Place
    edges: tuple[float, float] = Field(description="where the first bin begins and the last one ends")
    counts: list[int] = Field(description="values in each of the equally wide bins")
    there: tuple[float, float] | None = Field(description="what the scale reaches; None: it is float")
    clipped: float = Field(description="share of the values beyond that")


class OperatorSensitivity(Found):
    """What one operator costs: the least SQNR of an output when it alone, or all but it, is quantized."""

    place: Place
    sqnr_db: float | None = Field(description="worst output, worst group of channels; None: exact, or not made")
    along: list[str] = Field(
        default_factory=list, description="results of operators that went into float with it, as they have its scale"
    )
    failure: str = Field(default="", description="why there is no figure")


class SensitivityResult(Found):
    """Operators tried one by one, those with the largest local error first."""

    mode: SensitivityMode
    base_db: float | None = Field(description="of the file as it is")
    rows: list[OperatorSensitivity] = Field(description="worst first: quantized alone, or most gained in float")
    candidates: int = Field(description="operators that could be tried; the budget ended before where it is more")
    seconds: float
    samples: int


class Finding(Found):
    """Something that a rule of the lint says of an operator or a tensor."""

    rule: str = Field(description="id in the table of rules")
    severity: Severity
    place: Place
    message: str
    remedy: str = ""


class QuantizationAnalysis(Found):
    """All that was found in one quantized file."""

    scheme: str
    artifact: str = Field(description="key into Report.artifacts")
    findings: list[Finding] = Field(default_factory=list, description="worst first")
    counts: dict[Severity, int] = Field(default_factory=dict, description="findings of each severity")
    samples: int = Field(default=0, description="that the errors are from; 0: only the file itself was read")
    inputs: str = Field(default="", description="where the samples are from")
    layers: list[LayerError] = Field(
        default_factory=list, description="largest local error first; those that another's scale explains come last"
    )
    layer_count: int = Field(default=0, description="of which a report holds the worst")
    unmatched: int = Field(default=0, description="float activations without a counterpart, such as fused ones")
    histograms: list[Histogram] = Field(default_factory=list)
    sensitivity: SensitivityResult | None = None
    failure: str = Field(default="", description="why the file could not be analyzed")

    def placed(self, where: Callable[[str], tuple[str, str]]) -> QuantizationAnalysis:
        """With module and source line of every operator; ``where`` gives them of a tensor."""

        def at(found: Any) -> Any:
            module, source = where(found.place.tensor)
            place = found.place.model_copy(update={"module": module, "source": source})
            return found.model_copy(update={"place": place})

        told: dict[str, Any] = {
            name: [at(f) for f in getattr(self, name)] for name in ("findings", "layers", "histograms")
        }
        if self.sensitivity is not None:
            told["sensitivity"] = self.sensitivity.model_copy(update={"rows": [at(r) for r in self.sensitivity.rows]})
        return self.model_copy(update=told)

    def brief(self, most: int) -> QuantizationAnalysis:
        """With the ``most`` worst layers and findings alone."""
        return self.model_copy(update={"layers": self.layers[:most], "findings": self.findings[:most]})


class AnalysisFile(Found):
    """``analysis.json``: every quantized file of a run, whole."""

    version: Literal[1] = 1
    edgeworthy: str
    files: list[QuantizationAnalysis]
