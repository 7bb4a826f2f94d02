"""`--check-passes`: the graph is run after every pass and held against the graph before all of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds, OnnxModel
from ..errors import CheckFailed
from ..targets.worker import Worker

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..artifact import Array

TOLERANCE = 1e-4
"""Largest change that a pass may cause, relative to the largest element of the output."""


class PassCheck:
    """A ``convert.conversion.Check``.

    Args:
        model: The graph before all passes.
        feeds: Inputs to run it on.

    Attributes:
        changes: Step → the largest change so far, relative to the output's largest element.
    """

    def __init__(self, model: OnnxModel, feeds: Feeds) -> None:
        self.model = model
        self.feeds = feeds
        self.changes: dict[str, float] = {}
        self._expected = self._run(model)

    def __call__(self, model: ir.Model, step: str) -> None:
        """Run ``model`` as it is after ``step``; not when its inputs have another layout now (``--io-layout nhwc``).

        Raises:
            CheckFailed: an output changed by more than ``TOLERANCE``, or in shape.
            RuntimeFailure: ONNX Runtime can't run the graph any more.
        """
        import onnx_ir as ir

        if not all(_takes(value.shape, self.feeds[str(value.name)]) for value in model.graph.inputs):
            return
        with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
            path = Path(folder) / "model.onnx"
            ir.save(model, path)
            got = self._run(OnnxModel(path, self.model.inputs, self.model.outputs))
        change = max((_change(got[name], value) for name, value in self._expected.items()), default=0.0)
        self.changes[step] = max(change, self.changes.get(step, 0.0))
        if not change <= TOLERANCE:
            raise CheckFailed(
                f"the pass {step} changed what the model computes (by {change:.2g} of the largest element)",
                where=str(self.model.path),
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


def _change(got: Array, expected: Array) -> float:
    if got.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    a, b = got.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    difference = np.where(same, 0.0, np.abs(a - b))
    finite = np.abs(b[np.isfinite(b)])
    return float(difference.max() / max(finite.max(initial=0.0), np.finfo(np.float32).tiny))
