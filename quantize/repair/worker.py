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
from .budget import Quality
from .messages import RepairAnswer, RepairRequest
from .search import Search, SearchResult
from .workbench import HeldOut, Workbench

if TYPE_CHECKING:
    from ...artifact import Array

_SEARCHES = 4
"""Most searches; each has half of the last one's time."""


def start(tell: Tell, request: RepairRequest) -> Commands:
    """``calibrate`` takes a feed that ranges come from (and that may be judged by too), ``hold`` one to judge by, and
    ``spare`` one that what was chosen is held against.

    ``search`` gives the answer.
    """
    job = _Job(tell, request)
    return {name: getattr(job, name) for name in ("calibrate", "hold", "spare", "search")}


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

    def spare(self, feed: Mapping[str, Array]) -> None:
        self._samples.fresh.append(dict(feed))

    def search(self) -> RepairAnswer:
        """As often as what was chosen misses the budget on samples that it wasn't chosen by, each time for more."""
        request, recipe = self._request, self._request.request.recipe
        bench = Workbench(self._jobs, self._samples, threads=request.request.threads, tell=self._tell)
        methods = TRIED if recipe.ranges == AUTO else (recipe.ranges,)
        aim, seconds, searches = request.budget.with_margin(), request.seconds, list[str]()
        found: list[tuple[Quality, SearchResult]] = []
        while True:
            search = Search(bench, aim, seconds=seconds)
            outcome = search.run(bench.starts(recipe.rounding), methods, recipe.refinements)
            reached = outcome.best.quality
            assert reached is not None  # noqa: S101 - a search ends with a file that was judged, or raises
            other = bench.confirmed(outcome.best.plan)
            both = reached if other is None else reached.worse(other)  # without labels, others say nothing of accuracy
            found.append((both, outcome))
            if other is None or not outcome.met or request.budget.met(both) or len(found) == _SEARCHES:
                break
            searches.append(f"a file of {reached} on the samples that it was chosen by had {other} on others")
            aim, seconds = aim.raised(reached, request.budget, other), seconds / 2
        quality, outcome = max(found, key=lambda one: (-len(request.budget.missed(one[0])), one[0].sqnr_db))
        plan = outcome.best.plan
        return RepairAnswer(bench.recipe(plan), outcome, quality, bench.gave_up(plan), tuple(searches))
