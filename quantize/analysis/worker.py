"""What analyzes one quantized file, in a process of its own: native code may abort on a file, and takes nothing along.

``analyze`` starts it through ``workers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...analysis import Finding, Histogram, LayerError
from ...formats.tflite import edit as fb
from ...workers.serve import Commands, Tell
from ..loading import loaded
from ..recipe import Recipe
from .lint import lint
from .pair import FilePair
from .per_layer import PerLayer

if TYPE_CHECKING:
    from ...artifact import Array


@dataclass(frozen=True)
class AnalysisRequest:
    """The float file, the one that was quantized from it, and by which recipe."""

    floating: Path
    quantized: Path
    threads: int
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Compared:
    """What samples showed. ``unmatched``: float activations without a counterpart."""

    layers: list[LayerError]
    findings: list[Finding]
    unmatched: int


def start(tell: Tell, request: AnalysisRequest) -> Commands:
    """``lint`` reads the files; ``compare`` takes a sample, and ``compared`` tells of all; then histograms likewise."""
    job = _Job(request)
    return {
        "lint": job.lint,
        "compare": job.compare,
        "compared": job.compared,
        "count": job.count,
        "histograms": job.histograms,
    }


class _Job:
    """One file. Interpreters are made when the first sample comes."""

    def __init__(self, request: AnalysisRequest) -> None:
        # The quantizer folds constants first, so its operators are those of the folded file.
        self._contents = loaded(request.floating), fb.load(request.quantized)
        self._threads, self._recipe = request.threads, request.recipe

    @cached_property
    def _per_layer(self) -> PerLayer:
        return PerLayer(*self._contents, threads=self._threads)

    def lint(self) -> list[Finding]:
        return lint(FilePair(*self._contents), recipe=self._recipe)

    def compare(self, feed: Mapping[str, Array]) -> None:
        self._per_layer.compare(feed)

    def compared(self) -> Compared:
        job = self._per_layer
        return Compared(job.errors(), lint(job.pair, job.layers, self._recipe), job.unmatched)

    def count(self, feed: Mapping[str, Array], names: Sequence[str]) -> None:
        self._per_layer.count(feed, names)

    def histograms(self, names: Sequence[str]) -> list[Histogram]:
        return self._per_layer.histograms(names)
