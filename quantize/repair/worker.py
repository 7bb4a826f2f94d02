"""What repairs a model, in a process of its own: a search makes and runs many files, and any of them may crash it.

``repair`` starts it through ``workers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...formats.tflite import edit as fb
from ...workers.serve import Commands, Tell
from .. import equalization
from ..range_methods import AUTO, TRIED
from ..worker import Quantizer
from .messages import RepairAnswer, RepairRequest
from .search import Search
from .workbench import HeldOut, Workbench

if TYPE_CHECKING:
    from ...artifact import Array


def start(tell: Tell, request: RepairRequest) -> Commands:
    """``calibrate`` takes a feed that ranges come from (and that may be judged by too), ``hold`` one to judge by.

    ``search`` gives the answer.
    """
    job = _Job(tell, request)
    return {"calibrate": job.calibrate, "hold": job.hold, "search": job.search}


class _Job:
    """A model, and the same model equalised, where there is something to equalise."""

    def __init__(self, tell: Tell, request: RepairRequest) -> None:
        self._request, self._tell = request, tell
        recipe = request.request.recipe
        plain = Quantizer(tell, request.request)
        self._jobs: dict[tuple[str, ...], Quantizer] = {(): plain}
        if not recipe.transforms and equalization.equalize(fb.read(plain.content)):
            equalized = recipe.model_copy(update={"transforms": ("equalize",)})
            self._jobs["equalize",] = Quantizer(tell, replace(request.request, recipe=equalized))
        self._samples = HeldOut()

    def calibrate(self, feed: dict[str, Array], keep: bool) -> None:
        if keep:
            self._samples.seen.append(feed)
        for job in self._jobs.values():
            job.calibrate(feed)

    def hold(self, feed: Mapping[str, Array], labels: Array | None = None) -> None:
        self._samples.feeds.append(dict(feed))
        if labels is not None:
            self._samples.labels.append(labels)

    def search(self) -> RepairAnswer:
        request = self._request
        bench = Workbench(self._jobs, self._samples, threads=request.request.threads, tell=self._tell)
        ranges = request.request.recipe.ranges
        methods = TRIED if ranges == AUTO else (ranges,)
        recipe = request.request.recipe
        search = Search(bench, request.budget.with_margin(), seconds=request.seconds)
        outcome = search.run(bench.starts(recipe.rounding), methods, recipe.refinements)
        return RepairAnswer(bench.recipe(outcome.best.plan), outcome, bench.gave_up(outcome.best.plan))
