from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput, NotAvailable, OutOfMemory, RuntimeFailure
from edgeworthy.validate import accuracy
from edgeworthy.validate.inputs import Labelled, labelled
from edgeworthy.validate.results import AccuracyResult

from .numpy_runner import Function, subject

LABELS = np.random.default_rng(0).integers(0, 4, 100)
INPUTS = {"x": np.eye(4, dtype=np.float32)[LABELS]}
ONE, ANY, THREE = ((TensorSpec("x", "float32", (d, 4)),) for d in (1, "batch", 3))


def data() -> Labelled:
    return labelled(INPUTS, LABELS, ANY, description="numbers")


def classifier(wrong_class: int | None = None) -> Function:
    """Right on everything but ``wrong_class``."""

    def function(feeds: dict[str, Any]) -> dict[str, Any]:
        scores = feeds["x"].copy()
        if wrong_class is not None:
            rows = scores[:, wrong_class] == 1
            scores[rows] = np.roll(scores[rows], 1, axis=1)
        return {"features": feeds["x"][:, :, None], "scores": scores}

    return function


def test_accuracy_interval_and_drop() -> None:
    result = accuracy.measure(
        [subject("float", classifier()), subject("int8", classifier(2), scheme="int8")], data(), ANY
    )
    first, second = result.rows
    hits = int(np.sum(LABELS != 2))
    assert (first.status, first.accuracy, first.drop) == ("reference", 1.0, None)
    assert first.low is not None and 0.95 < first.low < 1
    assert (second.correct, second.total, second.status) == (hits, 100, "pass")
    assert second.drop == pytest.approx(1 - hits / 100)
    assert second.drop_low is not None and second.drop_high is not None
    assert second.drop_low < second.drop < second.drop_high
    assert second.changed == 100 - hits
    assert (result.output, result.reference, result.data, result.samples) == ("scores", "float", "numbers", 100)
    assert AccuracyResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize("specs", [ONE, ANY, THREE])
def test_every_batch_size_gives_the_same(specs: Any) -> None:
    shapes = set()

    def watched(feeds: dict[str, Any]) -> dict[str, Any]:
        shapes.add(feeds["x"].shape[0])
        return classifier(1)(feeds)

    result = accuracy.measure([subject("a", watched)], data(), specs)
    assert result.rows[0].correct == int(np.sum(LABELS != 1))
    assert shapes == {1: {1}, "batch": {64, 36}, 3: {3}}[specs[0].shape[0]]


def test_failures_are_rows_and_the_first_that_runs_is_the_reference() -> None:
    result = accuracy.measure(
        [
            subject("absent", classifier(), error=NotAvailable("not installed")),
            subject("broken", classifier(), error=RuntimeFailure("crashed with SIGILL")),
            subject("killed", classifier(), error=OutOfMemory("killed with SIGKILL")),
            subject("well", classifier()),
        ],
        data(),
        ANY,
    )
    assert [r.status for r in result.rows] == ["skipped", "error", "error", "reference"]
    assert (result.status, result.reference) == ("fail", "well")


def test_nan_scores_are_never_right() -> None:
    def broken(feeds: dict[str, Any]) -> dict[str, Any]:
        return {"scores": np.where(feeds["x"] == 1, np.nan, feeds["x"])}

    assert accuracy.measure([subject("a", broken)], data(), ANY).rows[0].correct == 0


def test_no_scores() -> None:
    with pytest.raises(BadInput, match="no output looks like class scores"):
        accuracy.measure([subject("a", lambda f: {"y": f["x"][:, 0]})], data(), ANY)
    with pytest.raises(BadInput, match="no output 'y'"):
        accuracy.measure([subject("a", classifier())], data(), ANY, output="y")
    few = subject("a", lambda f: {"y": f["x"][:, :2]})
    with pytest.raises(BadInput, match="label 3"):
        accuracy.measure([few], data(), ANY)
