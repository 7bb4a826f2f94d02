"""Lists of models, as a TOML file or a folder, and `devices.toml`, which says where they are timed, too."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from ..config import Config
from ..errors import BadInput
from ..settings import load_config
from ..tables import FilePath, PositiveFloat, PositiveInt, Table
from ..targets import TARGETS, find, listed
from ..vocabulary import MeasuredWhere

_NAME = re.compile(r"[\w.+ -]*\w")
_NAMED = re.compile(r"[^\w.+-]+")
"""What a target's name has and a device's can't."""
HERE = "this machine"
"""The queue of what needs the machine's processors to itself."""
MODEL_SUFFIXES = (".onnx", ".tflite", ".pt2")
"""Files of a folder that count as models."""


class Device(Table):
    """``[[device]]``: a place to time models on.

    Attributes of Ray clusters: ``resource`` names the custom resource of the machine that the device hangs on.
    """

    name: str = Field(pattern=rf"^{_NAME.pattern}$")
    target: str
    threads: list[PositiveInt] = Field(default=[1], min_length=1)
    seconds: PositiveFloat = 2.0
    resource: str | None = None

    @property
    def measured(self) -> MeasuredWhere:
        return find(self.target).measured

    @property
    def queue(self) -> str:
        """What only one job at a time may use: the device, or the machine that the job runs on."""
        return self.target if self.measured == "device" else self.resource or HERE


class FleetModel(Table):
    """``[[model]]``: a source, and how it becomes files (as on the command line of ``convert`` and ``quantize``)."""

    source: str
    name: str = ""
    config: FilePath | None = None
    schemes: list[str] = Field(default=[])


class SourceList(Table):
    """All of a TOML file with ``[[model]]``.

    ``retries`` is how often a job is tried again after a failure that may be the machine's; ``timeout_s`` the seconds
    that one try may take.
    """

    model: list[FleetModel] = Field(default=[])
    retries: int = Field(default=0, ge=0)
    timeout_s: PositiveFloat = 3600.0


class FleetPlan(SourceList):
    """All of ``devices.toml``. A failure may be the device's here."""

    device: list[Device] = Field(min_length=1)
    retries: int = Field(default=1, ge=0)
    timeout_s: PositiveFloat = 900.0


Plan = TypeVar("Plan", bound=SourceList)
GRAPHS = (".onnx", ".pt2")
"""Files of a folder that other files can be made from."""


def read_plan(path: Path, sources: Iterable[str] = ()) -> FleetPlan:
    """The plan of a TOML file, with more sources; a folder stands for the models in it.

    Paths in the file are relative to its folder. Names are given to models that have none.

    Raises:
        BadInput: it can't be read, a key is wrong, a name is there twice, a target doesn't exist, or there is no model.
        NotAvailable: the package that brings a target can't be loaded.
    """
    plan = _read(path, FleetPlan)
    for device in plan.device:
        try:
            find(device.target)
        except BadInput as error:
            error.where = f"{path}, target of the device {device.name!r}"
            raise
    _told_apart("device", [device.name for device in plan.device], path)
    return _whole(plan, path, MODEL_SUFFIXES, sources)


def lists_models(source: str | None) -> bool:
    """Whether a source is many: a folder that is no SavedModel, or a TOML file with ``[[model]]``."""
    path = Path(source or "")
    if source and path.suffix == ".toml":
        try:
            return isinstance(tomllib.loads(path.read_text(encoding="utf-8")).get("model"), list)
        except (OSError, ValueError):  # who reads it as an edgeworthy.toml says what is wrong
            return False
    return bool(source) and path.is_dir() and not (path / "saved_model.pb").exists()


def read_sources(source: str, suffixes: Sequence[str] = MODEL_SUFFIXES) -> SourceList:
    """The models of such a source; ``suffixes`` are those of files that count in a folder.

    Raises:
        BadInput: as ``read_plan``.
    """
    path = Path(source)
    if path.is_dir():
        return _whole(SourceList(), path, suffixes, [source])
    return _whole(_read(path, SourceList), path, suffixes)


def on_targets(sources: SourceList, config: Config) -> FleetPlan:
    """The plan that times models on this machine, on the targets that are asked for, or else the usual ones.

    Raises:
        BadInput: there is no such target.
    """
    asked = [find(text).name for text in listed(config.targets)] if config.targets else []
    usual = [name for name in TARGETS.usual if find(name).kind != "pytorch" and find(name).absence() is None]
    bench = config.bench
    names = [_NAMED.sub("_", target) for target in asked or usual]
    devices = [
        Device(name=name, target=target, threads=bench.threads, seconds=bench.seconds)
        for name, target in zip(names, asked or usual, strict=True)
    ]
    _told_apart("target", names, Path("--target"))
    return FleetPlan(device=devices, **sources.model_dump(exclude_unset=True))


def configured(
    model: FleetModel,
    output: Path,
    tables: Mapping[str, Any] | None = None,
    *,
    sets: Sequence[str] = (),
    config: Path | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of one model: its file, or ``config``, and what holds for all of them laid over it.

    Raises:
        BadInput: a file is missing, or a key or value is wrong.
    """
    given = dict(tables or {})
    given["model"] = {**given.get("model", {}), "source": model.source}
    if model.schemes:
        given["quantize"] = {**given.get("quantize", {}), "schemes": model.schemes}
    return load_config(model.config or config, given | {"output": output}, sets=sets, flags=flags)


def _read(path: Path, kind: type[Plan]) -> Plan:
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(
            f"it can't be read: {error.strerror}", where=str(path), remedy="check the path and that you may read it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"this is not TOML: {error}", where=str(path), remedy="see https://toml.io") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        file = "devices.toml" if kind is FleetPlan else "list of models"
        raise BadInput(
            f"it is not as a {file} should be", where=str(path), details=lines, remedy="docs/fleet.md shows one"
        ) from error


def _whole(plan: Plan, path: Path, suffixes: Sequence[str], sources: Iterable[str] = ()) -> Plan:
    """The plan with all its models, named."""
    given = [model.model_copy(update=_placed(model, path.parent)) for model in plan.model]
    given += [FleetModel(source=source) for source in sources]
    models = _named([one for model in given for one in _spread(model, suffixes)])
    _told_apart("model", [model.name for model in models], path)
    if not models:
        raise BadInput("no model is given", where=str(path), remedy="add [[model]] source = …, or give SOURCE")
    return plan.model_copy(update={"model": models})


def _told_apart(what: str, names: Iterable[str], path: Path) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadInput(f"two {what}s are called {twice[0]!r}", where=str(path), remedy="give each a name of its own")


def _placed(model: FleetModel, folder: Path) -> dict[str, object]:
    head, colon, tail = model.source.rpartition(":")
    source = model.source
    if colon and head.endswith(".py"):
        source = f"{folder / head}:{tail}"
    elif (folder / source).exists():
        source = str(folder / source)
    return {"source": source, "config": folder / model.config if model.config else None}


def _spread(model: FleetModel, suffixes: Sequence[str] = MODEL_SUFFIXES) -> list[FleetModel]:
    """A folder that is no SavedModel stands for the models in it."""
    folder = Path(model.source)
    if not folder.is_dir() or (folder / "saved_model.pb").exists():
        return [model]
    found = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    if not found:
        raise BadInput(
            f"there is no model in this folder ({', '.join(suffixes)})",
            where=str(folder),
            remedy="give a folder with models, or a model",
        )
    return [model.model_copy(update={"source": str(path), "name": ""}) for path in found]


def _named(models: list[FleetModel]) -> list[FleetModel]:
    """Each with a name that can be a folder's."""
    named: list[FleetModel] = []
    taken = {model.name for model in models}
    for model in models:
        name = model.name
        if not name:
            head, _, tail = model.source.rpartition(":")
            stem = tail if head.endswith(".py") or head == "sample" else Path(model.source).stem
            base = "_".join(re.findall(r"[\w.+-]+", stem)) or "model"
            name = next(n for n in (base, *(f"{base}-{k}" for k in range(2, len(models) + 2))) if n not in taken)
            taken.add(name)
        elif not _NAME.fullmatch(name):
            raise BadInput(
                f"{name!r} can't be a folder's name", where="[[model]] name", remedy="use letters and digits"
            )
        named.append(model.model_copy(update={"name": name}))
    return named
