"""``--repair``: the search for the recipe that a calibrated file is made by, and what the report holds of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..artifact import Feeds, TFLiteModel
from ..errors import BadInput
from ..quantize.recipe import Recipe
from ..quantize.repair.budget import Budget
from ..quantize.repair.repair import Repair, repair
from ..schemes import SCHEMES
from ..validate.inputs import CLASSIFICATION
from ..validate.made import RepairResult
from .progress import Progress

if TYPE_CHECKING:
    from ..artifact import Array
    from .inputs import Inputs


def wanted(inputs: Inputs, scheme: str) -> bool:
    """Whether a scheme's file is to be repaired.

    Raises:
        BadInput: it is, and a recipe was given that decides all.
    """
    if not inputs.config.quantize.repair or not SCHEMES[scheme].needs_calibration:
        return False
    if inputs.recipes[scheme].resolved:
        raise BadInput(
            "the recipe decides all, so there is nothing to search for",
            where="--repair",
            remedy="leave out --repair to make its file again, or --recipe to search anew",
        )
    return True


def search(
    model: TFLiteModel,
    recipe: Recipe,
    inputs: Inputs,
    *,
    budget: Budget | None = None,
    seconds: float | None = None,
    permute: Mapping[str, tuple[int, ...]],
    modules: Mapping[str, str],
    progress: Progress,
) -> Repair:
    """The recipe of the fastest file within the budget.

    Args:
        budget: None: that of ``[quantize.budget]``.
        seconds: Time for trials; None: that of the same table.

    Raises:
        BadInput: accuracy is asked for and there is no labelled data, or it isn't that of classes; or as of ``repair``.
    """
    table, calibration = inputs.config.quantize.budget, inputs.calibration
    asked = budget or Budget(table.min_sqnr_db, table.min_agreement, table.max_accuracy_drop)
    if asked.max_accuracy_drop is not None and inputs.labelled is None:
        raise BadInput(
            "accuracy can't be held without labelled data",
            where="--max-accuracy-drop",
            remedy="give --labelled data.npz, with an array for each input and one called labels",
        )
    if asked.max_accuracy_drop is not None and inputs.config.validation.accuracy != CLASSIFICATION:
        raise BadInput(
            f"repair holds the accuracy of classes alone, and --accuracy is {inputs.config.validation.accuracy}",
            where="--max-accuracy-drop",
            remedy="give repair a --min-sqnr-db in its place; recommend --max-accuracy-drop compares files by any task",
        )
    assert calibration is not None  # noqa: S101 - a calibrated scheme has some, or nothing is begun
    return repair(
        model,
        recipe,
        asked,
        calibration=calibration,
        labelled=list(_labelled(inputs)) if asked.max_accuracy_drop is not None else (),
        permute=permute,
        modules=modules,
        seconds=seconds or table.seconds,
        progress=lambda done, total: progress.step("calibrate", done, total),
    )


def result(found: Repair) -> RepairResult:
    """What the report holds of a search."""
    return RepairResult(
        met=found.met,
        asked=found.budget.asked(),
        reached=str(found.quality),
        judged_on=found.judged_on,
        missed=found.budget.missed(found.quality),
        trials=list(found.trials),
        notes=[
            *([found.gave_up] if found.gave_up else []),
            *found.searches,
            *(f"no time for {what}" for what in found.notes),
        ],
    )


def _labelled(inputs: Inputs) -> Iterator[tuple[Feeds, Array]]:
    data = inputs.labelled
    if data is None:
        return
    done = 0
    for feeds, count in data.batches(inputs.source.inputs):
        if count == len(next(iter(feeds.values()))):  # the last batch may be filled up, and that counts nobody twice
            yield feeds, data.labels[done : done + count]
        done += count
