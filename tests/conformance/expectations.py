"""Expected failures as data: ``expected_failures.toml``.

The file says with which onnx it was recorded and lists the cases that don't pass, each with the outcome it
has and a reason. ``[[expected]]`` tables are written by hand; ``[[recorded]]`` tables are written by
``update.py``, which keeps the first kind. Both are strict: a listed case that passes, or fails in another
way, is as wrong as a case that fails and isn't listed.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.validate.node_tests import STATUSES, NodeTestOutcome

PATH = Path(__file__).with_name("expected_failures.toml")
STORED = PATH.with_name("stored_failures.toml")

HEADER = """\
# ONNX's node tests that don't pass on our artifacts yet, and why. `python -m tests.conformance.update`
# rewrites the [[recorded]] tables from a run and keeps the [[expected]] ones, written by hand. See README.md.
"""


@dataclass(frozen=True)
class Entry:
    """A group of cases that fail in the same way for the same reason, on each of ``artifacts``."""

    outcome: str
    reason: str
    artifacts: tuple[str, ...]
    cases: tuple[str, ...]
    by_hand: bool


@dataclass(frozen=True)
class Expectations:
    """The file's content; ``onnx`` is the version it was recorded with."""

    onnx: str
    entries: tuple[Entry, ...]

    def of(self, artifact: str) -> dict[str, Entry]:
        """NodeTest name → its entry."""
        return {case: e for e in self.entries if artifact in e.artifacts for case in e.cases}


class BadExpectations(ValueError):
    """The file lists a case twice for one artifact, or an outcome that there isn't."""


def read(path: Path = PATH) -> Expectations:
    """Read the file; one that doesn't exist is empty.

    Raises:
        BadExpectations: see there.
    """
    if not path.exists():
        return Expectations("", ())
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = [
        Entry(t["outcome"], t["reason"], tuple(t["artifacts"]), tuple(t["cases"]), kind == "expected")
        for kind in ("expected", "recorded")
        for t in content.get(kind, [])
    ]
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.outcome not in STATUSES or entry.outcome == "pass":
            raise BadExpectations(f"{entry.reason!r}: no failure is called {entry.outcome!r}")
        for key in ((artifact, case) for artifact in entry.artifacts for case in entry.cases):
            if key in seen:
                raise BadExpectations(f"{key[1]} is listed twice for {key[0]}")
            seen.add(key)
    return Expectations(content["onnx"], tuple(entries))


def deviations(
    artifact: str, outcomes: Mapping[str, NodeTestOutcome], expected: Mapping[str, Entry], *, complete: bool
) -> list[str]:
    """One line for every case that isn't as expected; empty when all are.

    With ``complete``, ``outcomes`` has every case there is, so that a listed name without one is stale too.
    """
    lines = []
    for case, outcome in sorted(outcomes.items()):
        entry = expected.get(case)
        if entry is None and outcome.status != "pass":
            lines.append(f"{artifact}: {case} fails and isn't listed: {outcome.status}, {outcome.detail}")
        elif entry is not None and outcome.status == "pass":
            lines.append(f"{artifact}: {case} passes, its entry is stale: {entry.reason}")
        elif entry is not None and outcome.status != entry.outcome:
            now = f"{outcome.status}, {outcome.detail}"
            lines.append(f"{artifact}: {case} is listed as {entry.outcome} and is now {now}")
    if complete:
        lines += [f"{artifact}: {case} is listed and is no case" for case in expected if case not in outcomes]
    return lines


@dataclass(frozen=True)
class _Row:
    artifact: str
    case: str
    outcome: str
    reason: str
    by_hand: bool


def update(
    old: Expectations,
    onnx: str,
    results: Mapping[str, Mapping[str, NodeTestOutcome]],
    operators: Mapping[str, str],
    *,
    complete: bool,
) -> Expectations:
    """The expectations after a run.

    Entries written by hand stay as long as their cases fail in the same way; everything else that failed is
    recorded with what happened. Cases that weren't run stay, unless ``complete`` says that all were.

    Args:
        old: The expectations before.
        onnx: The version of onnx that made the cases.
        results: Artifact → case name → outcome.
        operators: NodeTest name → the operator it tests, for the recorded reasons.
        complete: Whether every case there is was run.
    """
    rows = []
    kept = set()
    for entry in old.entries:
        for artifact in entry.artifacts:
            for case in entry.cases:
                now = results.get(artifact, {}).get(case)
                not_run = now is None and not (complete and artifact in results)
                if not_run or (entry.by_hand and now is not None and now.status == entry.outcome):
                    rows.append(_Row(artifact, case, entry.outcome, entry.reason, entry.by_hand))
                    kept.add((artifact, case))
    for artifact, outcomes in results.items():
        for case, outcome in outcomes.items():
            if outcome.status != "pass" and (artifact, case) not in kept:
                reason = recorded_reason(case, operators[case], outcome)
                rows.append(_Row(artifact, case, outcome.status, reason, False))
    return Expectations(onnx, tuple(_group(rows)))


def recorded_reason(case: str, operator: str, outcome: NodeTestOutcome) -> str:
    """What is known about a failure without a human look at it, the same for alike cases of an operator."""
    if outcome.status in ("wrong-shape", "wrong-dtype", "wrong-value"):
        return f"{operator}: the output's {outcome.status.removeprefix('wrong-')} differs from ONNX's"
    # Values inside of a function body are named after the case.
    detail = re.sub(rf"(['\"])[^'\"]*{re.escape(case)}[^'\"]*\1", "a value", outcome.detail)
    return detail if outcome.status == "unsupported" else f"{operator}: {detail}"


def _group(rows: Iterable[_Row]) -> list[Entry]:
    """Rows with the same outcome, reason and set of artifacts become one entry; hand-written first."""
    artifacts: dict[tuple[bool, str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        artifacts[row.by_hand, row.outcome, row.reason, row.case].add(row.artifact)
    cases: dict[tuple[bool, str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (by_hand, outcome, reason, case), names in artifacts.items():
        cases[by_hand, outcome, reason, tuple(sorted(names))].append(case)
    entries = [
        Entry(outcome, reason, names, tuple(sorted(group)), by_hand)
        for (by_hand, outcome, reason, names), group in cases.items()
    ]
    order: list[str] = list(STATUSES)
    return sorted(entries, key=lambda e: (not e.by_hand, order.index(e.outcome), e.reason, e.artifacts))


def write(expectations: Expectations, path: Path = PATH) -> None:
    """Write the file; `read` gives the same back."""
    parts = [HEADER, f"onnx = {_string(expectations.onnx)}\n"]
    for entry in expectations.entries:
        names = ", ".join(_string(case) for case in entry.cases)
        cases = textwrap.indent(textwrap.fill(names, 106, break_long_words=False, break_on_hyphens=False), "  ")
        parts.append(
            f"[[{'expected' if entry.by_hand else 'recorded'}]]\n"
            f"outcome = {_string(entry.outcome)}\n"
            f"reason = {_string(entry.reason)}\n"
            f"artifacts = [{', '.join(map(_string, entry.artifacts))}]\n"
            f"cases = [\n{cases},\n]\n"
        )
    path.write_text("\n".join(parts), encoding="utf-8")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string
