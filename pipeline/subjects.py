"""Who runs what: the rows of parity, latency and accuracy, made from a run's artifacts and this machine's targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import targets
from ..artifact import Artifact, OnnxModel, SavedModel, TensorSpec, TFLiteModel
from ..errors import EdgeworthyError, NotAvailable
from ..formats.tflite.summary import STEPS, summarize
from ..schemes import FLOAT16, FLOAT32, FLOAT64, INT8, SCHEMES
from ..targets.remote.there import litert
from ..targets.worker import Worker
from ..validate import parity
from ..validate.made import ArtifactResult, TensorInfo, TensorMatch
from ..validate.runners import OutputGrid, Runner, Subject
from ..vocabulary import CONVERTED, ROUTE, Whose
from .others import is_int8_row

if TYPE_CHECKING:
    from ..targets.pytorch import PyTorchModel


_BUILTIN = {"kernels": "builtin"}
_USUAL = {"onnx": "onnxruntime", "tflite": "tflite", "saved_model": "tensorflow"}
"""Kind of file → the runtime that edgeworthy's own work with it is done on."""

Failed = Mapping[str, tuple[str, EdgeworthyError]]
"""Name in the report → the kind of file that another converter was to make, and why there is none."""


@dataclass(frozen=True)
class Cast:
    """Everything that can be run: the module, if there is one, and the files.

    Attributes:
        module: How to make the PyTorch module again; None for an ONNX source.
        artifacts: Key in the report → file; the first is what the others are made from.
        permutations: Input or output name → axes of the converted files' tensor in terms of the model's.
        names: Targets to use.
        timeout_s: Seconds that a load or a run may take.
        source: Key of the artifact that is the source itself, converted already.
        others: Name in the report → file of another converter, and how its tensors stand for the model's.
        failed: What is missing of those: a row that says why.
        quantized: Whether the model itself rounds to steps of a scale: then what computes it in float32 rounds too, and
            values that lie between two steps tip over.
    """

    module: PyTorchModel | None
    artifacts: Mapping[str, Artifact]
    permutations: Mapping[str, Sequence[int]] = field(default_factory=dict)
    names: Sequence[str] = field(default_factory=lambda: targets.TARGETS.usual)
    timeout_s: float = 300.0
    source: str | None = None
    others: Mapping[str, tuple[Artifact, Sequence[TensorMatch]]] = field(default_factory=dict)
    failed: Failed = field(default_factory=dict)
    quantized: bool = False

    def subjects(self, threads: int = 1) -> list[Subject]:
        """One subject for every target and file that go together, in the order of the hops."""
        found = []
        for name in self.names:
            target = targets.find(name)
            if target.kind == "pytorch":
                if self.module is not None:
                    found.append(self._subject(name, self.module, None, threads))
                continue
            for key, artifact in self.artifacts.items():
                if target.takes(artifact):
                    grid = _grid(artifact, partial(self._subject, artifact=artifact, key=key, threads=threads))
                    found.append(replace(self._subject(name, artifact, key, threads), grid=grid))
        found += [s for key in self.others for s in self._of_other(key, threads)]
        return found + [self._of_failed(key, threads) for key in self.failed]

    def other(self, key: str, matches: Sequence[TensorMatch]) -> Subject:
        """Another converter's file on the usual runtime of its kind, to be aligned with these matches."""
        artifact, _ = self.others[key]
        here = replace(self, names=[_USUAL[artifact.kind]], others={key: (artifact, matches)})
        return here._of_other(key, 1)[0]

    def _of_other(self, key: str, threads: int) -> list[Subject]:
        artifact, matches = self.others[key]
        runtimes = [name for name in self.names if targets.find(name).takes(artifact)]
        title = row_name_given(key, getattr(artifact, "scheme", FLOAT32.name))

        def on(name: str) -> Subject:
            row = title if name == runtimes[0] else f"{title} on {targets.find(name).title}"
            return replace(self._subject(name, artifact, key, threads, title=row), matches=tuple(matches))

        return [replace(on(name), grid=_grid(artifact, on)) for name in runtimes]

    def _of_failed(self, key: str, threads: int) -> Subject:
        kind, error = self.failed[key]

        def fail() -> AbstractContextManager[Runner]:
            raise error

        runtime = next(name for name in self.names if targets.find(name).kind == kind)
        return Subject(name=key, runtime=runtime, open=fail, artifact=key, threads=threads)

    def reference(self) -> Subject:
        """The model itself in float32, to align others' files by: its graph, or what it is converted to already."""
        key, artifact = next(iter(self.artifacts.items()))
        runtime = _USUAL[artifact.kind]
        options = _BUILTIN if artifact.kind == "tflite" else {}
        return self._subject(runtime, artifact, key, 1, title="the model", **options)

    def kernels(self) -> list[Subject]:
        """A TFLite source on TFLite's own optimised kernels, without XNNPACK: its noise floor's row."""
        key = self.source
        if key is None or self.artifacts[key].kind != "tflite":
            return []
        title = self._title("tflite", self.artifacts[key])
        return [self._subject("tflite", self.artifacts[key], key, 1, title=f"{title}, builtin kernels", **_BUILTIN)]

    def _plans_of_source(self, key: str) -> list[parity.Plan]:
        """A source that is converted already has nothing above it: other kernels of its own runtime."""
        artifact = self.artifacts[key]
        least = parity.AGREE_DB if SCHEMES[getattr(artifact, "scheme", FLOAT32.name)].by_floor else None
        if kernels := self.kernels():
            title = f"{self._title('tflite', artifact)}, reference kernels"
            truth = self._subject("tflite", artifact, key, 1, title=title, kernels="reference")
            return [parity.Plan(truth, kernels[0], truth, parity.KERNELS, least)]
        if artifact.kind == "saved_model":
            title = f"{self._title('tensorflow', artifact)}, without oneDNN"
            truth = self._subject("tensorflow", artifact, key, 1, title=title, onednn=False)
            return [parity.Plan(truth, self._subject("tensorflow", artifact, key, 1), truth, parity.ONEDNN, least)]
        return []

    def plans(self) -> list[parity.Plan]:
        """What may count as truth, the best first: PyTorch in float64, then ONNX Runtime on the graph as written.

        Whatever targets are asked for: one that is held against itself would always pass.
        """
        if self.source is not None:
            return self._plans_of_source(self.source)
        made = []
        if self.module is not None:
            truth = self._subject("pytorch", self.module, None, 1, title="PyTorch float64", float64=True)
            noisy = self._subject("pytorch", self.module, None, 1)
            made.append(parity.Plan(truth, noisy, truth, parity.PYTORCH))
        if graph := self.artifacts.get("onnx"):
            plain = self._subject("onnxruntime", graph, "onnx", 1, title="ONNX Runtime, not optimised", optimize=False)
            noisy = self._subject("onnxruntime", graph, "onnx", 1)
            made.append(parity.Plan(plain, noisy, plain, parity.ONNX, parity.AGREE_DB))
            # Where the optimisations change more than noise, they are what is to be judged.
            made.append(parity.Plan(plain, plain, plain, parity.LEAST))
        return made

    def _subject(
        self,
        runtime: str,
        artifact: Artifact,
        key: str | None,
        threads: int,
        *,
        title: str | None = None,
        **options: Any,
    ) -> Subject:
        def open_worker() -> AbstractContextManager[Runner]:
            return Worker(runtime, artifact, threads=threads, timeout_s=self.timeout_s, **options)

        converted = artifact.kind in CONVERTED
        target = targets.find(runtime)
        computes = FLOAT64 if options.get("float64") else SCHEMES[getattr(artifact, "scheme", FLOAT32.name)]
        if target.rounds and computes is FLOAT32:
            computes = FLOAT16
        if self.quantized and computes is FLOAT32:
            computes = INT8
        axes = {k: tuple(v) for k, v in self.permutations.items()} if converted else {}
        return Subject(
            name=title or self._title(runtime, artifact),
            runtime=runtime,
            open=open_worker,
            artifact=key,
            scheme=computes.name,
            threads=threads,
            size_bytes=artifact.size if key else None,
            measured=target.measured,
            computes=target.computes,
            baseline_rank=target.baseline_rank,
            whose=self._whose(key),
            permute_inputs={s.name: axes[s.name] for s in artifact.inputs if s.name in axes},
            permute_outputs={s.name: _inverse(axes[s.name]) for s in artifact.outputs if s.name in axes},
        )

    def _whose(self, key: str | None) -> Whose:
        """Who made a file of this key; of what converters make, edgeworthy quantizes the float one."""
        if key is not None and (key == self.source or (key in self.others and not is_int8_row(key))):
            return "another"
        return "model" if self.quantized else "ours"

    def _title(self, runtime: str, artifact: Artifact) -> str:
        title = row_name(runtime, getattr(artifact, "scheme", FLOAT32.name))
        alike = [a for a in self.artifacts.values() if self._same_row(a, artifact)]
        return f"{title} ({artifact.path.name})" if len(alike) > 1 else title

    @staticmethod
    def _same_row(one: Artifact, other: Artifact) -> bool:
        return (one.kind, getattr(one, "scheme", "")) == (other.kind, getattr(other, "scheme", ""))


def _grid(artifact: Artifact, on: Callable[[str], Subject]) -> OutputGrid | None:
    """The grid of a file whose activations are integers; ``on`` makes the subject of a target on this file."""
    if not isinstance(artifact, TFLiteModel) or SCHEMES[artifact.scheme].activations not in STEPS:
        return None
    others = {family: on(f"tflite,kernels={kernels}") for kernels, family in litert.own_families().items()}
    return OutputGrid(summarize(artifact.path).output_steps, on("tflite"), others)


def row_name(runtime: str, scheme: str) -> str:
    """What a row is called: the target, and for TFLite the scheme."""
    target = targets.find(runtime)
    if target.kind != TFLiteModel.kind:
        return target.title
    return f"{target.title} {SCHEMES[scheme].title}"


def row_name_given(name: str, scheme: str) -> str:
    """What a row of another converter's file is called; of one that is made here, before its scheme is known."""
    return name if scheme == FLOAT32.name or name.startswith(ROUTE) else f"{name} ({SCHEMES[scheme].title})"


def row_names(runtimes: Iterable[str], schemes: Mapping[str, Sequence[str]]) -> list[str]:
    """The rows of these targets; ``schemes``: kind of file → the schemes that there are of it."""
    rows = [(name, scheme) for name in runtimes for scheme in schemes.get(targets.find(name).kind, ())]
    return [row_name(name, scheme) for name, scheme in rows if targets.find(name).takes_scheme(scheme)]


def choose(asked: Iterable[str] | None) -> list[str]:
    """The targets to use: those asked for, or the usual ones, which are skipped with a row where they are missing.

    Raises:
        BadInput: there is no such target.
        NotAvailable: one that was asked for can't run here.
    """
    if asked is None:
        return targets.TARGETS.usual
    chosen = [targets.find(text).name for text in targets.listed(asked)]
    for name in chosen:
        if why := targets.find(name).absence():
            raise NotAvailable(
                f"target {name} can't run here: {why.what}",
                where="--target",
                details=why.details,
                remedy=", or ".join(filter(None, (why.remedy, "leave this target out"))),
            )
    return chosen


def to_artifact(result: ArtifactResult, folder: Path) -> Artifact:
    """The file of a report's entry."""
    path = result.below(folder)
    inputs, outputs = (tuple(map(_spec, side)) for side in (result.inputs, result.outputs))
    if result.kind == "tflite":
        return TFLiteModel(path, inputs, outputs, result.scheme)
    return (OnnxModel if result.kind == "onnx" else SavedModel)(path, inputs, outputs)


def infos(specs: Sequence[TensorSpec]) -> list[TensorInfo]:
    """Tensor specs as the report holds them."""
    return [TensorInfo(name=s.name, dtype=s.dtype, shape=list(s.shape)) for s in specs]


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(axes))


def _spec(info: TensorInfo) -> TensorSpec:
    return TensorSpec(info.name, info.dtype, tuple(info.shape))
