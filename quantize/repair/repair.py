"""Repair of a scheme's file: a recipe that meets a budget at the least latency that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...artifact import Feeds, TFLiteModel
from ...errors import BadInput, EdgeworthyError
from ...schemes import get_scheme
from ...workers.child import Child
from ..calibration import CalibrationSet
from ..messages import Request
from ..post_training import TIMEOUT_S, arranged
from ..recipe import Recipe
from .budget import Budget, Quality
from .candidate import Tryout
from .messages import RepairAnswer, RepairRequest
from .search import SearchResult

if TYPE_CHECKING:
    from ...artifact import Array

SECONDS = 300.0
"""Time for trials, when nothing else is said."""

HELD = 16
"""Most feeds that no range is taken from: trials are judged by half of them, what was chosen by the others."""

SEEN, SEEN_BYTES = 24, 64 << 20
"""Most of the others, and what they may take of memory."""


@dataclass(frozen=True)
class Repair:
    """What the search found.

    Attributes:
        recipe: Makes the file; resolved.
        budget: What was asked.
        met: Whether it reaches that.
        quality: What it reaches on the samples that it was chosen by and on others, the worse of both.
        trials: What was tried: the plan, what it reached or why there is no file, and its time where it was taken.
        notes: What the time was too short for.
        gave_up: What layers don't compute in int8; empty if all do.
        judged_on: How many feeds ``quality`` is of.
        searches: Those before the last one: what they ended with missed the budget on other samples.
    """

    recipe: Recipe
    budget: Budget
    met: bool
    quality: Quality
    trials: tuple[str, ...]
    notes: tuple[str, ...] = ()
    gave_up: str = ""
    judged_on: str = ""
    searches: tuple[str, ...] = ()


def repair(
    model: TFLiteModel,
    recipe: Recipe,
    budget: Budget,
    *,
    calibration: CalibrationSet,
    labelled: Sequence[tuple[Feeds, Array]] = (),
    permute: Mapping[str, tuple[int, ...]] | None = None,
    modules: Mapping[str, str] | None = None,
    threads: int = 1,
    seconds: float = SECONDS,
    timeout_s: float = TIMEOUT_S,
    progress: Callable[[int, int], None] | None = None,
) -> Repair:
    """Search for the recipe.

    Args:
        model: The float model.
        recipe: Where to begin: its scheme, engine, I/O dtype and rules hold.
        budget: What has to be reached, on samples that no range is taken from.
        calibration: Samples in the source model's layout.
        labelled: Feeds with int64 [batch] classes, to judge by in place of the calibration's own held-out samples.
        permute: Input name → axes, where the TFLite input is the source's transposed by them.
        modules: Name of a value of the source's graph → path of its PyTorch module, for the recipe's patterns.
        threads: Threads of the interpreter.
        seconds: Time for trials; as much again, where what they end with misses the budget on other samples.
        timeout_s: Seconds that a calibration feed may take, and that a single trial may take beyond ``seconds``.
        progress: Called after every calibration feed.

    Raises:
        BadInput: the scheme takes no ranges, or the engine no decisions, so there is nothing to search; or as of
            ``post_training.quantize``.
        RuntimeFailure: the search raised, crashed or hung.
        OutOfMemory: its process was killed, or says so itself.
    """
    if not get_scheme(recipe.scheme).needs_calibration:
        raise BadInput(
            f"{recipe.scheme} computes in float: there is nothing to repair by moving operators to float",
            where="--repair",
            remedy="repair a static scheme, such as int8",
        )
    if recipe.engine == "tensorflow":
        raise BadInput(
            "TensorFlow's quantizer takes no decisions on single operators, so it can't be repaired",
            where="--repair",
            remedy="use --engine ai-edge",
        )
    if recipe.full_integer:
        raise BadInput(
            "repair moves operators to float, and none may be",
            where="--repair",
            remedy="leave out --full-integer, or --repair",
        )
    request = RepairRequest(Request(model.path, model.path, recipe, threads, {}, modules or {}), budget, seconds)
    unseen = calibration.held_out(HELD)[0]
    fresh = [] if not calibration.spare else unseen if labelled else unseen[1::2]
    judged: Sequence[tuple[Feeds, Array | None]] = labelled or [
        (feed, None) for feed in (unseen[::2] if fresh else unseen)
    ]
    every, kept = -(-len(calibration) // SEEN), 0
    with _child(request, timeout_s) as child:
        for done, feed in enumerate(calibration, start=1):
            taken = arranged(feed, model, permute or {})
            size = sum(array.nbytes for array in taken.values())
            keep = done % every == 0 and kept + size <= SEEN_BYTES
            kept += size if keep else 0
            child.ask("calibrate", taken, keep)
            if progress:
                progress(done, len(calibration))
        for given, labels in judged:
            child.ask("hold", arranged(given, model, permute or {}), labels)
        for given in fresh:
            child.ask("spare", arranged(given, model, permute or {}))
        answer: RepairAnswer = child.ask("search", timeout_s=2 * seconds + timeout_s)
    outcome, quality = answer.outcome, answer.quality
    trials = tuple(_said(outcome))
    met = budget.met(quality)
    others = f"{len(fresh)} that nothing was chosen by" if fresh else "no others, as there are too few"
    on = f"the worse of {len(judged)} feeds that it was chosen by and {others}"
    return Repair(answer.recipe, budget, met, quality, trials, outcome.notes, answer.gave_up, on, answer.searches)


def _said(outcome: SearchResult) -> Iterator[str]:
    for index, trial in enumerate(outcome.trials):
        time = f", {outcome.nanoseconds[index] / 1e6:.3g} ms" if index in outcome.nanoseconds else ""
        yield f"{trial.plan}: {_result(trial)}{time}"


def _result(trial: Tryout) -> str:
    return trial.failure or f"{trial.quality}{' ✓' if trial.met else ''}"


def _child(request: RepairRequest, timeout_s: float) -> Child:
    return Child(
        f"{__package__}.worker",
        request,
        name=f"repairing {request.request.recipe.scheme}",
        where=str(request.request.model),
        remedy="quantize without --repair, and keep operators in float with --exclude",
        environment={"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2"},
        timeout_s=timeout_s,
        start_s=timeout_s,
        passes=(EdgeworthyError, OSError),
    )
