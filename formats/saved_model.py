"""SavedModels: the signature of one, and what inputs can be called in it (TensorFlow takes them by keyword)."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..artifact import SavedModel, TensorSpec
from ..errors import BadInput, NotAvailable
from ..vocabulary import SIGNATURE

_ARGUMENTS = "save it with inputs called by letters, digits and underscores, and by no keyword of Python's"
_AGAIN = "tf.saved_model.save(loaded, FOLDER, signatures={{'{wanted}': loaded.signatures['{there}']}})"
_RESERVED = {"self", "name"}
"""Parameters of TensorFlow's own functions that call a signature."""


def is_saved_model(path: Path) -> bool:
    """Whether the folder is one."""
    return (path / "saved_model.pb").is_file()


def none_in(folder: Path) -> BadInput:
    """What is said of a folder that is none."""
    remedy = "give the SavedModel's own folder, which that file is in"
    return BadInput("the folder holds no saved_model.pb", where=str(folder), remedy=remedy)


def describe(path: Path, loaded: Any) -> SavedModel:
    """A SavedModel folder that is ``loaded``, with the inputs and outputs of ``serving_default``.

    Raises as `signature_of` and `specs`.
    """
    return SavedModel(path, *specs(signature_of(loaded, path), path))


def load(path: Path) -> Any:
    """What TensorFlow loads.

    Raises:
        BadInput: it is none, or damaged.
        NotAvailable: TensorFlow isn't installed.
    """
    if not is_saved_model(path):
        raise none_in(path)
    try:
        import tensorflow as tf
    except ImportError as error:
        raise NotAvailable(
            "TensorFlow is not installed", where=str(path), remedy="pip install 'edgeworthy[tensorflow]'"
        ) from error
    try:
        return tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise BadInput(
            "TensorFlow can't load it",
            where=str(path),
            details=str(error).splitlines()[:1],
            remedy=_ARGUMENTS if "parameter name" in str(error) else "copy or make the SavedModel again",
        ) from error


def signature_of(loaded: Any, path: Path) -> Any:
    """``serving_default`` of a loaded SavedModel.

    Raises:
        BadInput: there is none.
    """
    signature = loaded.signatures.get(SIGNATURE)
    if signature is None:
        there = next(iter(loaded.signatures), None)
        again = _AGAIN.format(wanted=SIGNATURE, there=there) if there else ""
        raise BadInput(
            f"the SavedModel has no signature {SIGNATURE}",
            where=str(path),
            details=[f"it has {name}" for name in loaded.signatures],
            remedy=f"load it with tf.saved_model.load, and save it with {again}"
            if again
            else "save it with signatures={'serving_default': …}: a tf.function with an input_signature",
        )
    return signature


def specs(signature: Any, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a signature; a dimension that it leaves open is ``batch``, or the axis of a name.

    Raises:
        BadInput: the rank of one isn't known.
    """
    sides = signature.structured_input_signature[1].items(), signature.structured_outputs.items()
    inputs, outputs = (tuple(_spec(name, spec, path) for name, spec in side) for side in sides)
    return inputs, outputs


def _spec(name: str, tensor: Any, path: Path) -> TensorSpec:
    """``tensor``: a TensorSpec of TensorFlow, or a symbolic tensor."""
    if tensor.shape.rank is None:
        raise BadInput(
            f"the SavedModel's {name!r} has no known rank",
            where=str(path),
            remedy="save it with an input_signature that gives its shape, with None where an extent varies",
        )
    dims = tuple(
        d if isinstance(d, int) else f"{name}_{axis}" if axis else "batch" for axis, d in enumerate(tensor.shape)
    )
    return TensorSpec(name, tensor.dtype.name, dims)


def argument_names(names: Iterable[str]) -> dict[str, str]:
    """Input of a model → its name in the signature, in order.

    Letters (of ASCII), digits and underscores stay and others become underscores; a letter comes first; and no two
    names differ by their case alone, as TensorFlow compares them. A name that is fit for that stays as it is.
    """
    wanted = list(names)
    fit = [name for name in wanted if _argument(name) == name]
    taken = {name.lower() for name in fit}
    made: dict[str, str] = {}
    for name in wanted:
        argument = _argument(name)
        twice = argument.lower() in {other.lower() for other in made.values()}
        if argument != name or twice:
            argument = _unique(argument, taken)
        taken.add(argument.lower())
        made[name] = argument
    return made


def _argument(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    usable = plain[:1].isalpha() and not keyword.iskeyword(plain) and plain not in _RESERVED
    return plain if usable else f"input_{plain}".rstrip("_")


def _unique(name: str, taken: set[str]) -> str:
    if name.lower() not in taken:
        return name
    return next(f"{name}_{n}" for n in range(1, len(taken) + 2) if f"{name}_{n}".lower() not in taken)
