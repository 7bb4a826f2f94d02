"""The analysis of a quantized file: a lint of it, and with samples the error of every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ...analysis import SEVERITIES, Finding, QuantizationAnalysis
from ...artifact import Feeds, TFLiteModel
from ...errors import EdgeworthyError
from ...schemes import SCHEMES
from ...workers.child import Child
from ..post_training import TIMEOUT_S, arranged
from ..recipe import Recipe
from .worker import AnalysisRequest, Compared

if TYPE_CHECKING:
    from ...analysis import LayerError

DRAWN = 8
"""Tensors that get a histogram: the worst."""

OnSample = Callable[[int], None]
"""Called with the samples compared so far."""


def analyze(
    floating: TFLiteModel,
    quantized: TFLiteModel,
    feeds: Iterable[Feeds] = (),
    *,
    inputs: str = "",
    recipe: Recipe | None = None,
    permute: Mapping[str, tuple[int, ...]] | None = None,
    threads: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: OnSample | None = None,
) -> QuantizationAnalysis:
    """Lint a quantized file, and hold it against the float one layer by layer.

    Args:
        floating: The float file that it was made from.
        quantized: The file.
        feeds: Samples in the source model's layout, gone through twice, one at a time; without any, the files alone are
            read.
        inputs: Where the samples are from, for the report.
        recipe: What the file was made by, where that is known: it says what is in float on purpose.
        permute: Input name → axes, where the TFLite input is the source's transposed by them.
        threads: Threads of the interpreters.
        timeout_s: Seconds that one step may take.
        progress: Called after every sample.

    Raises:
        BadInput: a sample doesn't fit the model.
        RuntimeFailure: an interpreter raised, crashed or hung.
        OutOfMemory: the process was killed, or says so itself.
    """
    found = QuantizationAnalysis(scheme=quantized.scheme, artifact=SCHEMES[quantized.scheme].artifact, inputs=inputs)
    axes = permute or {}
    with _child(AnalysisRequest(floating.path, quantized.path, threads, recipe), quantized, timeout_s) as child:
        done = 0
        for done, feed in enumerate(feeds, start=1):
            child.ask("compare", arranged(feed, floating, axes))
            if progress:
                progress(done)
        if not done:
            return found.model_copy(update=_told(child.ask("lint")))
        compared: Compared = child.ask("compared")
        worst = [layer.place.tensor for layer in compared.layers[:DRAWN] if _draws(layer)]
        for feed in feeds if worst else ():
            child.ask("count", arranged(feed, floating, axes), worst)
        return found.model_copy(
            update=_told(compared.findings)
            | {
                "samples": done,
                "layers": compared.layers,
                "layer_count": len(compared.layers),
                "unmatched": compared.unmatched,
                "histograms": child.ask("histograms", worst),
            }
        )


def _told(findings: list[Finding]) -> dict[str, object]:
    severities = [finding.severity for finding in findings]
    return {"findings": findings, "counts": {s: severities.count(s) for s in SEVERITIES if s in severities}}


def _draws(layer: LayerError) -> bool:
    """Whether its values say anything: those of a float tensor, or of one that is exact, don't."""
    return layer.there is not None and not layer.accumulated.exact


def _child(request: AnalysisRequest, quantized: TFLiteModel, timeout_s: float) -> Child:
    return Child(
        f"{__package__}.worker",
        request,
        name=f"analyzing {quantized.path.name}",
        where=str(quantized.path),
        remedy="the file can be used without: leave --analyze out",
        environment={"TF_CPP_MIN_LOG_LEVEL": "2"},
        timeout_s=timeout_s,
        start_s=timeout_s,
        passes=(EdgeworthyError, OSError),
    )
