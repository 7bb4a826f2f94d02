"""The stages of a run, one entry each: all that differs between them besides their code.

A new stage is an entry here, its table in `config`, and a result of `stages.Pipeline`. The command line makes a command
of every entry, so nothing but the standard library is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Stage:
    """A stage, which is also a command.

    Attributes:
        name: Of the command.
        title: What it does, in a line.
        text: What it writes, and what else a user should know.
        examples: Command lines that work.
        tables: Keys and tables of ``edgeworthy.toml`` that it is the first to read, or single keys of a later stage's
            (``validate.labelled``); their flags come with it.
        checks: What of `inputs.Inputs` is loaded and checked before anything is written.
        results: Of `stages.Pipeline`, in the order that they are brought up to date.
        builds_on: Stages whose files it looks at, which are brought up to date first.
        verdicts: Fields of the report whose status fails the command.
        in_run: Whether a whole run has it.
        without: Keys of tables before its own that say nothing to it; it has no flags of them.
    """

    name: str
    title: str
    text: str
    examples: tuple[str, ...]
    tables: tuple[str, ...]
    checks: tuple[str, ...]
    results: tuple[str, ...]
    builds_on: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    in_run: bool = True
    without: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        r"""The help of its command; ``\b`` keeps the lines of the examples apart."""
        return help_text(self.title, self.text, self.examples)


_MEASURED = ("targets", "to", "meant_for", "schemes", "source", "artifacts", "converters", "calibration_hash")
_MEASURED_FILES = ("export", "convert", "quantize")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "export",
            "PyTorch to ONNX.",
            "Writes OUT/model.onnx and runs it in ONNX Runtime against the module.",
            (
                "edgeworthy export sample:digits_cnn -o out",
                "edgeworthy export net.py:make -o out --input 'image:float32[batch,3,224,224]'",
            ),
            tables=("output", "seed", "model", "export"),
            checks=("source",),
            results=("exported",),
        ),
        Stage(
            "convert",
            "ONNX to TFLite and SavedModel, in float32.",
            "Writes the float TFLite file and OUT/saved_model. An .onnx source needs no PyTorch, --to tflite no "
            "TensorFlow.",
            (
                "edgeworthy convert model.onnx -o out --to tflite",
                "edgeworthy convert net.py:make -o out --io-layout nhwc",
            ),
            tables=("convert", "preflight"),
            checks=("to", "meant_for", "source"),
            results=("converted",),
        ),
        Stage(
            "quantize",
            "TFLite to int8, float16 and others.",
            "Writes OUT/model_SCHEME.tflite, and beside it the recipe that makes the same bytes again; says of each "
            "what it lost and gained against the float32 file: SQNR of every output, decisions that changed, size and "
            "latency. Exits 1 where a file is below its floor.",
            (
                "edgeworthy quantize model.onnx -o out --scheme int8 --calibration data.npz",
                "edgeworthy quantize sample:digits_cnn -o out --scheme float16,int8 --io-dtype int8",
                "edgeworthy quantize sample:digits_cnn -o out --scheme int8 --analyze --sensitivity all-but-one",
                "edgeworthy quantize theirs.tflite -o out --scheme float16",
                "edgeworthy quantize model.onnx -o out --scheme int8 --calibration data.npz --repair --min-sqnr-db 30",
                "edgeworthy quantize sample:digits_cnn -o out --scheme int8 --repair --max-accuracy-drop 0.005",
                "edgeworthy quantize model.onnx -o again --recipe theirs.recipe.json --calibration data.npz",
            ),
            tables=("quantize", "data", "validate.labelled", "validate.accuracy"),
            checks=("to", "meant_for", "schemes", "recipes", "source", "calibration_hash", "labelled"),
            results=("quantized", "fidelity", "speed", "analyses"),
            builds_on=("convert",),
            verdicts=("quantization", "fidelity"),
        ),
        Stage(
            "validate",
            "Compare what every runtime computes.",
            "The same inputs go through PyTorch, ONNX Runtime, SavedModel and every TFLite file: what error has "
            "gathered, and which hop added it. With labelled data, accuracy too.",
            (
                "edgeworthy validate sample:digits_cnn -o out",
                "edgeworthy validate net.py:make -o out --scheme float16 --labelled test.npz",
                "edgeworthy validate model.onnx -o out --artifact theirs.tflite",
            ),
            tables=("targets", "artifacts", "validate"),
            checks=(*_MEASURED, "labelled"),
            results=("parity", "accuracy"),
            builds_on=_MEASURED_FILES,
            verdicts=("quantization", "parity", "accuracy"),
        ),
        Stage(
            "recommend",
            "Which quantization to take, by measurement.",
            "Makes a file of every scheme and of mixes of integers and float, measures errors on samples that no range "
            "was taken from, accuracy on labelled data, latency and size, and recommends one: written to OUT with its "
            "recipe, and a picture. Exits 1 where no file keeps to all limits.",
            (
                "edgeworthy recommend sample:digits_cnn -o out",
                "edgeworthy recommend model.onnx --calibration data.npz --min-sqnr-db 30 --prefer size",
                "edgeworthy recommend net.py:make -o out --calibration images --labelled test.npz --min-accuracy 0.95",
            ),
            tables=("recommend",),
            checks=("to", "meant_for", "schemes", "recipes", "source", "calibration_hash", "limits", "task"),
            results=("recommendation",),
            builds_on=("convert",),
            verdicts=("recommendation",),
            in_run=False,
            without=(
                "targets",
                "artifacts.files",
                "artifacts.layout",
                "quantize.recipe",
                "quantize.floor_db",
                "quantize.accept",
                "quantize.analyze",
                "quantize.sensitivity",
                "quantize.sensitivity_layers",
                "quantize.sensitivity_seconds",
                "quantize.repair",
                "validate.atol",
                "validate.rtol",
            ),
        ),
        Stage(
            "bench",
            "Time every runtime and artifact.",
            "They take turns, each in a process of its own.",
            (
                "edgeworthy bench sample:digits_cnn -o out --threads 1,2",
                "edgeworthy bench model.onnx -o out --target onnxruntime,tflite --seconds 5",
            ),
            tables=("bench",),
            checks=(*_MEASURED, "threads", "baseline"),
            results=("latency",),
            builds_on=_MEASURED_FILES,
            verdicts=("quantization", "latency"),
        ),
    )
}
"""Every stage by name, in the order of a run."""

ALL = tuple(stage.name for stage in STAGES.values() if stage.in_run)
"""Those of a run."""


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The stages of these names, in the order of a run.

    Raises:
        BadInput: there is no such stage, or none was named.
    """
    asked = set(names)
    if unknown := sorted(asked - set(STAGES)):
        raise BadInput(
            f"there is no stage {unknown[0]!r}",
            where="stages",
            details=[f"{s.name}: {s.title}" for s in STAGES.values()],
            remedy=did_you_mean(unknown[0], STAGES) or "use some of these",
        )
    if not asked:
        raise BadInput("no stage was named", where="stages", remedy=f"name some of {', '.join(STAGES)}")
    return tuple(name for name in STAGES if name in asked)


def brought(names: Iterable[str]) -> frozenset[str]:
    """These stages and those that they build on: whose files and results the report speaks of."""
    return frozenset(stage for name in names for stage in (name, *STAGES[name].builds_on))


def help_text(title: str, text: str, examples: Iterable[str]) -> str:
    r"""A command's help; ``\b`` keeps the lines of the examples apart."""
    lines = "\n".join(f"  {example}" for example in examples)
    return "\n\n".join(filter(None, (title, text, f"\b\nExamples:\n{lines}")))
