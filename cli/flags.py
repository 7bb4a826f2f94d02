"""The flags of the commands that run stages: one table that ties every flag to its key in `edgeworthy.toml`.

A command has the flags of its stage and of all stages before it, so a flag means the same wherever it appears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BadInput
from ..vocabulary import CONVERTED

_ORDER = ("export", "convert", "quantize", "validate", "bench")


@dataclass(frozen=True)
class Flag:
    """A command-line flag.

    Attributes:
        names: As typed, ``--output`` and perhaps a short form.
        type: Of the parameter.
        help: One line.
        key: Dotted key in the configuration.
        stage: The first stage that it belongs to.
        read: From what typer gives to what the configuration takes.
        complete: Values for shell completion.
        metavar: Shown in place of the type.
    """

    names: tuple[str, ...]
    type: Any
    help: str
    key: str
    stage: str = "export"
    read: Callable[[Any], object] = lambda value: value
    complete: Callable[[], list[str]] | None = None
    metavar: str | None = None

    @property
    def name(self) -> str:
        """Its long form, ``--output``."""
        return self.names[-1].partition("/")[0]

    @property
    def parameter(self) -> str:
        return self.name.lstrip("-").replace("-", "_")

    def annotation(self) -> Any:
        option = typer.Option(
            *self.names,
            help=self.help,
            metavar=self.metavar,
            autocompletion=self.complete,
            rich_help_panel=f"{self.stage.capitalize()}",
            show_default=False,
        )
        return Annotated[self.type, option]


def commas(values: Sequence[str] | None) -> list[str] | None:
    """``a,b`` and repeated flags, as one list."""
    return [part for value in values or () for part in value.split(",") if part] or None


def numbers(values: Sequence[str] | None) -> list[int] | None:
    """``1,2,4`` as numbers; what is no number stays a string and is refused by the configuration."""
    return [int(v) if v.isdigit() else v for v in commas(values) or ()] or None  # type: ignore[misc]


def tolerances(values: Sequence[str] | None) -> dict[str, float] | None:
    """``1e-4`` for all outputs, ``logits:1e-4`` for one."""
    found = {}
    for value in commas(values) or ():
        name, _, number = value.rpartition(":")
        try:
            found[name or "*"] = float(number)
        except ValueError:
            raise BadInput(
                f"{value!r} is no tolerance", where="--atol/--rtol", remedy="write 1e-4 or output:1e-4"
            ) from None
    return found or None


def _schemes() -> list[str]:
    from ..schemes import names

    return names()


def _targets() -> list[str]:
    from ..targets import TARGETS

    return list(TARGETS)


Texts = list[str] | None
FLAGS = (
    Flag(("-o", "--output"), Path | None, "Folder for the results.", "output", metavar="OUT"),
    Flag(("--weights",), Path | None, "Weights for a factory: .safetensors or .pt.", "model.weights"),
    Flag(
        ("--input",),
        Texts,
        "An input, as in image:float32[1,3,224,224]; a name instead of a number is a dynamic dimension. Repeat it.",
        "model.inputs",
        metavar="NAME:DTYPE[DIMS]",
    ),
    Flag(("--inputs",), Path | None, "Example inputs, one array for each, .npz.", "model.inputs_file"),
    Flag(("--exporter",), str | None, "dynamo or torchscript.", "export.exporter", metavar="dynamo|torchscript"),
    Flag(("--opset",), int | None, "ONNX opset; default: the exporter's own.", "export.opset"),
    Flag(("--seed",), int | None, "Of all that is random.", "seed"),
    Flag(
        ("--to",),
        Texts,
        "tflite, saved_model, or both with a comma (the default).",
        "convert.to",
        "convert",
        commas,
        lambda: list(CONVERTED),
        "KINDS",
    ),
    Flag(
        ("--io-layout",),
        str | None,
        "Layout of inputs and outputs.",
        "convert.io_layout",
        "convert",
        metavar="keep|nhwc",
    ),
    Flag(
        ("--check-passes/--no-check-passes",),
        bool | None,
        "Run the graph after every pass and compare.",
        "convert.check_passes",
        "convert",
    ),
    Flag(
        ("--scheme",),
        Texts,
        "Quantization schemes, as in int8,float16.",
        "quantize.schemes",
        "quantize",
        commas,
        _schemes,
        "SCHEMES",
    ),
    Flag(
        ("--calibration",),
        str | None,
        "data.npz, data.npy, a folder of images, file.py:generator, sample:NAME, or random.",
        "quantize.calibration",
        "quantize",
        metavar="DATA",
    ),
    Flag(("--samples",), int | None, "Most calibration samples to use.", "quantize.samples", "quantize"),
    Flag(
        ("--io-dtype",),
        str | None,
        "Data type of int8 models' inputs and outputs.",
        "quantize.io_dtype",
        "quantize",
        metavar="float32|int8|uint8",
    ),
    Flag(
        ("--target",),
        Texts,
        "Runtimes, as in onnxruntime,tflite; see `edgeworthy targets`.",
        "targets",
        "validate",
        commas,
        _targets,
        "TARGETS",
    ),
    Flag(
        ("--labelled",),
        str | None,
        "Labelled data for accuracy: .npz with an array per input and one called labels, or sample:NAME.",
        "validate.labelled",
        "validate",
        metavar="DATA",
    ),
    Flag(
        ("--atol",),
        Texts,
        "Absolute tolerance instead of the noise floor.",
        "validate.atol",
        "validate",
        tolerances,
        metavar="[OUTPUT:]VALUE",
    ),
    Flag(
        ("--rtol",),
        Texts,
        "Relative tolerance instead of the noise floor.",
        "validate.rtol",
        "validate",
        tolerances,
        metavar="[OUTPUT:]VALUE",
    ),
    Flag(
        ("--timeout",),
        float | None,
        "Seconds after which a runtime counts as hung.",
        "validate.timeout_s",
        "validate",
    ),
    Flag(
        ("--threads",),
        Texts,
        "Numbers of threads, as in 1,2.",
        "bench.threads",
        "bench",
        numbers,
        metavar="N,N",
    ),
    Flag(("--seconds",), float | None, "Time for each row.", "bench.seconds", "bench"),
    Flag(
        ("--baseline",),
        str | None,
        "The row to compare with; default: 'TFLite float32'.",
        "bench.baseline",
        "bench",
        metavar="ROW",
    ),
)


def of_stages(stages: Sequence[str]) -> list[Flag]:
    """The flags of these stages and of those before them."""
    last = max(_ORDER.index(stage) for stage in stages)
    return [flag for flag in FLAGS if _ORDER.index(flag.stage) <= last]


def overrides(flags: Sequence[Flag], given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags as nested tables of the configuration; a flag that wasn't given is None."""
    tables: dict[str, Any] = {}
    for flag in flags:
        *path, key = flag.key.split(".")
        table = tables
        for part in path:
            table = table.setdefault(part, {})
        table[key] = flag.read(given.get(flag.parameter))
    return tables
