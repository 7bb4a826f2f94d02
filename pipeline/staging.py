"""A run over one output folder: what it was given, what it may write, and the records of its stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from .. import schemes as quantization
from ..config import Config
from ..errors import BadInput
from ..quantize.recipe import path_beside
from ..validate.summary import summarize
from . import fingerprint, limits
from .cache import Workspace
from .inputs import Inputs
from .others import file_name
from .pages import ADVICE, ANALYSIS, PAGES
from .plan import ALL, STAGES, brought, chosen
from .progress import Progress, Silent
from .wanted import MADE

T = TypeVar("T")


class Staging:
    """One run over one output folder. Use it as a context manager; stages run when their result is asked for.

    Inputs are loaded and checked on entry, before anything is written.

    Args:
        config: What to do; ``model.source`` and ``output`` have to be there.
        stages: The stages that will be asked for.
        reuse: False redoes every stage.
        force: Overwrite files in OUT that edgeworthy didn't make.
        progress: Is told what happens.
        handed: Data that Python handed over itself, see `inputs.Inputs`.

    Raises:
        BadInput: there is no source or no output folder.
    """

    def __init__(
        self,
        config: Config,
        *,
        stages: Iterable[str] = ALL,
        reuse: bool = True,
        force: bool = False,
        progress: Progress | None = None,
        handed: Mapping[str, object] | None = None,
    ) -> None:
        self.stages = chosen(stages)
        self.inputs = Inputs(config, self.stages, handed, force=force)
        self.brought = brought(self.stages) - self.inputs.done_already
        if not self.inputs.converts:
            self.brought -= {"convert", "quantize"}
        if config.output is None:
            raise BadInput(
                "no output folder was given",
                where="--output",
                remedy="give one with -o OUT, or set output in edgeworthy.toml",
            )
        self.config = config
        self.output = config.output
        self.progress: Progress = progress or Silent()
        self.force = force
        self.workspace = Workspace(self.output, reuse=reuse)
        self.seconds: dict[str, float] = {}
        self.cached: set[str] = set()

    def __enter__(self) -> Self:
        with self.progress.stage("load", self.inputs.spec):
            self._check()
        for warning in self.inputs.warnings:
            self.progress.warn(warning)
        self.workspace.inputs |= {path.resolve() for path in fingerprint.input_files(self.config)}
        with ExitStack() as stack:
            stack.enter_context(self.workspace)
            self.workspace.claim(self._writes(), force=self.force)
            stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.workspace.__exit__(kind, error, trace)

    def bring(self) -> None:
        """Bring the stages up to date."""
        for name in self.stages:
            for result in STAGES[name].results if name in self.brought else ():
                getattr(self, result)

    def _check(self) -> None:
        """Load all that the user gave and the stages need."""
        for name in self.stages:
            for attribute in STAGES[name].checks:
                getattr(self.inputs, attribute)
        self.inputs.check_comparison()
        earlier = self.inputs.earlier
        if self.stages == ALL:  # those that end in the gate
            routes = {name: converter.makes for name, converter in self.inputs.converters.items()}
            rows = limits.possible_rows(self.inputs.targets, self.inputs.artifacts, routes)
            limits.check_names(self.config.gate, [*rows, *(summarize(earlier) if earlier else ())])

    def _writes(self) -> list[Path]:
        """What the run may write, but for an ONNX source that lies where its copy would."""
        source, graph = self.inputs.source, self.output / "model.onnx"
        paths = [self.output / name for name in (PAGES if self.stages == ALL else PAGES[:1])]
        exports = self.copies_source or source.kind not in ("onnx", *MADE)
        if exports and (source.path is None or source.path.resolve() != graph.resolve()):
            paths += [graph, graph.with_name("model.onnx.data")]
        if "convert" in self.brought:
            paths += [self.output / MADE[kind] for kind in self.inputs.to]
        if {"quantize", "recommend"} & self.brought:
            made = [self._quantized_path(scheme) for scheme in self.inputs.schemes]
            paths += [*made, *map(path_beside, made)]
        if "quantize" in self.stages and self.config.quantize.analyze:
            paths += [self.output / name for name in ANALYSIS]
        paths += [self.output / name for name in ADVICE if "recommend" in self.stages]
        if self.inputs.measures:
            for info in self.inputs.converters.values():
                paths += [self.output / file_name(info)]
                if self.config.artifacts.int8:
                    paths += [(int8 := self.output / file_name(info, quantization.INT8.short_name)), path_beside(int8)]
        return paths

    def _quantized_path(self, scheme: str) -> Path:
        return self.output / quantization.SCHEMES[scheme].file_name

    @property
    def copies_source(self) -> bool:
        return "export" in self.brought

    def _stage(
        self,
        name: str,
        result: type[T],
        depends: Mapping[str, object],
        make: Callable[[], T],
        outputs: Sequence[Path] = (),
        about: Mapping[str, str] | None = None,
        origins: Sequence[Path] = (),
        final: Callable[[T], bool] = lambda _: True,
        spent: float | None = None,
    ) -> T:
        """A stage of `cache`, told as it comes, unless seconds were ``spent`` on it before that were told then."""
        with self.progress.stage(name) if spent is None else nullcontext():
            made_from = {"source": self.inputs.source_hash} | self.workspace.records.hashes(origins)
            done = self.workspace.stage(
                name,
                result,
                depends,
                make,
                outputs=outputs,
                about=about,
                origins=made_from if outputs else None,
                final=final,
                spent=spent or 0.0,
            )
            if done.cached:
                self.progress.taken_over(done.seconds)
        if name != "export":  # an export whose conversion is refused is taken back with it
            self.workspace.keep()
        self.seconds[name] = done.seconds
        if done.cached:
            self.cached.add(name)
        return done.result

    @cached_property
    def _examples_hash(self) -> str:
        return fingerprint.of_arrays([self.inputs.source.examples])
