"""A row of the zoo: one architecture with fixed or with varying extents, exported, converted, run and judged.

The model is made in a child (``start``), and each runtime runs in a worker of its own; both serve row after row. What
crashes or hangs has that as its result, and a new process goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from edgeworthy.artifact import Array, Artifact, Feeds, TensorSpec
from edgeworthy.errors import BadInput, CheckFailed, EdgeworthyError, UnsupportedNodes
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker
from edgeworthy.validate import parity
from edgeworthy.validate.edges import Edge
from edgeworthy.validate.results import Hop
from edgeworthy.validate.runners import Runner, Subject
from edgeworthy.workers.child import Child
from edgeworthy.workers.serve import Commands, Tell

FIXED, VARYING = "static", "dynamic"
RUNTIMES = {"onnx": "onnxruntime", "tflite": "tflite", "saved_model": "tensorflow"}
"""Kind of file → what runs it."""

CONVERTED = tuple(kind for kind in RUNTIMES if kind != "onnx")
TRUTH, FLOOR = "PyTorch float64", "PyTorch"
TIMEOUT_S = 300.0
_DRAWN = 1
"""Random inputs beside the example, at each choice of extents."""


@dataclass
class Outcome:
    """What became of one artifact.

    Attributes:
        status: ``pass``, ``fail`` (it computes something else), ``unsupported``, or ``error``.
        ratio: Its error against PyTorch in float64 ÷ that of PyTorch in float32, the worst output.
        cause: Why it didn't pass, in a line.
        operators: Of the TFLite file.
        seconds: From the ONNX file to it.
    """

    status: str
    ratio: float | None = None
    cause: str = ""
    operators: int | None = None
    seconds: float | None = None


@dataclass
class Row:
    """An architecture with fixed or varying extents.

    Attributes:
        key: ``catalogue.fingerprint``.
        sizes: The extents that it ran at.
        cause: Why there is no graph to convert, in a line.
        outcomes: Artifact → outcome.
    """

    name: str
    mode: str
    key: str = ""
    inputs: list[str] = field(default_factory=list)
    sizes: list[dict[str, int]] = field(default_factory=list)
    parameters: int | None = None
    onnx_nodes: int | None = None
    seconds: float = 0.0
    cause: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        return all(map(self.is_right, CONVERTED))

    def is_right(self, kind: str) -> bool:
        """Whether there is an artifact, and it passes."""
        return not self.cause and kind in self.outcomes and self.outcomes[kind].status == "pass"

    def why(self, kind: str) -> str:
        """Why it isn't, in a line."""
        return self.cause or (self.outcomes[kind].cause if kind in self.outcomes else "")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Row:
        return cls(**{**told, "outcomes": {kind: Outcome(**one) for kind, one in told["outcomes"].items()}})


@dataclass(frozen=True)
class Made:
    """What the child made of an architecture: the graph, its inputs, and what it is run on."""

    spec: str
    inputs: tuple[TensorSpec, ...]
    onnx: Artifact
    samples: list[dict[str, Array]]
    sizes: list[dict[str, int]]
    parameters: int
    nodes: int


class Workshop:
    """The processes that rows are made in. Use it as a context manager."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
        if self._child is not None:
            self._child.close()

    def row(self, name: str, mode: str, folder: Path) -> Row:
        """Make and judge an architecture; whatever goes wrong is in the row."""
        begin, row = time.perf_counter(), Row(name, mode)
        try:
            made: Made = self._ask("export", name, mode, folder)
        except EdgeworthyError as error:
            row.cause = one_line(error)
            row.seconds = time.perf_counter() - begin
            return row
        row.parameters, row.onnx_nodes, row.sizes = made.parameters, made.nodes, made.sizes
        row.inputs = [str(spec) for spec in made.inputs]
        files = {"onnx": made.onnx}
        for kind in CONVERTED:
            try:
                artifact, operators, seconds = self._ask("convert", made.onnx, folder, kind)
            except EdgeworthyError as error:
                status = "unsupported" if isinstance(error, UnsupportedNodes) else "error"
                row.outcomes[kind] = Outcome(status, cause=one_line(error))
                continue
            files[kind] = artifact
            row.outcomes[kind] = Outcome("pass", operators=operators, seconds=seconds)
        self._judge(row, made, files)
        row.seconds = time.perf_counter() - begin
        return row

    def _judge(self, row: Row, made: Made, files: Mapping[str, Artifact]) -> None:
        module = PyTorchModel.of(made.spec, made.inputs, made.onnx.outputs)
        truth = Subject(TRUTH, "pytorch", partial(self._loaded, TRUTH, module), scheme="float64")
        floor = Subject(FLOOR, "pytorch", partial(self._loaded, FLOOR, module))
        hops = [Subject(kind, RUNTIMES[kind], partial(self._loaded, kind, file), artifact=kind)
                for kind, file in files.items()]  # fmt: skip
        plan = parity.Plan(truth, floor, truth, parity.PYTORCH)
        at = Edge.of(made.samples[0]) if row.mode == FIXED else {}
        try:
            result = parity.measure([floor, *hops], made.samples, plans=[plan], at=at)
        except EdgeworthyError as error:
            row.cause = one_line(error)
            return
        if result.truth != TRUTH:
            row.cause = f"PyTorch in float64 failed: {next(h.failure for h in result.hops if h.name == TRUTH)}"
        for hop in result.hops:
            if hop.artifact is not None:
                outcome = row.outcomes.setdefault(hop.artifact, Outcome("pass"))
                outcome.status, outcome.ratio, outcome.cause = hop.status, ratio(hop), hop_cause(hop)

    def _ask(self, command: str, *arguments: object) -> Any:
        if self._child is None or not self._child.alive:
            passes = (BadInput, CheckFailed, UnsupportedNodes)
            self._child = Child("edgeworthy.benchmarks.zoo_rows", name="the zoo", timeout_s=TIMEOUT_S, passes=passes)
            self._child.wait()
        return self._child.ask(command, *arguments)

    @contextmanager
    def _loaded(self, name: str, artifact: Artifact) -> Iterator[Runner]:
        """The runtime's worker, with the artifact loaded."""
        if name not in self._workers:
            options: dict[str, Any] = {"float64": True} if name == TRUTH else {}
            self._workers[name] = Worker(RUNTIMES.get(name, "pytorch"), timeout_s=TIMEOUT_S, **options)
        self._workers[name].load(artifact)
        yield self._workers[name]


def ratio(hop: Hop) -> float | None:
    return max((output.noise_ratio for output in hop.outputs if output.noise_ratio is not None), default=None)


def hop_cause(hop: Hop) -> str:
    """Why a hop didn't pass, in a line."""
    if hop.status in ("pass", "reference"):
        return ""
    edges = [f"{o.name} at {e.edge}: {e.problem}" for o in hop.outputs for e in o.edges]
    lines = [line for line in (hop.failure or hop.reason).splitlines() if not line.startswith("  at: ")]
    return shortened(" ".join([*lines, *edges[:1]]))


def one_line(error: EdgeworthyError) -> str:
    if isinstance(error, UnsupportedNodes):
        return shortened("; ".join(sorted({f"{node.op}: {node.reason}" for node in error.nodes})))
    return shortened(" ".join([error.what, *map(str, error.details or ())]))


def shortened(text: str, limit: int = 400) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ---- in the child ----


def start(tell: Tell) -> Commands:
    """Import what makes models."""
    import torch

    torch.set_num_threads(1)
    return {"export": _export, "convert": _convert}


def _export(name: str, mode: str, folder: Path) -> Made:
    from edgeworthy.benchmarks.architectures.catalogue import ARCHITECTURES, TRACED, spec
    from edgeworthy.export.onnx_export import export_onnx
    from edgeworthy.formats.onnx.file import read_onnx
    from edgeworthy.source.example_inputs import dynamic_sizes, resized
    from edgeworthy.source.load import load_source
    from edgeworthy.source.variations import random_samples

    architecture, where = ARCHITECTURES[name], spec(name)
    source = load_source(where)
    if mode == VARYING:
        specs = [varied(s, architecture.dimensions.get(s.name, {})) for s in source.inputs]
        source = load_source(where, inputs=[str(s) for s in specs])
    fixed = dynamic_sizes(source.inputs, source.examples)
    sizes = choices(source.inputs, source.examples, architecture.sizes) if fixed else [{}]
    feeds = [resized(source.inputs, source.examples, one) for one in sizes]
    source.examples = feeds[0]
    onnx = export_onnx(source, folder / "model.onnx", exporter="torchscript" if name in TRACED else "dynamo").model
    samples = [drawn for one in feeds for drawn in random_samples(one, 1 + _DRAWN)]
    module: Any = source.module
    count = sum(p.numel() for p in module.parameters())
    return Made(where, source.inputs, onnx, samples, sizes, count, len(read_onnx(onnx.path).graph))


def varied(spec: TensorSpec, names: Mapping[int, str]) -> TensorSpec:
    return TensorSpec(spec.name, spec.dtype, tuple(names.get(axis, dim) for axis, dim in enumerate(spec.shape)))


def choices(inputs: Sequence[TensorSpec], examples: Feeds, given: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """Three choices of the extents that vary; the first is what the graph is exported at."""
    from edgeworthy.source.example_inputs import dynamic_sizes, other_sizes, resized

    usual = dynamic_sizes(inputs, examples)
    if "batch" in usual:
        usual["batch"] = 2
    found = [usual, *other_sizes(inputs, resized(inputs, examples, usual))]
    return [{**one, **more} for one, more in zip(found, given or [{}] * len(found), strict=True)]


def _convert(onnx: Artifact, folder: Path, kind: str) -> tuple[Artifact, int | None, float]:
    from edgeworthy.convert import convert
    from edgeworthy.formats.tflite.summary import summarize

    begin = time.perf_counter()
    conversion = convert(onnx, folder, to=[kind])
    seconds = time.perf_counter() - begin
    if conversion.tflite is not None:
        return conversion.tflite, sum(summarize(conversion.tflite.path).op_counts.values()), seconds
    assert conversion.saved_model is not None  # noqa: S101
    return conversion.saved_model, None, seconds
