"""What becomes of a case: refused as it should be, converted to a file that loads and computes the same, or a fault.

A file that came out has to load in the LiteRT interpreter. If ONNX Runtime runs the mutated model, the file must run
too, and give what ONNX Runtime gives, or what ONNX's reference implementation gives where the two don't agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx

from edgeworthy.convert import convert
from edgeworthy.errors import EdgeworthyError, UnsupportedNodes

from ..conformance.adapters import run_saved_model
from .cases import Case
from .mutations.common import graphs

Status = Literal[
    "refused", "converted", "equal", "fault", "nameless", "unloadable", "not run", "wrong", "crash", "hang"
]
STATUSES: tuple[Status, ...] = get_args(Status)
GOOD: frozenset[Status] = frozenset({"refused", "converted", "equal"})
"""The other outcomes are failures of ours."""

REFERENCE = "running ONNX Runtime"
"""The stage in which a worker's death is not our fault."""

_RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
                     "Bernoulli", "Dropout"})  # fmt: skip
_REFUSALS = (2, 3)
_EMPTY = "fed with nothing"
_UNREADABLE = "Invalid tensor size"
"""What LiteRT's Python interpreter says of an output that turned out to have no elements in this run."""
_RTOL, _ATOL, _ATOL_QUANTIZED = 1e-2, 1e-3, 2e-2
"""The absolute ones in terms of the largest number; a quantized model may be a step off where it rounds."""
_MOST_ELEMENTS = 1 << 20

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Outcome:
    """The status of a case; ``detail`` groups failures, ``more`` is what differs from case to case.

    ``refused``: by an error that names a place. ``converted``: the file loads, and ONNX Runtime doesn't run the model.
    ``equal``: both run and agree. ``fault``: an exception that is not one of ours, or is exit 70. ``nameless``: a
    refusal without a place. ``not run``: ONNX Runtime runs the model, the interpreter does not run our file.
    """

    status: Status
    detail: str = ""
    more: str = ""


def judge(case: Case, artifact: str, folder: Path, stage: Callable[[str], None]) -> Outcome:
    """Convert a case to ``artifact`` in ``folder`` and look at what comes out; tells ``stage`` what it is doing."""
    source = folder / "model.onnx"
    source.write_bytes(case.model)
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    stage("converting")
    try:
        made = convert(source, folder, to=(artifact,))
    except EdgeworthyError as error:
        return _refusal(error)
    except Exception as error:  # noqa: BLE001  the code under test may raise anything
        return Outcome("fault", _one_line(error), _place(error))
    file = made.tflite if artifact == "tflite" else made.saved_model
    assert file is not None
    path, static = file.path, all(isinstance(d, int) for spec in file.inputs for d in spec.shape)
    stage("loading")
    if artifact == "tflite":
        fault = _load(path, allocate=static)
        if fault:
            return Outcome("unloadable", fault)
    outcome = _compare(case, artifact, path, source, stage)
    # A declared batch of 0 was taken for any: the file is for batches that have something in them.
    return Outcome("converted") if outcome.status == "not run" and not static and outcome.more == _EMPTY else outcome


def _refusal(error: EdgeworthyError) -> Outcome:
    if error.exit_code not in _REFUSALS:
        return Outcome("fault", _one_line(error), _place(error.__cause__ or error))
    named = bool(error.where)
    if isinstance(error, UnsupportedNodes):
        named = named and all(node.op and node.reason and node.remedy for node in error.nodes)
    if not named:
        return Outcome("nameless", _one_line(error), _place(error))
    return Outcome("refused", type(error).__name__)


def _load(path: Path, *, allocate: bool) -> str:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=1)
        if allocate:
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return _one_line(error)
    return ""


def _compare(case: Case, artifact: str, path: Path, source: Path, stage: Callable[[str], None]) -> Outcome:
    stage(REFERENCE)
    wanted = _expected(case, source)
    if wanted is None:
        return Outcome("converted")
    inputs, expected = wanted
    stage("running our file")
    try:
        got = _run_tflite(path, inputs) if artifact == "tflite" else run_saved_model(path, inputs)
    except Exception as error:  # noqa: BLE001  TensorFlow has a class of its own for every error
        if _UNREADABLE in str(error) and any(array.size == 0 for array in expected.values()):
            return Outcome("converted")
        return Outcome("not run", _one_line(error), _EMPTY if any(a.size == 0 for a in inputs.values()) else "")
    atol = _ATOL_QUANTIZED if b"QuantizeLinear" in case.model else _ATOL
    difference = _difference(got, expected, atol)
    if difference:
        stage(REFERENCE)
        second = _by_reference(source, inputs)
        if second is None or (_difference(second, expected, atol) and not _difference(got, second, atol)):
            return Outcome("converted")  # the two references don't agree: nobody can tell
        return Outcome("wrong", _kind_of(difference), difference)
    return Outcome("equal")


def _run_tflite(path: Path, inputs: Arrays) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    return dict(interpreter.get_signature_runner("serving_default")(**inputs))


def _expected(case: Case, source: Path) -> tuple[Arrays, Arrays] | None:
    """Inputs for the mutated model and what ONNX Runtime makes of them; None if it doesn't run, or if that is open."""
    import onnxruntime as ort

    if any(map(_is_open, _nodes(onnx.load(source, load_external_data=False)))):
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        inputs = _inputs(case, session.get_inputs())
        if inputs is None:
            return None
        outputs = session.run(None, inputs)
    except Exception:  # noqa: BLE001  ONNX Runtime has a class of its own for every error
        return None
    names = [value.name for value in session.get_outputs()]
    arrays = {n: np.asarray(o) for n, o in zip(names, outputs, strict=True) if isinstance(o, np.ndarray)}
    declared = {value.name: value.shape for value in session.get_outputs()}
    if len(arrays) < len(names) or any(_contradicts(declared[n], a.shape) for n, a in arrays.items()):
        return None  # ONNX Runtime warns of it, and who reads the file can't know before the values come
    return inputs, arrays


def _contradicts(declared: Any, shape: tuple[int, ...]) -> bool:
    """Whether a file declares another shape of an output than its nodes make; no extents may mean no shape."""
    if not declared:
        return False
    return len(declared) != len(shape) or any(
        isinstance(d, int) and d != have for d, have in zip(declared, shape, strict=True)
    )


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for body in (*graphs(model), *model.functions) for node in body.node]


def _is_open(node: onnx.NodeProto) -> bool:
    """Whether ONNX leaves a node's result open: it is random, or may write twice to one place, or to none there is."""
    if node.op_type == "MaxUnpool":
        return True
    if node.op_type in ("ScatterND", "ScatterElements", "Scatter"):
        return all(attribute.name != "reduction" or attribute.s == b"none" for attribute in node.attribute)
    return node.op_type in _RANDOM


def _inputs(case: Case, wanted: list[Any]) -> dict[str, np.ndarray[Any, Any]] | None:
    """The seed's inputs where they still fit, else small numbers."""
    rng = np.random.default_rng(case.number)
    inputs: dict[str, Any] = {}
    for value in wanted:
        if not value.type.startswith("tensor(") or value.type == "tensor(string)":
            return None
        name = value.type.removeprefix("tensor(").removesuffix(")")
        dtype = np.dtype({"float": "float32", "double": "float64"}.get(name, name))
        shape = [d if isinstance(d, int) else 2 for d in value.shape]
        if np.prod([float(d) for d in shape]) > _MOST_ELEMENTS:
            return None
        given = case.inputs.get(value.name)
        if _fits(given, dtype, value.shape):
            inputs[value.name] = given
        elif dtype.kind == "f":
            inputs[value.name] = rng.normal(0, 1, shape).astype(dtype)
        else:
            inputs[value.name] = rng.integers(0, 2, shape).astype(dtype)
    return inputs


def _fits(given: Any, dtype: np.dtype[Any], shape: list[Any]) -> bool:
    if not isinstance(given, np.ndarray) or given.dtype != dtype or given.ndim != len(shape):
        return False
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        return False  # what a cast or a clamp makes of it is nobody's rule
    return all(not isinstance(d, int) or d == have for d, have in zip(shape, given.shape, strict=True))


def _by_reference(source: Path, inputs: Arrays) -> Arrays | None:
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            evaluator = ReferenceEvaluator(str(source))
            outputs = evaluator.run(None, dict(inputs))
    except Exception:  # noqa: BLE001  the reference raises what Python raises
        return None
    return {n: np.asarray(o) for n, o in zip(evaluator.output_names, outputs, strict=True)}


def _difference(got: Arrays, expected: Arrays, atol: float) -> str:
    """The first difference that counts, or an empty string.

    What a float is cast to beyond the integer's range is nobody's rule; float16 and float64 run as float32.
    """
    for name, want in expected.items():
        if name not in got:
            return f"missing: {name!r}"
        have = np.asarray(got[name])
        if have.shape != want.shape:
            return f"shape: {name!r} is {list(have.shape)} instead of {list(want.shape)}"
        if have.dtype != want.dtype:
            return f"dtype: {name!r} is {have.dtype} instead of {want.dtype}"
        if not want.size:
            continue
        with np.errstate(all="ignore"):
            a, b = (_overflown(array.astype(np.float64)) for array in (have, want))
            scale = float(np.max(np.abs(b), where=np.isfinite(b), initial=0))
            close = np.isclose(a, b, rtol=_RTOL, atol=atol * min(max(scale, 1.0), 1e300), equal_nan=True)
        if not close.all():
            at = tuple(int(i) for i in np.argwhere(~close)[0])
            return (
                f"value: {name!r} is {have[at]} instead of {want[at]} at {list(at)}, {(~close).sum()} of {close.size}"
            )
    return ""


def _overflown(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers near the end of float32 as infinities: what overflows depends on the order of operations."""
    return np.where(np.abs(array) > 1e37, np.sign(array) * np.inf, array)


def _kind_of(difference: str) -> str:
    return difference.partition(":")[0]


def _one_line(error: BaseException, limit: int = 160) -> str:
    message = error.what if isinstance(error, EdgeworthyError) else str(error)
    text = f"{type(error).__name__}: {' '.join(message.split())}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _place(error: BaseException) -> str:
    """The innermost of our own lines that an exception came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "edgeworthy" in file.parts and "tests" not in file.parts and ".venv" not in file.parts:
            place = f"{file.parent.name}/{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
