"""`--check-passes`: the graph is run after every pass and held against the graph before all of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import Feeds, OnnxModel
from ..errors import CheckFailed
from ..numerics.comparison import change, compare, problems
from ..targets.worker import Worker
from ..workers.scratch import Scratch

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..artifact import Array

TOLERANCE = 1e-4
"""Largest change that a pass may cause in floats, relative to the largest element of the output."""


class PassCheck:
    """A ``convert.passes.Check``.

    Args:
        model: The graph before all passes.
        feeds: Inputs to run it on.

    Attributes:
        changes: Step → the largest change so far, relative to the output's largest element; infinity if it isn't one
            of size.
    """

    def __init__(self, model: OnnxModel, feeds: Feeds) -> None:
        self.model = model
        self.feeds = feeds
        self.changes: dict[str, float] = {}
        self._expected = self._run(model)

    def __call__(self, model: ir.Model, step: str) -> None:
        """Run ``model`` as it is after ``step``; not when its inputs have another layout now (``--io-layout nhwc``).

        Raises:
            CheckFailed: an output changed by more than ``TOLERANCE``, or in shape, dtype, NaN or infinity; or an
                integer or boolean one at all.
            RuntimeFailure: ONNX Runtime can't run the graph any more.
        """
        import onnx_ir as ir

        if not all(_takes(value.shape, self.feeds[str(value.name)]) for value in model.graph.inputs):
            return
        with Scratch() as folder:
            path = Path(folder) / "model.onnx"
            ir.save(model, path)
            got = self._run(OnnxModel(path, self.model.inputs, self.model.outputs))
        found = {name: _change(got[name], value) for name, value in self._expected.items()}
        largest = max((size for size, _ in found.values()), default=0.0)
        self.changes[step] = max(largest, self.changes.get(step, 0.0))
        if largest > TOLERANCE:
            raise CheckFailed(
                f"the pass {step} changed what the model computes",
                where=str(self.model.path),
                details=[f"output {name!r}: {how}" for name, (size, how) in found.items() if size > TOLERANCE],
                remedy="this is a fault of edgeworthy: please report it with the model",
            )

    def _run(self, model: OnnxModel) -> dict[str, Array]:
        with Worker("onnxruntime", model, optimize=False) as worker:
            return worker.run(self.feeds)


def _takes(shape: ir.Shape | None, array: Array) -> bool:
    dims = list(shape) if shape is not None else list(array.shape)
    return len(dims) == array.ndim and all(
        not isinstance(d, int) or d == n for d, n in zip(dims, array.shape, strict=True)
    )


def _change(got: Array, expected: Array) -> tuple[float, str]:
    """How far an output is from what it was, in figures and in words."""
    if found := problems(got, expected):
        return math.inf, "; ".join(found)
    errors = compare([got], [expected])
    if expected.dtype.kind == "f":
        relative = change(errors, expected.dtype)
        return relative, f"by {relative:.2g} of the largest element"
    share = change(errors, expected.dtype)  # an index or a truth value is the same or it isn't
    return math.inf if share else 0.0, f"{share:.2%} of the elements differ"
