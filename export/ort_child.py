"""Runs an ONNX file in ONNX Runtime, in a process of its own (see ``workers``): native code on a model can abort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

from ..workers.serve import Commands, Tell

if TYPE_CHECKING:
    from ..artifact import Array, Feeds


def start(tell: Tell) -> Commands:
    """``load`` takes the file, ``run`` gives its outputs in the graph's order."""
    child = _OrtChild()
    return {"load": child.load, "run": child.run}


class _OrtChild:
    session: Any

    def load(self, model: Path) -> None:
        onnxruntime.disable_telemetry_events()  # some builds report on the models that they load
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # The graph as it was exported is what is checked, not what ONNX Runtime makes of it.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, feeds: Feeds) -> list[Array]:
        names = {value.name for value in self.session.get_inputs()}
        outputs: list[Array] = self.session.run(None, {n: array for n, array in feeds.items() if n in names})
        return outputs
