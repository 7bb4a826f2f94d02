"""PyTorch's layers and functions as models use them: exported, converted to both artifacts, run, compared.

The truth is PyTorch in float64; an artifact passes within ten times PyTorch's own float32 error, by rms and by
maximum, which counts as one eps of the truth at least. What doesn't pass is listed in ``torch_layers_expected.toml``
with the reason; the list is strict. ``python -m tests.convert.torch_layers.run TEXT…`` prints outcomes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from .torch_layers.case import ARTIFACTS, Outcomes
from .torch_layers.cases import CASES
from .torch_layers.run import run

LIST = Path(__file__).with_name("torch_layers_expected.toml")
TABLES = tomllib.loads(LIST.read_text(encoding="utf-8"))["expected"]
EXPECTED = {(case, artifact): table for table in TABLES for case in table["cases"] for artifact in table["artifacts"]}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """Outcomes of all cases that this session asks for."""
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    return run({case for case, _ in EXPECTED}, wanted)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CASES)
def test_layer(name: str, outcomes: Outcomes) -> None:
    problems = []
    for artifact in ARTIFACTS:
        outcome, expected = outcomes[name, artifact], EXPECTED.get((name, artifact))
        if outcome.status != (expected["outcome"] if expected else "pass"):
            listed = f", listed as {expected['outcome']}" if expected else ""
            problems.append(f"{artifact}: {outcome.status}{listed}: {outcome.detail}")
        elif expected and expected["says"] not in outcome.detail:
            problems.append(f"{artifact}: fails otherwise than listed ({expected['says']!r}): {outcome.detail}")
    assert not problems, "\n".join(problems)


def test_the_list_names_cases_once() -> None:
    listed = [(case, artifact) for table in TABLES for case in table["cases"] for artifact in table["artifacts"]]
    assert len(listed) == len(set(listed))
    assert {case for case, _ in listed} <= CASES.keys()
