"""ONNX's own node tests: what can become of one, the comparison that decides, the records of ``onnx-tests.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field

from ..artifact import Array, TensorSpec
from ..formats.onnx.node_tests import NodeTest
from .record import Record

NodeTestStatus = Literal[
    "pass",
    "unsupported",  # the preflight listed nodes that can't be lowered
    "convert-error",  # the conversion raised something else, or made another file than it should
    "does-nothing",  # the TFLite file has operators that do nothing
    "runtime-error",  # the runtime refused the artifact or raised
    "crash",  # the process that converts or runs it died
    "timeout",  # it was ended for taking too long
    "wrong-shape",
    "wrong-dtype",
    "wrong-value",
]
STATUSES: tuple[NodeTestStatus, ...] = get_args(NodeTestStatus)
_COMPARED: tuple[NodeTestStatus, ...] = ("pass", "wrong-value", "wrong-dtype", "wrong-shape", "runtime-error")
"""What ``compare`` finds, that which came furthest first."""


@dataclass(frozen=True)
class NodeTestOutcome:
    """What became of one test.

    Attributes:
        detail: More of it, in one line.
    """

    status: NodeTestStatus
    detail: str = ""


class RouteTests(Record):
    """What became of the tests on one route."""

    route: str
    made_by: str = ""
    key: str = Field(default="", description="changes with what might make other outcomes")
    cause: str = Field(default="", description="why it took none, or stopped before the end; empty: it took all")
    outcomes: dict[str, NodeTestOutcome] = Field(default_factory=dict, description="by the test's name")

    @property
    def passed(self) -> int:
        return sum(outcome.status == "pass" for outcome in self.outcomes.values())


class NodeTestTable(Record):
    """All of ``onnx-tests.json``."""

    schema_version: Literal[1] = 1
    edgeworthy: str
    created: datetime
    command: str = ""
    onnx: str
    total: int = Field(description="of ONNX's node tests, those with TFLite's types")
    chosen: int = Field(description="of these, those that every route takes")
    routes: list[RouteTests]

    @property
    def exit_code(self) -> int:
        """1: no route passes one."""
        return 0 if any(row.passed for row in self.routes) else 1

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the table: the route, what it passes, the share, and every other outcome that there is."""
        return ("route", "passes", "share", *self._failures)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Of the table: every route that took one."""
        return [self._row(row) for row in self.routes if row.outcomes]

    @property
    def _failures(self) -> list[NodeTestStatus]:
        found = {outcome.status for row in self.routes for outcome in row.outcomes.values()}
        return [status for status in STATUSES if status in found and status != "pass"]

    def _row(self, row: RouteTests) -> tuple[str, ...]:
        counts = Counter(outcome.status for outcome in row.outcomes.values())
        count = len(row.outcomes)
        share = f"{row.passed / count:.0%}"
        return (row.route, f"{row.passed} of {count}", share, *(str(counts[status]) for status in self._failures))


def compare(got: Mapping[str, Any], expected: Mapping[str, Any], *, rtol: float, atol: float) -> NodeTestOutcome:
    """Compare outputs by name: shape, then dtype, then numbers, each strictly.

    Numbers agree when ``|got - expected| <= atol + rtol * |expected|``, as in ONNX's own runner; NaN equals
    NaN. A sequence is expected as its tensors, by the names that `formats.onnx.parts` gives them.
    """
    lists = {name: want for name, want in expected.items() if isinstance(want, list)}
    parts = {f"{name}_{index}": part for name, want in lists.items() for index, part in enumerate(want)}
    tensors = {name: want for name, want in expected.items() if name not in lists}
    for name, want in lists.items():
        if f"{name}_{len(want)}" in got:
            return NodeTestOutcome("wrong-shape", f"{name}: more than {len(want)} tensors")
    for name, want in {**tensors, **parts}.items():
        if name not in got:
            return NodeTestOutcome("runtime-error", f"no output {name!r}; there are {', '.join(sorted(got))}")
        if not isinstance(want, np.ndarray):
            return NodeTestOutcome("wrong-dtype", f"{name}: a tensor where a {type(want).__name__} is expected")
        have = np.asarray(got[name])
        if have.shape != want.shape:
            return NodeTestOutcome("wrong-shape", f"{name}: {list(have.shape)} instead of {list(want.shape)}")
        if have.dtype != want.dtype:
            return NodeTestOutcome("wrong-dtype", f"{name}: {have.dtype} instead of {want.dtype}")
        close = np.isclose(have, want, rtol=rtol, atol=atol, equal_nan=True)
        if not close.all():
            return NodeTestOutcome("wrong-value", f"{name}: {_worst(have, want, close)}")
    return NodeTestOutcome("pass")


def judged(outputs: Mapping[str, Any], test: NodeTest) -> NodeTestOutcome:
    """``compare`` with the benefit of the doubt that another converter's file gets.

    Outputs count by name, else by order, as they are or with their channels moved second, whichever comes nearest; a
    scalar may have rank 1.
    """
    if len(outputs) != len(test.outputs):
        return NodeTestOutcome("wrong-shape", f"{len(outputs)} outputs instead of {len(test.outputs)}")
    named = set(test.outputs) <= set(outputs)
    pairs = zip(test.outputs, outputs.values(), strict=True)
    kept = {name: np.asarray(outputs[name] if named else value) for name, value in pairs}
    kept = {n: v.reshape(()) if v.shape == (1,) and np.ndim(test.outputs[n]) == 0 else v for n, v in kept.items()}
    moved = {name: np.moveaxis(value, -1, 1) if value.ndim > 2 else value for name, value in kept.items()}
    found = [compare(some, test.outputs, rtol=test.rtol, atol=test.atol) for some in (kept, moved)]
    return min(found, key=lambda outcome: _COMPARED.index(outcome.status))


def layouts(specs: Sequence[TensorSpec], inputs: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
    """A test's inputs as a file may take them, by name, else by order: in the model's own layout, and channels last.

    None where neither fits, or one isn't a tensor.
    """
    named = {spec.name for spec in specs} <= set(inputs)
    if not (named or len(specs) == len(inputs)) or not all(isinstance(value, np.ndarray) for value in inputs.values()):
        return
    kept = {s.name: inputs[s.name] if named else value for s, value in zip(specs, inputs.values(), strict=False)}
    kept |= {s.name: kept[s.name].reshape(1) for s in specs if kept[s.name].ndim == 0 and tuple(s.shape) == (1,)}
    moved = {name: np.moveaxis(value, 1, -1) if value.ndim > 2 else value for name, value in kept.items()}
    for feeds in (kept, moved):
        if all(_fits(spec, feeds[spec.name]) for spec in specs):
            yield feeds


def _fits(spec: TensorSpec, value: Array) -> bool:
    extents = zip(spec.shape, value.shape, strict=False)
    return len(spec.shape) == value.ndim and all(isinstance(one, str) or one == other for one, other in extents)


def _worst(have: Array, want: Array, close: Array) -> str:
    wrong = np.argwhere(~close)
    at = tuple(int(i) for i in wrong[0])
    count = f"{len(wrong)} of {close.size} numbers differ"
    return f"{count}, first {have[at]} instead of {want[at]} at {list(at)}"
