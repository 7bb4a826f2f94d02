"""Mutated and drawn models: bad input is refused by name, and a file we wrote loads and computes what ONNX says."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from .cases import Case, make_case
from .corpus import Corpus, load_corpus
from .grammar import models
from .suite import Run, report, run_cases, table

QUICK, SLOW, SLOW_SAVED_MODEL, DRAWN = 500, 20_000, 600, 300
FIRST_SLOW = 1_000_000
"""The slow run's numbers are others than the quick one's."""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


def hold(run: Run) -> None:
    assert not run.failures, "\n".join([*report(run), *table([run])])
    assert sum(outcome.status == "equal" for outcome in run.outcomes.values()) > len(run.outcomes) / 20


def test_quick(corpus: Corpus) -> None:
    hold(run_cases("tflite", corpus, range(QUICK)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_slow(corpus: Corpus) -> None:
    hold(run_cases("tflite", corpus, range(FIRST_SLOW, FIRST_SLOW + SLOW)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_slow_saved_model(corpus: Corpus) -> None:
    hold(run_cases("saved_model", corpus, range(FIRST_SLOW, FIRST_SLOW + SLOW_SAVED_MODEL)))


def test_a_number_is_a_case(corpus: Corpus) -> None:
    for number in range(50):
        assert make_case(corpus, number) == make_case(corpus, number)
    assert len({make_case(corpus, number).model for number in range(50)}) > 40


def test_seeds_are_right(corpus: Corpus) -> None:
    """What is written in ``corpus.py`` converts and computes the same, before anything is mutated."""
    names = ("cnn", "cnn_external", "encoder", "shapes", "pieces", "functions", "quantized")
    seeds = [corpus[name][0] for name in names]
    run = run_cases("tflite", corpus, [Case(i, (s.name,), s.model, s.files) for i, s in enumerate(seeds)])
    assert {names[i]: outcome.status for i, outcome in run.outcomes.items()} == dict.fromkeys(names, "equal")


def test_drawn_models(corpus: Corpus) -> None:
    drawn: dict[bytes, Case] = {}

    @settings(max_examples=DRAWN, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(models())
    def draw(model: onnx.ModelProto) -> None:
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString()
        drawn.setdefault(content, Case(len(drawn), (onnx.printer.to_text(model.graph),), content))

    draw()
    cases = list(drawn.values())
    run = run_cases("tflite", corpus, cases)
    failed = [f"{outcome}\n{cases[number].story[0]}" for number, outcome in run.failures.items()]
    assert not failed, "\n\n".join(failed[:5])
    assert sum(outcome.status == "equal" for outcome in run.outcomes.values()) > len(cases) / 2
