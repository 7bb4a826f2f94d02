"""What a stage's result depends on, as hashes of content: a model, arrays, the files of a run."""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files, kits
from ..config import Config
from ..data.survey import add_arrays
from ..formats.model_files import model_files
from ..validate.host import packages
from ..validate.made import InputRole

if TYPE_CHECKING:
    import torch

    from ..artifact import Array
    from ..convert.routes import ConverterInfo
    from ..source.load import Source

_CODE = ("*.py", "*.toml")
_HANDS_OVER = ("convert/routes/older.py", "formats/onnx/ir_version.py", "export/program.py")
"""Of ours, what may change the model that a kit's converter gets."""


def of_source(source: Source) -> str:
    """Hash of the model itself.

    Of a file: its content. Of a module: its parameters and buffers, its structure and plain attributes, and all
    Python code that isn't of an installed package. So a factory that reads new weights, draws others, or whose
    helper file changed, gives another hash.
    """
    digest = hashlib.sha256()
    bound = [f"{name}={value!r}" for name, value in source.bound.items()]
    for text in (source.kind, *map(str, source.inputs), *bound):
        digest.update(text.encode() + b"\0")
    if source.path is not None:
        for path in model_files(source.path):
            digest.update(files.sha256(path).encode())
    elif source.module is not None:
        _add_module(digest, source.module)
    return digest.hexdigest()


def of_stage(name: str, depends: Mapping[str, object]) -> str:
    """Hash of a stage's inputs and options, of the installed packages and of edgeworthy's own code.

    What is made by others' code says by ``code`` in ``depends`` what it depends on instead of ours.
    """
    code = {"code": depends.get("code") or of_code()}
    return of_values({"stage": name, "depends": dict(depends)} | code | {"packages": packages()})


def of_values(value: object) -> str:
    """Hash of what JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def of_code(*parts: str) -> str:
    """Hash of edgeworthy's own source, and of the tables that it reads; or of some modules and rooms of it."""
    root = Path(__file__).parent.parent
    modules = [path for module in root.glob("*.py") for path in (module, module.with_suffix(".toml")) if path.exists()]
    places = [root / part for part in parts] or [*modules, *(path.parent for path in root.glob("*/__init__.py"))]
    sources = [p for place in places for p in ([place] if place.is_file() else _sources(place))]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def of_converter(info: ConverterInfo) -> str:
    """Hash of the code that makes a converter's file: a kit's, what calls it, and what gives it the model; or ours."""
    if not info.kit:
        return of_values([info.convert, of_code()])
    script, _, function = info.convert.rpartition(":")
    caller = files.sha256(Path(script)) if Path(script).is_file() else script
    return of_values([kits.KITS[info.kit].digest, caller, function, info.opset, of_code(*_HANDS_OVER)])


def _sources(room: Path) -> Iterator[Path]:
    return (path for kind in _CODE for path in room.rglob(kind))


def of_arrays(feeds: Iterable[Mapping[str, Array]]) -> str:
    """Hash of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for feed in feeds:
        add_arrays(digest, feed)
    return digest.hexdigest()


def input_paths(config: Config) -> dict[InputRole, Path]:
    """Files and folders that the configuration names and that exist, by what they are for."""
    specs: dict[InputRole, Path | str | None] = {
        "source": config.model.source,
        "weights": config.model.weights,
        "inputs": config.model.inputs_file,
        "calibration": config.quantize.calibration,
        "labelled": config.validation.labelled,
    }
    found: dict[InputRole, Path] = {}
    for role, spec in specs.items():
        names = (str(spec), str(spec).rpartition(":")[0]) if spec else ()  # file.py:factory is in file.py
        if path := next((Path(name) for name in names if name and Path(name).exists()), None):
            found[role] = path
    return found


def input_files(config: Config) -> list[Path]:
    """All files of ``input_paths`` and other converters' files, for the manifest."""
    paths = [*input_paths(config).values(), *(path for path in config.artifacts.paths if path.exists())]
    return list(dict.fromkeys(file for path in paths for file in model_files(path)))


def _add_module(digest: hashlib._Hash, module: torch.nn.Module) -> None:
    tensors = (*module.named_parameters(), *module.named_buffers())
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}{tuple(value.shape)}\0".encode())
        digest.update(value.reshape(-1).view(_byte_type()).numpy().data)
    digest.update(repr(module).encode())
    for name, part in module.named_modules():
        plain = {k: v for k, v in sorted(vars(part).items()) if isinstance(v, (bool, int, float, str, tuple))}
        digest.update(f"{name}:{type(part).__qualname__}:{plain!r}\0".encode())
    for path in _user_code():
        digest.update(path.read_bytes() + b"\0")


def _byte_type() -> torch.dtype:
    import torch

    return torch.uint8


def _user_code() -> Iterator[Path]:
    """The source files of all loaded modules but those of Python, of installed packages and of edgeworthy."""
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
    own, found = __name__.partition(".")[0], set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and name.partition(".")[0] != own:
            found.add(Path(file).resolve())
    return iter(sorted(p for p in found if p.is_file() and not installed.intersection(p.parents)))
