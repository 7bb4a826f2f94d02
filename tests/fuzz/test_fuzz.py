"""Mutated and drawn models: bad input is refused by name, and a file we wrote loads and computes what ONNX says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from .cases import Case, make_case
from .corpus import Corpus, load_corpus
from .grammar import models
from .judge import judge
from .suite import Run, report, run_cases, table

QUICK, SLOW, SLOW_SAVED_MODEL = 500, 20_000, 600
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


def test_seeds_are_right(corpus: Corpus, tmp_path: Path) -> None:
    """What is written in ``corpus.py`` converts, or is refused for an operator that has no lowering."""
    for name in ("cnn", "cnn_external", "encoder", "shapes", "pieces", "branch", "functions", "quantized"):
        seed = corpus[name][0]
        folder = tmp_path / name
        folder.mkdir()
        outcome = judge(Case(0, (name,), seed.model, seed.files), "tflite", folder, lambda stage: None)
        assert outcome.status in ("equal", "refused"), (name, outcome)


def test_drawn_models(tmp_path: Path) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(models())
    def check(model: object) -> None:
        outcome = judge(Case(0, (), model.SerializeToString()), "tflite", tmp_path, lambda stage: None)
        assert outcome.status in ("equal", "converted", "refused"), outcome

    check()
