"""`edgeworthy.toml`: one schema for the file, the command line and the Python API.

Precedence: flag (or keyword argument) over file over default. Paths in the file are relative to the file's
folder. A key that doesn't exist, or a value that doesn't fit, is a `BadInput` that names the key, the value,
what would be allowed, and the nearest key that does exist.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.fields import FieldInfo

from .errors import BadInput
from .vocabulary import ConvertedKind

FILE_NAME = "edgeworthy.toml"

IoDtype = Literal["float32", "int8", "uint8"]
FilePath = Annotated[Path, Strict(False)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]

EVERY = "*"
"""The subject of a limit given as one number: it holds for every artifact that it can be measured on."""


def _per_artifact(value: object) -> object:
    """One number is a limit for every artifact."""
    return {EVERY: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Limits = Annotated[dict[str, float], BeforeValidator(_per_artifact)]
"""Artifact or scheme → limit, as in ``{int8 = 0.3}``; a lone number holds for all."""

Tolerances = Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_per_artifact)]
"""Output name → tolerance; a lone number holds for all outputs."""


class Table(BaseModel):
    """Base of all tables: unknown keys are errors, and nothing is silently converted ("yes" is no bool)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelTable(Table):
    """``[model]``: what goes in."""

    source: str | None = None
    """model.onnx, model.pt2, TorchScript file, file.py:factory, pkg.module:factory or sample:NAME"""
    weights: FilePath | None = None
    """.safetensors or .pt, loaded into the factory's module"""
    inputs: list[str] = []
    """input signatures, as in "image:float32[batch,3,224,224]\""""
    inputs_file: FilePath | None = None
    """.npz with example inputs"""


class ExportTable(Table):
    """``[export]``: PyTorch to ONNX."""

    exporter: Literal["dynamo", "torchscript"] = "dynamo"
    opset: PositiveInt | None = None


class ConvertTable(Table):
    """``[convert]``: ONNX to SavedModel and TFLite."""

    to: list[ConvertedKind] | None = None
    """default: both, or TFLite alone where TensorFlow isn't installed"""
    io_layout: Literal["keep", "nhwc"] = "keep"
    check_passes: bool = False


class PreprocessTable(Table):
    """``[quantize.preprocess]``: how the image files of a calibration folder become input arrays."""

    size: list[PositiveInt] | None = Field(None, min_length=2, max_length=2)
    """[height, width]; default: the model's own"""
    mean: list[float] = [0.0]
    """per channel, on pixels scaled to 0…1"""
    std: list[PositiveFloat] = [1.0]
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    """channel order of the model's input"""
    fit: Literal["crop", "stretch", "pad"] = "crop"
    resize: PositiveInt | None = None
    """shorter side before the centre crop, such as 256 for a 224 crop"""


class QuantizeTable(Table):
    """``[quantize]``: float TFLite to quantized TFLite."""

    schemes: list[str] | None = None
    """default: float16, dynamic_wi8_afp32, and int8 when there is calibration data"""
    calibration: str | None = None
    """file.npz, file.npy, folder of images, file.py:generator, sample:NAME, or random"""
    samples: PositiveInt = 128
    io_dtype: IoDtype = "float32"
    preprocess: PreprocessTable | None = None


class ValidateTable(Table):
    """``[validate]``: parity of every hop, and accuracy on labelled data."""

    samples: PositiveInt = 8
    """random inputs that go through every hop"""
    noise_multiple: PositiveFloat = 10.0
    """a float artifact passes within this many times PyTorch's own float32 error"""
    atol: Tolerances = {}
    rtol: Tolerances = {}
    labelled: str | None = None
    """file.npz with one array per input and one called "labels", or sample:NAME"""
    timeout_s: PositiveFloat = 300.0
    """a runtime that takes longer than this counts as hung"""


class BenchTable(Table):
    """``[bench]``: latency."""

    threads: Annotated[list[PositiveInt], Field(min_length=1)] = [1]
    seconds: PositiveFloat = 2.0
    """time budget of each row"""
    baseline: str | None = None
    """the row that others are compared with; default: TFLite float32"""


class GateTable(Table):
    """``[gate]``: what must hold. Artifacts are named as in the report, or by scheme (``int8``)."""

    parity: bool = True
    """every hop passes by its own rule (noise floor, tolerance or SQNR)"""
    noise_ratio: Limits = {}
    """most rms error against the truth, in noise floors"""
    sqnr_db: Limits = {}
    """least signal to quantization noise against the truth"""
    accuracy_drop: Limits = {}
    """most accuracy lost against the reference, as a share (0.01 is one point)"""
    size_bytes: Limits = {}
    size_ratio: Limits = {}
    """most bytes, relative to the float32 file of the same kind"""
    latency_ratio: Limits = {}
    """most median latency, relative to the baseline of the bench"""
    must_convert: list[str] | None = None
    """artifacts that have to exist; default: all that were asked for"""


class Config(Table):
    """All of ``edgeworthy.toml``."""

    output: FilePath | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    targets: list[str] | None = None
    """runtimes to validate and time on; default: every one that is available here"""
    model: ModelTable = ModelTable()
    export: ExportTable = ExportTable()
    convert: ConvertTable = ConvertTable()
    quantize: QuantizeTable = QuantizeTable()
    validation: ValidateTable = Field(ValidateTable(), alias="validate")
    bench: BenchTable = BenchTable()
    gate: GateTable = GateTable()


def load(
    path: Path | None = None, overrides: Mapping[str, object] | None = None, *, flags: Mapping[str, str] | None = None
) -> Config:
    """Read a TOML file (None: only defaults) and lay ``overrides`` (nested, None = not given) over it.

    Args:
        path: The file.
        overrides: What comes from the command line or from Python.
        flags: Dotted key → the flag that it was given by, for errors.

    Raises:
        BadInput: the file is missing, isn't TOML, or a key or value is wrong.
    """
    table = _read(path) if path else {}
    if path:
        _validated(table, str(path))
        table = _resolved(table, path.parent)
    return _validated(_merged(table, overrides or {}), "the command line" if flags else "the options", flags or {})


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise BadInput("the file doesn't exist", where=str(path), remedy="give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"this is not TOML: {error}", where=str(path), remedy="see https://toml.io") from error
    except OSError as error:
        raise BadInput(
            f"can't read the file: {error.strerror}", where=str(path), remedy="give the path of a TOML file"
        ) from error


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """``over`` on ``base``, table by table; None and empty lists in ``over`` mean "not given"."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(value, Mapping):
            out[key] = _merged(below if isinstance(below, Mapping) else {}, value)
        elif value is not None and value != []:
            out[key] = value
    return out


def _resolved(table: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Paths of the file made relative to the working directory instead of to the file's ``folder``."""

    def path(value: str) -> str:
        return str(folder / value)

    def spec(value: str) -> str:
        """A spec may be a path, ``file.py:name``, or no path at all (``sample:NAME``)."""
        head, colon, tail = value.rpartition(":")
        if colon and head.endswith(".py"):
            return f"{path(head)}:{tail}"
        return path(value) if (folder / value).exists() else value

    out = dict(table)
    for name, keys in _PATHS.items():
        inner = out.get(name)
        if isinstance(inner, Mapping):
            changed = {k: keys[k] for k in keys if isinstance(inner.get(k), str)}
            out[name] = dict(inner) | {
                k: path(inner[k]) if how == "path" else spec(inner[k]) for k, how in changed.items()
            }
    if isinstance(out.get("output"), str):
        out["output"] = path(str(out["output"]))
    return out


_PATHS: dict[str, dict[str, Literal["path", "spec"]]] = {
    "model": {"source": "spec", "weights": "path", "inputs_file": "path"},
    "quantize": {"calibration": "spec"},
    "validate": {"labelled": "spec"},
}


# -- errors -----------------------------------------------------------------------------------------------


_TYPES = {
    "list_type": "should be a list, as in [1, 2]",
    "dict_type": "should be a number, or a table of names and numbers, as in {int8 = 20}",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
}
"""Kind of error → what pydantic calls by Python's names."""


def _validated(table: Mapping[str, object], where: str, flags: Mapping[str, str] | None = None) -> Config:
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        lines = [
            _explain(e["loc"], e["type"], e["msg"], e["input"], flags or {}) for e in error.errors(include_url=False)
        ]
        raise BadInput(
            "the configuration has " + ("an error" if len(lines) == 1 else f"{len(lines)} errors"),
            where=where,
            details=lines,
            remedy="give these flags other values; --help explains them"
            if flags
            else "correct the keys above; docs/config.md lists them all",
        ) from error


def _explain(loc: Sequence[int | str], kind: str, message: str, value: object, flags: Mapping[str, str]) -> str:
    key = ".".join(map(str, loc))
    for length in range(len(loc), 0, -1):
        key = flags.get(".".join(map(str, loc[:length])), key)
    if kind == "extra_forbidden":
        known = sorted(_keys(_table_at(loc[:-1])))
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {key!r}{hint} (known here: {', '.join(known)})"
    said = _TYPES.get(kind, message[0].lower() + message[1:]).removeprefix("input ")
    near = difflib.get_close_matches(str(value), _choices(loc), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key} = {value!r}: {said}{hint}"


def _table_at(loc: Sequence[int | str]) -> type[Table]:
    """The table class that a location in the file belongs to."""
    table: type[Table] = Config
    for part in loc:
        annotation = next((f.annotation for n, f in _fields(table) if n == part), None)
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, Table)]
        if inner:
            table = inner[0]
    return table


def _fields(table: type[Table]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in table.model_fields.items():
        yield field.alias or name, field


def _keys(table: type[Table]) -> list[str]:
    return [name for name, _ in _fields(table)]


def _choices(loc: Sequence[int | str]) -> list[str]:
    """The strings that a ``Literal`` at this location allows."""
    names = [part for part in loc if isinstance(part, str)]
    field = dict(_fields(_table_at(names[:-1]))).get(names[-1]) if names else None
    return [str(c) for c in _literals(field.annotation)] if field else []


def _literals(annotation: object) -> Iterator[object]:
    for arg in get_args(annotation):
        if isinstance(arg, str):
            yield arg
        else:
            yield from _literals(arg)
