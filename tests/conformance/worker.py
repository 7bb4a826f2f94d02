"""What a child of the conformance run serves: takes cases, gives outcomes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import EdgeworthyError, UnsupportedNodes
from edgeworthy.validate.node_tests import NodeTestOutcome, compare
from edgeworthy.workers.serve import Commands, Tell

from ..noops import noops
from .adapters import RUNNERS, convert_to, warm_up
from .declared import DeclaredPass, without_declared_shapes

if TYPE_CHECKING:
    from edgeworthy.formats.onnx.node_tests import NodeTest


def check(case: NodeTest, artifact: str, folder: Path, stage: Tell) -> NodeTestOutcome:
    """Convert a case, run it, compare; and the same without the output shapes that its model declares.

    A SavedModel takes three times as long as a TFLite file, and both come of one lowering: where one passes without
    the declared shapes it isn't made again with them.
    """
    model = without_declared_shapes(case.model)
    other = None
    if model is not None:
        (folder / "undeclared").mkdir()
        other = attempt(case, artifact, model, folder / "undeclared", stage)
        if other.status == "pass" and artifact == "saved_model":
            return other
    outcome = attempt(case, artifact, case.model, folder, stage)
    if outcome.status != "pass" or other is None or other.status == "pass":
        return outcome
    return DeclaredPass("pass", f"{other.status} without the declared output shape: {other.detail}")


def attempt(case: NodeTest, artifact: str, model: bytes, folder: Path, stage: Tell) -> NodeTestOutcome:
    """Convert a model of a case, run it, compare. Whatever the code under test raises is an outcome."""
    stage("converting")
    try:
        made = convert_to(artifact, model, folder)
    except UnsupportedNodes as error:
        return NodeTestOutcome("unsupported", "; ".join(sorted({f"{n.op}: {n.reason}" for n in error.nodes})))
    except Exception as error:  # noqa: BLE001
        return NodeTestOutcome("convert-error", one_line(error))
    if artifact == "tflite" and (idle := noops(made)):
        return NodeTestOutcome("does-nothing", "; ".join(idle))
    stage("running")
    try:
        outputs = RUNNERS[artifact](made, case.inputs)
    except Exception as error:  # noqa: BLE001
        return NodeTestOutcome("runtime-error", one_line(error))
    return compare(outputs, case.outputs, rtol=case.rtol, atol=case.atol)


def one_line(error: Exception, limit: int = 200) -> str:
    """An exception's type and the beginning of its message, without our own errors' changing file names."""
    message = error.what if isinstance(error, EdgeworthyError) else str(error)
    text = f"{type(error).__name__}: {' '.join(message.split())}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def start(tell: Tell, artifact: str) -> Commands:
    """Import what makes and runs ``artifact``."""
    warm_up(artifact)

    def run(case: NodeTest) -> NodeTestOutcome:
        with tempfile.TemporaryDirectory() as folder:
            return check(case, artifact, Path(folder), tell)

    return {"run": run}
