"""`devices.toml`: which models are timed, and where."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError

from ..errors import BadInput
from ..tables import FilePath, PositiveFloat, PositiveInt, Table
from ..targets import find
from ..vocabulary import MeasuredWhere

_NAME = re.compile(r"[\w.+ -]*\w")
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
        return self.target if self.measured == "device" else self.resource or "this machine"


class FleetModel(Table):
    """``[[model]]``: a source, and how it becomes files (as on the command line of ``convert`` and ``quantize``)."""

    source: str
    name: str = ""
    config: FilePath | None = None
    schemes: list[str] = Field(default=[])


class FleetPlan(Table):
    """All of ``devices.toml``.

    ``retries`` is how often a job is tried again after a failure that may be the device's; ``timeout_s`` the seconds
    that one try may take.
    """

    device: list[Device] = Field(min_length=1)
    model: list[FleetModel] = Field(default=[])
    retries: int = Field(default=1, ge=0)
    timeout_s: PositiveFloat = 900.0


def read_plan(path: Path, sources: Iterable[str] = ()) -> FleetPlan:
    """The plan of a TOML file, with more sources; a folder stands for the models in it.

    Paths in the file are relative to its folder. Names are given to models that have none.

    Raises:
        BadInput: it can't be read, a key is wrong, a name is there twice, a target doesn't exist, or there is no model.
        NotAvailable: the package that brings a target can't be loaded.
    """
    try:
        plan = FleetPlan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"it can't be read: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"this is not TOML: {error}", where=str(path), remedy="see https://toml.io") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise BadInput(
            "it is not as a devices.toml should be", where=str(path), details=lines, remedy="docs/fleet.md shows one"
        ) from error
    for device in plan.device:
        find(device.target)
    given = [model.model_copy(update=_placed(model, path.parent)) for model in plan.model]
    given += [FleetModel(source=source) for source in sources]
    models = _named([one for model in given for one in _spread(model)])
    for what, names in (("device", [d.name for d in plan.device]), ("model", [m.name for m in models])):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise BadInput(
                f"two {what}s are called {twice[0]!r}", where=str(path), remedy="give each a name of its own"
            )
    if not models:
        raise BadInput("no model is given", where=str(path), remedy="add [[model]] source = …, or give SOURCE")
    return plan.model_copy(update={"model": models})


def _placed(model: FleetModel, folder: Path) -> dict[str, object]:
    head, colon, tail = model.source.rpartition(":")
    source = model.source
    if colon and head.endswith(".py"):
        source = f"{folder / head}:{tail}"
    elif (folder / source).exists():
        source = str(folder / source)
    return {"source": source, "config": folder / model.config if model.config else None}


def _spread(model: FleetModel) -> list[FleetModel]:
    """A folder that is no SavedModel stands for the models in it."""
    folder = Path(model.source)
    if not folder.is_dir() or (folder / "saved_model.pb").exists():
        return [model]
    found = sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES)
    if not found:
        raise BadInput(
            f"there is no model in this folder ({', '.join(MODEL_SUFFIXES)})",
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
