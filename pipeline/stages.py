"""The stages, wired: export → convert → quantize → validate → bench.

A stage asks for the results that it needs, so that one command brings all before it up to date, and what didn't
change is taken over from an earlier run (see ``cache``). ``assembly`` makes the report of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .. import files
from .. import schemes as quantization
from ..artifact import OnnxModel, TFLiteModel
from ..config import Config
from ..errors import BadInput, CheckFailed, InternalFault, NotAvailable, OutOfMemory, UnsupportedNodes
from ..formats.model_files import model_files
from ..validate.results import AccuracyResult, ArtifactResult, LatencyResult, ParityResult
from ..vocabulary import MODULE_KEY
from . import fingerprint
from .cache import Workspace
from .inputs import Inputs
from .pages import PAGES
from .plan import ALL, STAGES, brought, chosen
from .progress import Progress, Silent
from .records import Converted, Exported, Quantized

if TYPE_CHECKING:
    import torch

    from .subjects import Cast

T = TypeVar("T")

CONVERTED = {"tflite": quantization.FLOAT32.file_name, "saved_model": "saved_model"}
"""Kind → file or folder in OUT."""


def _nothing_died(result: ParityResult | AccuracyResult | LatencyResult) -> bool:
    """Whether a result is one to take over: what crashed, hung or ran out of memory may run the next time."""
    rows = result.hops if isinstance(result, ParityResult) else result.rows
    return all(row.status != "error" for row in rows)


class Pipeline:
    """One run over one output folder. Use it as a context manager; stages run when their result is asked for.

    Inputs are loaded and checked on entry, before anything is written.

    Args:
        config: What to do; ``model.source`` and ``output`` have to be there.
        stages: The stages that will be asked for.
        reuse: False redoes every stage.
        force: Overwrite files in OUT that edgeworthy didn't make.
        progress: Is told what happens.

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
    ) -> None:
        self.stages = chosen(stages)
        self.brought = brought(self.stages)
        self.inputs = Inputs(config, self.stages)
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

    def __enter__(self) -> Pipeline:
        with self.progress.stage("load", self.inputs.spec):
            self._check()
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
            for result in STAGES[name].results:
                getattr(self, result)

    def _check(self) -> None:
        """Load all that the user gave and the stages need."""
        for name in self.stages:
            for attribute in STAGES[name].checks:
                getattr(self.inputs, attribute)
        _ = self.inputs.earlier

    def _writes(self) -> list[Path]:
        """What the run may write, but for an ONNX source that lies where its copy would."""
        source, graph = self.inputs.source, self.output / "model.onnx"
        paths = [self.output / name for name in (PAGES if self.stages == ALL else PAGES[:1])]
        exports = self.copies_source or source.kind != "onnx"
        if exports and (source.path is None or source.path.resolve() != graph.resolve()):
            paths += [graph, graph.with_name("model.onnx.data")]
        if "convert" in self.brought:
            paths += [self.output / CONVERTED[kind] for kind in self.inputs.to]
        if "quantize" in self.brought:
            paths += [self._quantized_path(scheme) for scheme in self.inputs.schemes]
        return paths

    def _quantized_path(self, scheme: str) -> Path:
        return self.output / quantization.SCHEMES[scheme].file_name

    # -- export and convert -----------------------------------------------------------------------------

    @cached_property
    def exported(self) -> Exported:
        """``OUT/model.onnx``."""
        table, path = self.config.export, self.output / "model.onnx"

        def make() -> Exported:
            from ..export.onnx_export import export_onnx

            made = export_onnx(self.inputs.source, path, exporter=table.exporter, opset=table.opset)
            return Exported.of(made, self.output)

        depends = {"source": self.inputs.source_hash, "examples": self._examples_hash} | table.model_dump()
        return self._stage("export", Exported, depends, make, [path, path.with_name("model.onnx.data")])

    @cached_property
    def graph(self) -> OnnxModel:
        """What conversion starts from: the exported file, or an ONNX source itself where no copy is asked for."""
        graph = self._graph()
        if "validate" in self.stages:
            self.inputs.check_outputs(graph.outputs)
        return graph

    def _graph(self) -> OnnxModel:
        from ..formats.onnx.summary import describe
        from .subjects import to_artifact

        source = self.inputs.source
        if source.path is not None and source.kind == "onnx" and not self.copies_source:
            model = describe(source.path)
            if model.inputs == source.inputs:
                return model
        graph = to_artifact(self.exported.artifact, self.output)
        return OnnxModel(graph.path, graph.inputs, graph.outputs)

    @property
    def copies_source(self) -> bool:
        return "export" in self.brought

    @cached_property
    def converted(self) -> Converted:
        """The float32 TFLite file and ``OUT/saved_model``."""
        table, to = self.config.convert, self.inputs.to

        def make() -> Converted:
            from ..convert import convert

            weights = sum(files.size(path) for path in model_files(self.graph.path))
            self.workspace.require(weights * len(to))
            check = None
            if table.check_passes:
                from .pass_check import PassCheck

                check = PassCheck(self.graph, self.inputs.source.examples)
            try:
                made = convert(self.graph, self.output, to=to, io_layout=table.io_layout, check_passes=check)
            except UnsupportedNodes as error:  # the exported file is taken back: name what the user gave
                raise UnsupportedNodes(error.nodes, where=self.inputs.spec) from error
            return Converted.of(made, self.output, table, to, check.changes if check else {})

        depends = {"graph": self._hash(self.graph)} | table.model_dump() | {"to": to}
        outputs = [self.output / CONVERTED[kind] for kind in to]
        origins = [self.graph.path] if self.graph.path.parent == self.output else []
        return self._stage("convert", Converted, depends, make, outputs, origins=origins)

    # -- quantize ---------------------------------------------------------------------------------------

    @cached_property
    def quantized(self) -> list[Quantized]:
        """``OUT/model_SCHEME.tflite`` for every scheme; a scheme that fails is a row that says so."""
        return [self._quantized(scheme) for scheme in self.inputs.schemes]

    def _quantized(self, scheme: str) -> Quantized:
        from .subjects import to_artifact

        needs_data = quantization.SCHEMES[scheme].needs_calibration
        calibration = self.inputs.calibration if needs_data else None
        io_dtype = self.config.quantize.io_dtype if needs_data else "float32"
        path = self._quantized_path(scheme)
        floating = next(a for a in self.converted.artifacts if a.name == quantization.FLOAT32.artifact)
        model = to_artifact(floating, self.output)

        def make() -> Quantized:
            from ..quantize.post_training import quantize

            float_model = TFLiteModel(model.path, model.inputs, model.outputs)
            made = quantize(
                float_model,
                path,
                scheme=scheme,
                calibration=calibration,
                io_dtype=io_dtype,
                permute=self._permutations,
                exclude=self.config.quantize.exclude,
                modules=self._modules,
                example=self.inputs.source.examples,
                progress=lambda done, total: self.progress.step("calibrate", done, total),
            )
            return Quantized.of(made, self.output, calibration)

        data = self.inputs.calibration_hash if needs_data else None
        depends = {
            "model": floating.sha256,
            "io_dtype": io_dtype,
            "permute": self.converted.permutations,
            "exclude": self.config.quantize.exclude,
            "data": data,
        }
        try:
            return self._stage(f"quantize.{scheme}", Quantized, depends, make, [path], origins=[model.path])
        except OutOfMemory:  # says nothing of the scheme, and everything of the machine
            raise
        except (CheckFailed, NotAvailable, InternalFault) as error:
            return Quantized.failed(scheme, error, calibration)

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Value of the graph → its PyTorch module, where something is to be excluded by it."""
        from ..formats.onnx.file import read_onnx

        if not self.config.quantize.exclude:
            return {}
        nodes = read_onnx(self.graph.path).graph.all_nodes()
        return {v.name: node.metadata_props.get(MODULE_KEY, "") for node in nodes for v in node.outputs if v.name}

    @cached_property
    def fidelity(self) -> ParityResult | None:
        """The quantized files against the float32 file; None where ``parity`` says more, or nothing was made."""
        made = {q.artifact.name: q.artifact for q in self.quantized if q.artifact is not None}
        if "validate" in self.stages or not made:
            return None
        floating = next(a for a in self.converted.artifacts if a.name == quantization.FLOAT32.artifact)
        about = {name: artifact.sha256 for name, artifact in ({floating.name: floating} | made).items()}

        def make() -> ParityResult:
            from ..validate import parity
            from .subjects import Cast, to_artifact

            samples, origin, _ = self.inputs.samples()
            cast = Cast(
                None,
                {a.name: to_artifact(a, self.output) for a in (floating, *made.values())},
                permutations=self.converted.permutations,
                names=["tflite"],
                timeout_s=self.config.validation.timeout_s,
            )
            return parity.measure(
                cast.subjects(), samples, plans=[], seed=self.config.seed, inputs=origin, progress=self.progress.step
            )

        depends = about | {"permute": self.converted.permutations, "seed": self.config.seed}
        depends |= {"data": self.inputs.labelled_hash, "calibration": self.inputs.calibration_hash}
        depends |= {"samples": self.config.validation.samples}
        return self._stage("fidelity", ParityResult, depends, make, about=about, final=_nothing_died)

    @property
    def _permutations(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(axes) for name, axes in self.converted.permutations.items()}

    # -- validate and bench -----------------------------------------------------------------------------

    @cached_property
    def artifacts(self) -> list[ArtifactResult]:
        """All files of the run, made or taken over."""
        found = [self.exported.artifact] if self.copies_source else []
        found += self.converted.artifacts if "convert" in self.brought else []
        if "quantize" in self.brought:
            found += [q.artifact for q in self.quantized if q.artifact is not None]
        return found

    @property
    def about(self) -> dict[str, str]:
        """What parity, accuracy and latency speak of."""
        return {"source": self.inputs.source_hash} | {a.name: a.sha256 for a in self.artifacts}

    @cached_property
    def parity(self) -> ParityResult:
        """One set of inputs through every hop."""
        table = self.config.validation

        def make() -> ParityResult:
            from ..formats.onnx.summary import summarize
            from ..validate import parity
            from ..validate.edges import Edge
            from ..validate.judge import Rules

            samples, origin, drawn = self.inputs.samples()
            kind = summarize(self.graph.path).float_type
            rules = Rules(multiple=table.noise_multiple, atol=table.atol, rtol=table.rtol, float_type=kind)
            with self._cast() as cast:
                return parity.measure(
                    cast.subjects(),
                    samples,
                    plans=cast.plans(),
                    rules=rules,
                    at=Edge.of(self.inputs.source.examples),
                    drawn=drawn,
                    seed=self.config.seed,
                    inputs=origin,
                    progress=self.progress.step,
                )

        depends = self.about | table.model_dump(exclude={"labelled"}) | self._settings()
        depends |= {"data": self.inputs.labelled_hash, "calibration": self.inputs.calibration_hash}
        depends |= {"examples": self._examples_hash}
        return self._stage("parity", ParityResult, depends, make, about=self.about, final=_nothing_died)

    @cached_property
    def accuracy(self) -> AccuracyResult | None:
        """Labelled data through every runner; None when there is none."""
        data = self.inputs.labelled
        if data is None:
            return None

        def make() -> AccuracyResult:
            from ..validate import accuracy

            with self._cast() as cast:
                return accuracy.measure(cast.subjects(), data, self.inputs.source.inputs, progress=self.progress.step)

        depends = self.about | self._settings() | {"data": self.inputs.labelled_hash}
        return self._stage("accuracy", AccuracyResult, depends, make, about=self.about, final=_nothing_died)

    @cached_property
    def latency(self) -> LatencyResult:
        """Every artifact and PyTorch, timed in turns."""
        from ..validate import host

        table = self.config.bench

        def make() -> LatencyResult:
            from ..source.load import timed_examples
            from ..validate import latency

            with self._cast() as cast:
                return latency.measure(
                    [s for threads in table.threads for s in cast.subjects(threads)],
                    timed_examples(self.inputs.source),
                    seconds=table.seconds,
                    baseline=table.baseline,
                    seed=self.config.seed,
                    progress=self.progress.step,
                )

        machine = host.current()
        depends = self.about | table.model_dump() | self._settings()
        depends |= {"machine": [machine.cpu, machine.logical_cores], "examples": self._examples_hash}
        return self._stage("bench", LatencyResult, depends, make, about=self.about, final=_nothing_died)

    # -- what they share --------------------------------------------------------------------------------

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
    ) -> T:
        with self.progress.stage(name):
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
            )
            if done.cached:
                self.progress.taken_over(done.seconds)
        if name != "export":  # an export whose conversion is refused is taken back with it
            self.workspace.keep()
        self.seconds[name] = done.seconds
        if done.cached:
            self.cached.add(name)
        return done.result

    def _settings(self) -> dict[str, object]:
        return {"seed": self.config.seed, "targets": self.inputs.targets, "permute": self.converted.permutations}

    @cached_property
    def _examples_hash(self) -> str:
        return fingerprint.of_arrays([self.inputs.source.examples])

    @contextmanager
    def _cast(self) -> Iterator[Cast]:
        """All that can be run; the module's weights are in a file while it is open, so that all workers agree."""
        from ..targets.pytorch import PyTorchModel
        from .subjects import Cast, to_artifact

        source, seed, module = self.inputs.source, self.config.seed, None
        weights = self.workspace.scratch("weights.pt") if source.kind == "module" else None
        try:
            if source.module is not None:
                if weights is not None:
                    _save_weights(source.module, weights)
                outputs = self.graph.outputs
                module = PyTorchModel.of(
                    source.spec, source.inputs, outputs, weights=weights, seed=seed, bind=source.bound
                )
            yield Cast(
                module,
                {a.name: to_artifact(a, self.output) for a in self.artifacts},
                permutations=self.converted.permutations,
                names=self.inputs.targets,
                timeout_s=self.config.validation.timeout_s,
            )
        finally:
            if weights is not None:
                weights.unlink(missing_ok=True)

    def _hash(self, model: OnnxModel) -> list[str]:
        return [files.sha256(path) for path in model_files(model.path)]


def _save_weights(module: torch.nn.Module, path: Path) -> None:
    from ..targets.pytorch import snapshot

    try:
        snapshot(module, path)
    except RuntimeError as error:  # PyTorch's writer doesn't pass on what the system said
        raise BadInput(
            f"the model's weights can't be written: {str(error).splitlines()[0]}",
            where=str(path),
            remedy="free some space on the disk, or choose another folder with --output",
        ) from error
