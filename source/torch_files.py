"""PyTorch's own files: exported programs, TorchScript archives and checkpoints, none of which may run code."""

from __future__ import annotations

import logging
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..artifact import Dim, TensorSpec
from ..errors import BadInput
from ..files import absent
from ..formats.onnx.names import unnamed
from .checkpoints import chosen, some
from .custom_operators import register
from .torch_names import require_torch

if TYPE_CHECKING:
    import torch

_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and training frameworks put before every name in a checkpoint."""

FileKind = Literal["onnx", "exported_program", "torchscript", "checkpoint"]


def file_kind(path: Path) -> FileKind | None:
    """What a file is, by its content where it is an archive, else by its name; None if neither tells."""
    names = _members(path)
    if names is not None:
        inner = {name.partition("/")[2] or name for name in names}
        if "archive_format" in inner or "serialized_exported_program.json" in inner:
            return "exported_program"
        if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
            return "torchscript"
        if "data.pkl" in inner:
            return "checkpoint"
    by_name: dict[str, FileKind] = {
        ".onnx": "onnx",
        ".pt2": "exported_program",
        ".pt": "torchscript",
        ".pth": "checkpoint",
        ".safetensors": "checkpoint",
        ".ckpt": "checkpoint",
        ".bin": "checkpoint",
    }
    return by_name.get(path.suffix.lower())


def load_exported_program(path: Path) -> torch.export.ExportedProgram:
    """Read a ``torch.export`` file.

    Raises:
        BadInput: it is cut off, of another kind, or holds a pickle that wants to run code.
        NotAvailable: it uses operators of a package that isn't installed.
    """
    require_torch()
    import torch

    _check_archive(path)
    with zipfile.ZipFile(path) as archive:
        opaque = [n for n in archive.namelist() if Path(n).name.startswith("opaque_obj")]
    if opaque:
        raise _refused(path, f"the member {opaque[0]!r} is a pickled Python object")
    register(path)
    with _reading(path, "torch.export.save"):
        return torch.export.load(path)


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Read a TorchScript file onto the CPU.

    Raises:
        BadInput: it is cut off or of another kind.
    """
    require_torch()
    import torch

    _check_archive(path)
    with _reading(path, "torch.jit.save"):
        module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return module


def load_weights(module: torch.nn.Module, path: Path, key: str | None = None) -> list[str]:
    """Load a ``.safetensors`` file or a checkpoint into ``module``; returns notes on what was adapted.

    Args:
        key: Where the state dict is in the checkpoint, as in ``ema`` or ``trainer.ema``; found without.

    Raises:
        BadInput: the file can't be read without running its code, has no such key, or holds several state dicts and
            no key says which; or its names or shapes aren't the module's.
    """
    torch = require_torch()
    state, notes = _read_state(path, key)
    own = module.state_dict()
    if own and not state:
        raise BadInput(
            "the checkpoint is a state dict without entries, and the model has weights",
            where=str(path),
            remedy="save it with torch.save(model.state_dict(), FILE)",
        )
    for prefix in _PREFIXES:
        if state and all(k.startswith(prefix) for k in state) and not any(k in own for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items()}
            notes.append(f"the prefix {prefix!r} was taken off the names in {path.name}")
    _check_state(own, state, path)
    cast = {str(v.dtype) for k, v in state.items() if v.dtype != own[k].dtype}
    if cast:
        notes.append(f"{path.name} holds {', '.join(sorted(cast))}; the module's own types were kept")
    with torch.no_grad():
        module.load_state_dict(state, strict=False)
    return notes


def program_inputs(program: torch.export.ExportedProgram, path: Path) -> tuple[TensorSpec, ...]:
    """The inputs of an exported program; dynamic dimensions, which have only symbols in it, are given names.

    Raises:
        BadInput: an input is no tensor.
    """
    torch = require_torch()
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    dims: dict[str, str] = {}
    specs = []
    for name in program.graph_signature.user_inputs:
        value = values.get(name) if isinstance(name, str) else None
        if not isinstance(value, torch.Tensor):
            raise BadInput(
                f"the program's input {name!r} is not a tensor",
                where=str(path),
                remedy="export the program with tensors only as its inputs",
            )
        shape: list[Dim] = []
        for axis, dim in enumerate(value.shape):
            if not isinstance(dim, int):
                first = axis == 0 and "batch" not in dims.values()
                dim = dims.setdefault(str(dim.node.expr), "batch" if first else unnamed(name, axis))
            shape.append(dim)
        specs.append(TensorSpec(name, str(value.dtype).removeprefix("torch."), tuple(shape)))
    return tuple(specs)


def program_examples(program: torch.export.ExportedProgram) -> dict[str, np.ndarray[Any, Any]]:
    """The example inputs stored with an exported program; empty without."""
    torch = require_torch()
    if program.example_inputs is None:
        return {}
    leaves = torch.utils._pytree.tree_leaves(program.example_inputs)
    names = program.graph_signature.user_inputs
    if len(leaves) != len(names) or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return {}
    return {str(name): leaf.detach().cpu().numpy() for name, leaf in zip(names, leaves, strict=True)}


def _read_state(path: Path, key: str | None) -> tuple[dict[str, torch.Tensor], list[str]]:
    torch = require_torch()
    if not path.is_file():
        raise absent(path, "check the path given to --weights")
    if path.stat().st_size == 0:
        raise BadInput("the file is empty", where=str(path), remedy="copy the checkpoint again")
    if path.suffix == ".safetensors":
        return chosen(_read_safetensors(path), path, key)
    if _members(path) is not None and file_kind(path) in ("torchscript", "exported_program"):
        raise BadInput(
            "this is a whole model, not a checkpoint",
            where=str(path),
            remedy=f"give it as the source instead of with --weights: edgeworthy run {path.name}",
        )
    with _reading(path, "torch.save(model.state_dict(), FILE)"):
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    return chosen(loaded, path, key)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(
            "not a safetensors file, or cut off",
            where=str(path),
            details=[str(error)],
            remedy="copy the file again, and compare its size with the original's",
        ) from error
    return state


def _check_state(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], path: Path) -> None:
    shared = {t.data_ptr() for k, t in own.items() if k in state and t.numel()}
    missing = [
        k
        for k, t in own.items()
        # Tied weights are stored once; BatchNorm's counter is missing in files of PyTorch before 0.4.1.
        if k not in state and t.data_ptr() not in shared and not k.endswith("num_batches_tracked")
    ]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k}: the file has {list(v.shape)}, the model {list(own[k].shape)}"
        for k, v in state.items()
        if k in own and v.shape != own[k].shape
    ]
    if missing or unexpected or shapes:
        raise BadInput(
            f"the weights don't fit the model: {len(missing)} missing, {len(unexpected)} unexpected, "
            f"{len(shapes)} of another shape",
            where=str(path),
            details=[
                *some([f"missing {k}" for k in missing]),
                *some([f"unexpected {k}" for k in unexpected]),
                *some(shapes),
            ],
            remedy="make the factory build the model that these weights were trained with",
        )


def _check_archive(path: Path) -> None:
    if not path.is_file():
        raise absent(path, "check the path")
    if path.stat().st_size == 0:
        raise BadInput("the file is empty", where=str(path), remedy="copy or export it again")
    if _members(path) is None:
        raise BadInput(
            "not a PyTorch archive, or cut off",
            where=str(path),
            remedy="copy the file again, and compare its size with the original's",
        )


def _members(path: Path) -> list[str] | None:
    """The names in a zip archive; None for any other file.

    What is left of a cut-off archive can end in a whole one that was stored in it; that one doesn't begin at 0.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile:
        return None
    if entries and min(entry.header_offset for entry in entries) > 0:
        return None
    return [entry.filename for entry in entries]


@contextmanager
def _reading(path: Path, writer: str) -> Iterator[None]:
    """Code in pickles is refused, even where PyTorch would run it, and errors get a name and a remedy."""
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except pickle.UnpicklingError as error:
        asks = re.search(r"GLOBAL (\S+)", str(error))
        said = re.search(r"error:\s*(.+)", str(error))
        raise _refused(path, f"it asks for {asks[1]}" if asks else said[1] if said else "") from error
    except (RuntimeError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, OSError) as error:
        message = str(error).strip().splitlines() if not isinstance(error, KeyError) else []
        raise BadInput(
            "the file can't be read: damaged, cut off, or of another kind or version of PyTorch",
            where=str(path),
            details=message[:3],
            remedy=f"write it again with {writer}",
        ) from error
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def _refused(path: Path, detail: str) -> BadInput:
    return BadInput(
        "the file is a pickle that wants to run code, and was refused",
        where=str(path),
        details=[detail] if detail else [],
        remedy="store plain tensors: torch.save(model.state_dict(), FILE) or safetensors.torch.save_file;"
        " if you trust the file, load it inside a factory of your own",
    )
