"""What is in a model file: inputs and outputs, operators, data types, sizes, transposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from .. import files
from ..artifact import DTYPES, Artifact
from ..errors import BadInput
from ..formats.model_files import sha256, size
from ..formats.tflite.releases import least_runtime, release_name, releases
from ..schemes import FLOAT32
from ..validate.made import ArtifactResult, TensorInfo, UnsupportedNodeResult
from ..workers.native import hushed
from .anatomy import Anatomy
from .subjects import infos

if TYPE_CHECKING:
    from ..targets.rules import NodeRefusal

_TF_PLUMBING = (
    "Const",
    "Identity",
    "NoOp",
    "PartitionedCall",
    "Placeholder",
    "ReadVariableOp",
    "StatefulPartitionedCall",
)
"""TensorFlow nodes that compute nothing."""


class Inspection(BaseModel):
    """What ``edgeworthy inspect`` shows.

    Attributes:
        ops: Operator → how many, the most frequent first.
        transposes: Operators among them that transpose; None where the format doesn't tell.
        constants: Data type → bytes of weights.
        activations: Data type → number of tensors computed; empty where the format doesn't tell.
        runs_on: Target → whether it takes this file, and if not, why.
        unsupported: ONNX: nodes that can't be converted.
        refused: Target → the nodes that it would refuse, of those targets that were asked about.
        anatomy: TFLite: operators by module, each transpose, and what XNNPACK leaves.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    kind: str
    size_bytes: int
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    ops: dict[str, int]
    transposes: int | None
    constants: dict[str, int]
    activations: dict[str, int] = {}
    details: dict[str, str] = {}
    runs_on: dict[str, str] = {}
    unsupported: list[UnsupportedNodeResult] = []
    refused: dict[str, list[str]] = {}
    anatomy: Anatomy | None = None


@hushed()
def inspect(path: Path | str, targets: Sequence[str] = ()) -> Inspection:
    """Look into an ``.onnx`` or ``.tflite`` file or a SavedModel folder.

    Args:
        targets: Those to hold it against, as ``--for`` takes them.

    Raises:
        BadInput: it is none of these, or damaged; there are no rules for a target, or none for SavedModels.
        NotAvailable: a SavedModel, and TensorFlow isn't installed.
    """
    path = Path(path)
    if path.is_dir():
        found = _saved_model(path)
    elif path.suffix == ".tflite":
        found = _tflite(path)
    elif path.suffix == ".onnx":
        found = _onnx(path)
    else:
        raise BadInput(
            "inspect reads .onnx and .tflite files and SavedModel folders"
            if path.exists()
            else "there is no such file",
            where=str(path),
            remedy="export the model first: edgeworthy export SOURCE -o OUT" if path.exists() else "check the path",
        )
    refused = _refused(path, found, targets) if targets else {}
    return found.model_copy(update={"runs_on": _runs_on(path, found), "refused": refused})


def _refused(path: Path, found: Inspection, targets: Sequence[str]) -> dict[str, list[str]]:
    from ..formats.onnx.summary import describe as describe_onnx
    from ..formats.tflite.summary import describe, summarize
    from . import preflight

    if found.kind == "tflite":
        quantized = summarize(path).scheme != FLOAT32.name
        refusals = preflight.of_file(path, targets) if quantized else preflight.of_float_file(describe(path), targets)
    elif found.kind == "onnx" and not found.unsupported:
        refusals = preflight.of_graph(describe_onnx(path), targets)
    else:
        raise BadInput(
            "--for reads TFLite files, and ONNX files that can be converted",
            where=str(path),
            remedy="leave --for out, or give the .onnx or .tflite file",
        )
    return {name: [_said(refusal, found.kind) for refusal in rows] for name, rows in refusals.items()}


def _said(refusal: NodeRefusal, kind: str) -> str:
    """A refusal; of a file that is made already, options are those of whoever makes it again."""
    if kind == "tflite" and "--" in refusal.remedy:
        again = f"{refusal.remedy}, where edgeworthy makes it again, of the model or its float file"
        refusal = replace(refusal, remedy=again)
    return str(refusal)


def artifact_result(name: str, artifact: Artifact, folder: Path, *, given: bool = False) -> ArtifactResult:
    """A file of a run as the report holds it; ``folder`` is the run's output folder, ``given``: it's the user's own."""
    ops = _ops_of(artifact)
    return ArtifactResult.model_validate(
        {
            "name": name,
            "kind": artifact.kind,
            "scheme": getattr(artifact, "scheme", FLOAT32.name),
            "path": files.relative(artifact.path, folder) if given else artifact.path.relative_to(folder).as_posix(),
            "given": given,
            "size_bytes": size(artifact.path),
            "sha256": sha256(artifact.path),
            "inputs": infos(artifact.inputs),
            "outputs": infos(artifact.outputs),
            "ops": ops,
            "transposes": _transposes(ops),
            "loads_on": str(least_runtime(artifact.path)) if artifact.kind == "tflite" else "",
        }
    )


def _ops_of(artifact: Artifact) -> dict[str, int]:
    if artifact.kind == "tflite":
        from ..formats.tflite.summary import summarize

        return summarize(artifact.path).op_counts
    if artifact.kind == "onnx":
        from ..formats.onnx.summary import summarize as summarize_onnx

        return summarize_onnx(artifact.path).op_counts
    return {}


def _transposes(ops: dict[str, int]) -> int | None:
    return sum(n for op, n in ops.items() if op.upper() == "TRANSPOSE") if ops else None


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _tflite(path: Path) -> Inspection:
    from ..formats.tflite.summary import summarize
    from .dissection import dissect

    summary = summarize(path)
    return Inspection(
        path=str(path),
        kind="tflite",
        size_bytes=summary.size,
        inputs=infos(summary.inputs),
        outputs=infos(summary.outputs),
        ops=summary.op_counts,
        transposes=_transposes(summary.op_counts) or 0,
        constants=summary.constant_bytes,
        activations=summary.activation_dtypes,
        details={"description": summary.description, "subgraphs": str(len(summary.graphs))}
        | ({"signatures": ", ".join(summary.signatures)} if len(summary.signatures) > 1 else {})
        | {"loads on": str(least_runtime(path))},
        anatomy=dissect(path, summary),
    )


def _onnx(path: Path) -> Inspection:
    from ..convert import prepare
    from ..errors import UnsupportedNodes
    from ..formats.onnx.file import read_onnx
    from ..formats.onnx.summary import summarize

    summary = summarize(path)
    graph = read_onnx(path)
    constants: Counter[str] = Counter()
    for value in graph.graph.initializers.values():
        if value.const_value is not None:
            constants[value.const_value.dtype.numpy().name] += value.const_value.nbytes
    ops = summary.op_counts
    details = {
        "opset": ", ".join(f"{domain or 'ai.onnx'} {v}" for domain, v in graph.opset_imports.items()),
        "producer": f"{graph.producer_name or 'unknown'} {graph.producer_version or ''}".strip(),
    }
    unsupported: list[UnsupportedNodeResult] = []
    try:
        prepared = prepare(graph, where=str(path))
        details["nodes after passes"] = str(sum(1 for _ in prepared.model.graph))
        details["transposes after layout"] = str(prepared.layout.remaining)
    except UnsupportedNodes as error:
        unsupported = [UnsupportedNodeResult(**vars(n)) for n in error.nodes]
    return Inspection(
        path=str(path),
        kind="onnx",
        size_bytes=summary.size,
        inputs=infos(summary.model.inputs),
        outputs=infos(summary.model.outputs),
        ops=ops,
        transposes=_transposes(ops) or 0,
        constants=dict(constants),
        details=details,
        unsupported=unsupported,
    )


def _saved_model(path: Path) -> Inspection:
    from ..formats.saved_model import load, signature_of, specs

    loaded = load(path)
    signature = signature_of(loaded, path)
    constants, ops = _contents(signature)
    inputs, outputs = specs(signature, path)
    return Inspection(
        path=str(path),
        kind="saved_model",
        size_bytes=files.size(path),
        inputs=infos(inputs),
        outputs=infos(outputs),
        ops=_sorted(ops),
        transposes=ops["Transpose"],
        constants=dict(constants),
        details={"signatures": ", ".join(loaded.signatures)},
    )


def _contents(signature: Any) -> tuple[Counter[str], Counter[str]]:
    """Data type → bytes of weights, and operator → how many, of a loaded signature."""
    import tensorflow as tf

    constants: Counter[str] = Counter()
    for variable in signature.variables:
        constants[variable.dtype.name] += variable.shape.num_elements() * variable.dtype.size
    definition = signature.graph.as_graph_def()
    nodes = [*definition.node, *(n for function in definition.library.function for n in function.node_def)]
    for node in nodes:
        if node.op == "Const":
            stored = node.attr["value"].tensor
            dtype = tf.as_dtype(stored.dtype)
            constants[dtype.name] += tf.TensorShape(stored.tensor_shape).num_elements() * dtype.size
    return constants, Counter(n.op for n in nodes if n.op not in _TF_PLUMBING)


def _runs_on(path: Path, found: Inspection) -> dict[str, str]:
    from ..formats.tflite.summary import summarize
    from ..targets import TARGETS

    if strange := [str(t) for t in (*found.inputs, *found.outputs) if t.dtype not in DTYPES]:
        why = f"no: edgeworthy feeds and reads no {', '.join(strange)}"
        return {name: why for name, target in TARGETS.items() if target.kind == found.kind}
    scheme = summarize(path).scheme if found.kind == "tflite" else None
    older = _too_old(path, found.anatomy) if found.kind == "tflite" else {}
    return {
        name: older.get(name) or target.missing(starts=False) or "yes"
        if target.takes_scheme(scheme)
        else f"no: this is {scheme}"
        for name, target in TARGETS.items()
        if target.kind == found.kind
    }


def _too_old(path: Path, anatomy: Anatomy | None) -> dict[str, str]:
    """TFLite's runtimes that don't load a file → why; ``tflite`` is the one that is installed."""
    least, known = least_runtime(path), releases()
    before = known[: known.index(least.release)] if least.release else known
    why = f"no: it loads on {str(least).partition(' (')[0]}"
    found = {release_name(release): why for release in before}
    if not least.release or (anatomy and anatomy.xnnpack.failure):
        found["tflite"] = why if not least.release else "no: it fails there, see below"
    return found
