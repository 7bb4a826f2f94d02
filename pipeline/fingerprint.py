"""What a stage's result depends on, as hashes of content: a model, arrays, the files of a run."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..config import Config

if TYPE_CHECKING:
    import torch

    from ..artifact import Array
    from ..source.load import Source


def of_source(source: Source) -> str:
    """Hash of the model itself.

    Of a file: its content. Of a module: its parameters and buffers, its structure and plain attributes, and all
    Python code that isn't of an installed package. So a factory that reads new weights, draws others, or whose
    helper file changed, gives another hash.
    """
    digest = hashlib.sha256()
    for text in (source.kind, *map(str, source.inputs)):
        digest.update(text.encode() + b"\0")
    if source.path is not None:
        for path in model_files(source.path):
            digest.update(files.sha256(path).encode())
    elif source.module is not None:
        _add_module(digest, source.module)
    return digest.hexdigest()


def of_arrays(feeds: Iterable[Mapping[str, Array]]) -> str:
    """Hash of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for feed in feeds:
        for name, array in feed.items():
            digest.update(f"{name}:{array.dtype.str}{array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def model_files(path: Path) -> tuple[Path, ...]:
    """A model file, and for ONNX the files of its external data."""
    if path.suffix != ".onnx":
        return (path,)
    from ..formats.onnx.summary import summarize

    return summarize(path).files


def input_files(config: Config) -> list[Path]:
    """Files and folders that the configuration names and that exist, for the manifest."""
    specs = (config.model.source, config.quantize.calibration, config.validation.labelled)
    found: list[Path] = []
    for spec in (*specs, config.model.weights, config.model.inputs_file):
        if spec is None:
            continue
        for text in (str(spec), str(spec).rpartition(":")[0]):
            if text and Path(text).exists():
                found += model_files(Path(text))
                break
    return list(dict.fromkeys(found))


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
