"""The yardstick of completeness: ONNX's own node tests on the TFLite file and on the SavedModel."""

from __future__ import annotations

import onnx
import pytest

from edgeworthy.formats.onnx.node_tests import NodeTests, load_node_tests

from . import expectations
from .conftest import RUNS
from .stored import load_stored
from .suite import ARTIFACTS, REQUIRED_SHARE, run_cases


@pytest.fixture(scope="module")
def suite() -> NodeTests:
    return load_node_tests()


def test_recorded_with_the_installed_onnx() -> None:
    recorded = expectations.read().onnx
    assert recorded == onnx.__version__, "another onnx makes other cases: run python -m tests.conformance.update"


def test_the_rule_picks_the_cases_with_types_of_tflite(suite: NodeTests) -> None:
    assert (suite.total, len(suite.cases)) == (1884, 1584)
    assert len({case.name for case in suite.cases}) == len(suite.cases)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_stored_tests(artifact: str) -> None:
    """What PyTorch exported in its first years, and small models of onnx's own."""
    suite = load_stored()
    assert (suite.total, len(suite.cases)) == (140, 128)
    run = run_cases(artifact, suite.cases)
    expected = expectations.read(expectations.STORED).of(artifact)
    wrong = expectations.deviations(artifact, run.outcomes, expected, complete=True)
    assert not wrong, "\n".join([f"{len(wrong)} cases are not as expected:", *wrong])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_node_tests(artifact: str, suite: NodeTests, pytestconfig: pytest.Config) -> None:
    run = run_cases(artifact, suite.cases)
    pytestconfig.stash.setdefault(RUNS, []).append(run)
    expected = expectations.read().of(artifact)
    wrong = expectations.deviations(artifact, run.outcomes, expected, complete=True)
    assert not wrong, "\n".join([f"{len(wrong)} cases are not as expected:", *wrong])
    assert run.share >= REQUIRED_SHARE[artifact]
