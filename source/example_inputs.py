"""The inputs of a model: which ones, of what type and shape, and one set of values to run it on."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import DTYPES, TensorSpec
from ..errors import BadInput, did_you_mean
from ..files import absent
from .variations import varied

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

    from ..artifact import Array

_BATCH, _LENGTH, _EXTENT, _EXTENT_STEP = 2, 8, 64, 32
"""Extents that dynamic dimensions get by default: axis 0, sequence axes, and the spatial axes of images."""

_TOKENS = 8
"""Generated integers are below this: a valid index into any embedding."""


@dataclass(frozen=True)
class Accepted:
    """What a model takes.

    Attributes:
        names: Its inputs' names, in order.
        required: Those that must be given.
        specs: What a model file says of them itself; empty for a module.
        others: Whether it takes inputs of other names too.
        starred: Whether it takes those by position (``*args``) and not by keyword alone (``**kwargs``).
    """

    names: tuple[str, ...]
    required: tuple[str, ...] = ()
    specs: tuple[TensorSpec, ...] = ()
    others: bool = False
    starred: bool = False


def resolve(
    accepted: Accepted,
    *,
    specs: Sequence[str],
    file: Path | None,
    own: Mapping[str, Array],
    seed: int,
    where: str,
) -> tuple[tuple[TensorSpec, ...], dict[str, Array], frozenset[str]]:
    """The model's inputs, one array for each, and the names of those whose array was given.

    Values come from ``file``, else from ``own`` (the model's example inputs), else they are generated from
    ``specs`` (``name:dtype[dims]``) with ``seed``. A spec's named dimensions are dynamic.

    Raises:
        BadInput: nothing says what the inputs are; a name is unknown or missing; a value doesn't fit or is
            NaN.
    """
    asked = _asked(specs, accepted)
    values = load_npz(file) if file else dict(own)
    origin = str(file) if file else f"the example inputs of {where}"
    _check_names(values, accepted, origin)
    told = {spec.name: spec for spec in accepted.specs} | asked
    given = [*dict.fromkeys((*told, *values))]
    names = [*(n for n in accepted.names if n in given), *(n for n in given if n not in accepted.names)]
    missing = [name for name in accepted.required if name not in given]
    if not names and not accepted.names and not accepted.others:
        raise BadInput(
            "the model takes no inputs: whatever happens, it gives the same",
            where=where,
            remedy="give it an input, or store what it gives instead of it",
        )
    if missing or not names:
        raise _nothing_given(missing or accepted.names[:1] or ["image"], where)
    if file and accepted.specs and (absent := [n for n in names if n not in values]):
        raise BadInput(
            f"the file has no values for {_list(absent)}",
            where=origin,
            details=[f"the file has {name}" for name in values],
            remedy="store one array under the name of each input",
        )
    inputs = tuple(told.get(name) or _spec_of(name, values[name], origin) for name in names)
    for spec in inputs:
        if spec.name in values and not _fits(spec, values[spec.name]):
            if file or spec.name not in asked:
                raise _misfit(spec, values[spec.name], origin)
            del values[spec.name]  # --input overrules the model's own example
        elif not file and spec.name in asked and spec.name in values and not _shows(spec, values[spec.name]):
            del values[spec.name]
    _check_finite(values, origin)
    sizes = _sizes(inputs, values, origin)
    examples = {s.name: values[s.name] if s.name in values else _generate(s, sizes, seed) for s in inputs}
    return inputs, examples, frozenset(values)


def generated(inputs: Sequence[TensorSpec], seed: int = 0) -> dict[str, Array]:
    """One value for each input, where nothing is known but its spec; dynamic dimensions get extents of their own."""
    sizes = _sizes(inputs, {}, "")
    return {spec.name: _generate(spec, sizes, seed) for spec in inputs}


def load_npz(path: Path) -> dict[str, Array]:
    """The named arrays of an ``.npz`` file.

    Raises:
        BadInput: the file is missing, cut off, no ``.npz``, or holds pickled objects.
    """
    with reading_arrays(path), open_npz(path) as archive:
        return {name: archive[name] for name in archive.files}


def open_npz(path: Path) -> NpzFile:
    """An ``.npz`` file, of which no pickle will be loaded; within ``reading_arrays``."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz archive, or its end is missing")
    archive: NpzFile = np.load(path, allow_pickle=False)
    return archive


@contextmanager
def reading_arrays(path: Path, *, opened: bool = False) -> Iterator[None]:
    """What numpy and zipfile raise on a file that is missing, damaged, or holds pickles, as BadInput.

    Args:
        opened: It is open already, so it doesn't matter whether it is still there.
    """
    if not opened and not path.is_file():
        raise absent(path, "check the path")
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise BadInput(
                "the file holds pickled Python objects, which could run code, and was refused",
                where=str(path),
                remedy="store plain arrays of numbers, without dtype=object",
            ) from error
        raise BadInput(
            "the file's arrays can't be read: it is damaged, cut off, or of another kind",
            where=str(path),
            details=[str(error).splitlines()[0] if str(error) else type(error).__name__],
            remedy="write it again with numpy.savez(FILE, input_name=array)",
        ) from error


def resized(inputs: Iterable[TensorSpec], values: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array]:
    """``values`` with the dynamic dimensions named in ``sizes`` made that long.

    Rows are repeated or dropped, so that every value stays one that the model takes (token ids, masks). Of data,
    repeated rows are each a little smaller than the one before: equal ones would tie wherever a model ranks them.
    """
    out = dict(values)
    for spec in inputs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and dim in sizes:
                extent = values[spec.name].shape[axis]
                whole = out[spec.name]
                rounds = range(-(-sizes[dim] // extent))
                repeated = np.concatenate([varied(whole, 1 - i / 16) if i else whole for i in rounds], axis)
                out[spec.name] = np.take(repeated, np.arange(sizes[dim]), axis)
    return out


def dynamic_sizes(inputs: Iterable[TensorSpec], values: Mapping[str, Array]) -> dict[str, int]:
    """Dynamic dimension → its extent in ``values``."""
    return {
        dim: values[spec.name].shape[axis]
        for spec in inputs
        for axis, dim in enumerate(spec.shape)
        if isinstance(dim, str)
    }


def other_sizes(inputs: Sequence[TensorSpec], values: Mapping[str, Array]) -> list[dict[str, int]]:
    """Two other choices of all dynamic extents than that of ``values``: longer, and shorter."""
    sizes = dynamic_sizes(inputs, values)
    longer, shorter = dict(sizes), dict(sizes)
    for spec in inputs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str):
                step = _EXTENT_STEP if _is_spatial(spec, axis) else 1 if axis == 0 else 3
                longer[dim] = sizes[dim] + step
                shorter[dim] = max(1, sizes[dim] - step)
    return [other for other in (longer, shorter) if other != sizes]


def _asked(specs: Sequence[str], accepted: Accepted) -> dict[str, TensorSpec]:
    asked: dict[str, TensorSpec] = {}
    fixed = {spec.name: spec for spec in accepted.specs}
    for text in specs:
        spec = TensorSpec.parse(text)
        if spec.name in asked:
            raise BadInput(f"{spec.name!r} is described twice", where="--input", remedy="describe every input once")
        asked[spec.name] = spec
    _check_names(asked, accepted, "--input")
    for name, spec in asked.items():
        if name in fixed and not _narrows(spec, fixed[name]):
            raise BadInput(
                f"{spec} contradicts the model, which has {fixed[name]}",
                where="--input",
                remedy="keep its dtype and its fixed dimensions; dynamic ones may be given a number",
            )
    return asked


def _narrows(spec: TensorSpec, model: TensorSpec) -> bool:
    return (
        spec.dtype == model.dtype
        and len(spec.shape) == len(model.shape)
        and all(isinstance(theirs, str) or ours == theirs for ours, theirs in zip(spec.shape, model.shape, strict=True))
    )


def _check_names(given: Iterable[str], accepted: Accepted, origin: str) -> None:
    given = list(given)
    unknown = [name for name in given if name not in accepted.names]
    if unknown and not accepted.others:
        free = [name for name in accepted.names if name not in given]
        near = f"did you mean {free[0]!r}?" if len(free) == len(unknown) == 1 else did_you_mean(unknown[0], free)
        raise BadInput(
            f"the model has no input named {_list(unknown)}",
            where=origin,
            details=[f"it has {name}" for name in accepted.names],
            remedy=near or "use the names of the model's own inputs",
        )


def _nothing_given(missing: Sequence[str], where: str) -> BadInput:
    return BadInput(
        f"the model's input {_list(missing)} is not described",
        where=where,
        remedy=" ".join(f"--input '{_example(name)}'" for name in missing)
        + " (write a name, such as batch, for a dimension that varies), or --inputs FILE.npz,"
        + " or give the module an attribute example_inputs",
    )


def _example(name: str) -> str:
    """A worked example of ``--input``, guessed from the input's name."""
    if "ids" in name or "mask" in name or "token" in name:
        return f"{name}:int64[1,128]"
    return f"{name}:float32[1,3,224,224]"


def _spec_of(name: str, value: Array, origin: str) -> TensorSpec:
    if value.dtype.name not in DTYPES:
        raise BadInput(
            f"{name!r} is of type {value.dtype}, which is not supported",
            where=origin,
            remedy=f"use one of {', '.join(DTYPES)}",
        )
    return TensorSpec(name, value.dtype.name, tuple(value.shape))


def _fits(spec: TensorSpec, value: Array) -> bool:
    return value.dtype.name == spec.dtype and spec.accepts(value.shape)


def _shows(spec: TensorSpec, value: Array) -> bool:
    """Whether a value that fits has something of each dynamic dimension."""
    return all(extent for dim, extent in zip(spec.shape, value.shape, strict=True) if isinstance(dim, str))


def _misfit(spec: TensorSpec, value: Array, origin: str) -> BadInput:
    got = TensorSpec(spec.name, value.dtype.name, tuple(value.shape))
    return BadInput(
        f"{got} doesn't fit the input {spec}",
        where=origin,
        remedy=f"store {spec.name!r} as {spec.dtype} with the shape [{','.join(map(str, spec.shape))}]",
    )


def _check_finite(values: Mapping[str, Array], origin: str) -> None:
    bad = [n for n, v in values.items() if v.dtype.kind == "f" and not np.isfinite(v).all()]
    if bad:
        raise BadInput(
            f"the values of {_list(bad)} are not all finite (NaN or infinity)",
            where=origin,
            remedy="give inputs as the model sees them in use",
        )


def _sizes(inputs: Sequence[TensorSpec], values: Mapping[str, Array], origin: str) -> dict[str, int]:
    """Dynamic dimension → extent: from the values where there are some, else a default of its own."""
    sizes: dict[str, int] = {}
    for spec in inputs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and spec.name in values:
                extent = values[spec.name].shape[axis]
                if not extent:  # no row to make others of
                    raise BadInput(
                        f"dimension {dim!r} is dynamic, and {spec.name!r} has 0 of it (axis {axis})",
                        where=origin,
                        remedy="give values with one or more, or write 0 for it in --input: it is always empty then",
                    )
                if sizes.setdefault(dim, extent) != extent:
                    raise BadInput(
                        f"dimension {dim!r} is both {sizes[dim]} and {extent} (axis {axis} of {spec.name!r})",
                        where=origin,
                        remedy="one name stands for one extent: use two names, or values of equal extent",
                    )
    for spec in inputs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and dim not in sizes:
                sizes[dim] = _default_extent(spec, axis, taken=set(sizes.values()))
    return sizes


def _default_extent(spec: TensorSpec, axis: int, taken: set[int]) -> int:
    """Different names get different extents: equal ones could hide a mix-up."""
    step = 1
    extent = _BATCH if axis == 0 else _LENGTH
    if _is_spatial(spec, axis):
        extent, step = _EXTENT, _EXTENT_STEP
    while extent in taken:
        extent += step
    return extent


def _is_spatial(spec: TensorSpec, axis: int) -> bool:
    return len(spec.shape) >= 4 and axis >= 2


def _generate(spec: TensorSpec, sizes: Mapping[str, int], seed: int) -> Array:
    """Seeded by the input's name too, so that another input more changes nothing."""
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape)
    rng = np.random.default_rng((seed, zlib.crc32(spec.name.encode())))
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if "mask" in spec.name:
        return np.ones(shape, dtype)  # a mask that hides a whole row makes NaN of any softmax
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(0, _TOKENS, shape).astype(dtype)


def _list(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
