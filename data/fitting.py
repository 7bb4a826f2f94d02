"""Samples checked against the model's inputs: shapes, dtypes, NaN and Inf; an error says which sample is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ..artifact import Dim, TensorSpec
from ..errors import BadInput
from .samples import LABEL_KEYS, Label, Sample

if TYPE_CHECKING:
    from ..artifact import Array


def batch_size(inputs: Sequence[TensorSpec]) -> int | None:
    """Samples in one feed: the extent of the first axis where all inputs share it (1 where it is dynamic).

    None where inputs don't share it: then a sample is a whole feed, with the inputs' full shapes.
    """
    firsts = [spec.shape[0] if spec.shape else None for spec in inputs]
    extents = {1 if isinstance(first, str) else first for first in firsts}
    return extents.pop() if len(extents) == 1 else None


def spread(count: int, samples: int, group: int, where: str) -> list[int]:
    """About ``samples`` of ``count`` indices, evenly spaced (data is often sorted by class), in whole groups.

    Raises:
        BadInput: there are fewer samples than one feed takes.
    """
    used = min(count, max(samples, group))
    used -= used % group
    if not used:
        raise BadInput(
            f"the model takes {group} samples at once, and there are {count}" if count else "there are no samples",
            where=where,
            remedy="give more data; some dozens of samples are a good start",
        )
    return [int(i) for i in np.linspace(0, count - 1, used).round()]


class Fitting:
    """What arrays have to be to become rows of a model's inputs; a row is what one sample gives to one input.

    Args:
        inputs: The model's inputs.
        where: The file or function that the data comes from, for errors.
    """

    def __init__(self, inputs: Sequence[TensorSpec], where: str) -> None:
        self.inputs = tuple(inputs)
        self.where = where
        self.batched = batch_size(inputs) is not None
        self.group = batch_size(inputs) or 1

    def row_shape(self, spec: TensorSpec) -> tuple[Dim, ...]:
        """The input's shape without the batch."""
        return spec.shape[1:] if self.batched else spec.shape

    def rows_of(self, spec: TensorSpec, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, ``[count, …]``, of the rows of an array ``[samples, …]``, or ``[samples, batch, …]``.

        Raises:
            BadInput: the array doesn't fit the input.
        """
        self._require_numbers(spec, dtype)
        row = self.row_shape(spec)
        depth = len(shape) - len(row)
        if depth not in (1, 2) or (depth == 2 and not self.batched) or not _fits(row, shape[depth:]):
            form = ",".join(["samples", *map(str, row)])
            self._refuse(spec, f"has shape {list(shape)}; expected [{form}]", shape=shape)
        count = int(np.prod(shape[:depth]))
        self.cast(spec, np.empty((0, *shape[depth:]), dtype))
        return (count, *shape[depth:])

    def row(self, spec: TensorSpec, array: Array, index: int) -> Array:
        """A row in the input's dtype.

        Args:
            index: The sample's, for errors.

        Raises:
            BadInput: it has another dtype, or NaN or Inf in it.
        """
        taken = self.cast(spec, array)
        if taken.dtype.kind == "f" and not np.isfinite(taken).all():
            kind = "NaN" if np.isnan(taken).any() else "Inf"
            raise BadInput(
                f"sample {index} of input {spec.name!r} has {kind} in it",
                where=self.where,
                remedy="clean the data: ranges can't be measured on it",
            )
        return taken

    def samples(self, item: object, index: int, first: int) -> Iterator[Sample]:
        """What a generator yielded: a dict by input name, a tuple in order of the inputs, or one array.

        An array may have the input's full shape (with the batch axis, of any extent) or a row's (without it). A
        dict's ``labels``, or one more part of a tuple with an integer for each sample, are the classes.

        Args:
            index: Of the item, for errors.
            first: The number of its first sample.

        Raises:
            BadInput: the item has another form, or an array doesn't fit its input.
        """
        arrays, labels = self._by_name(item, index)
        rows: dict[str, Array] = {}
        for spec in self.inputs:
            array = arrays[spec.name]
            self._require_numbers(spec, array.dtype)
            row = self.row_shape(spec)
            depth = array.ndim - len(row)
            if depth not in ((0, 1) if self.batched else (0,)) or not _fits(row, array.shape[depth:]):
                self._refuse(spec, f"has shape {list(array.shape)}; expected {spec}", f"sample {index}: ", array.shape)
            rows[spec.name] = array if depth else array[None]
        if len(counts := {len(array) for array in rows.values()}) > 1:
            raise BadInput(
                f"sample {index} has arrays of different batch sizes",
                where=self.where,
                remedy="yield one batch of every input",
            )
        count = counts.pop()
        classes = _classes(labels, count)
        for i in range(count):
            yield Sample({s.name: self.row(s, rows[s.name][i], first + i) for s in self.inputs}, classes[i])

    def cast(self, spec: TensorSpec, rows: Array) -> Array:
        """Rows as the input's dtype, where no value changes its meaning by it.

        Raises:
            BadInput: one does.
        """
        want = np.dtype(spec.dtype)
        if rows.dtype == want:
            return rows
        if rows.dtype.kind == want.kind == "f":
            with np.errstate(over="ignore"):  # what overflows becomes Inf, and is refused as such
                return rows.astype(want)
        integers = rows.dtype.kind in "iu" and want.kind in "iu"
        if integers and (not rows.size or np.array_equal(rows.astype(want), rows)):
            return rows.astype(want)
        raise BadInput(
            f"the data for input {spec.name!r} is {rows.dtype}, and the input is {spec.dtype}"
            + ("; some values don't fit" if integers else ""),
            where=self.where,
            remedy=f"prepare it as for inference (normalized, not raw), as {spec.dtype}",
        )

    def _require_numbers(self, spec: TensorSpec, dtype: np.dtype[np.generic]) -> None:
        """Of what holds no numbers the shape is beside the point."""
        if dtype.kind not in "biufc":
            what = "texts" if dtype.kind in "US" else f"{dtype}"
            raise BadInput(
                f"the data for input {spec.name!r} holds {what} and no numbers",
                where=self.where,
                remedy=f"store what the model takes, as {spec}; image files go as a folder of them",
            )

    def _by_name(self, item: object, index: int) -> tuple[dict[str, Array], Array | None]:
        names = [spec.name for spec in self.inputs]
        if isinstance(item, Mapping):
            missing = [name for name in names if name not in item]
            if not missing:
                labels = next(
                    (as_array(item[key], self.where) for key in LABEL_KEYS if key in item and key not in names), None
                )
                return {name: as_array(item[name], self.where) for name in names}, labels
            problem = f"has no {', '.join(map(repr, missing))}, only {', '.join(map(repr, item))}"
        else:
            parts = [as_array(part, self.where) for part in (item if isinstance(item, (tuple, list)) else [item])]
            more = parts[len(names) :]
            classes = len(more) == 1 and more[0].ndim < 2 and more[0].dtype.kind in "iu"
            if len(parts) == len(names) or classes:
                return dict(zip(names, parts, strict=False)), more[0] if more else None
            problem = f"has {len(parts)} arrays for {len(names)} inputs"
        raise BadInput(
            f"sample {index} {problem}",
            where=self.where,
            details=[f"input: {spec}" for spec in self.inputs],
            remedy="yield a dict by input name, or a tuple in the order of the inputs",
        )

    def _refuse(self, spec: TensorSpec, problem: str, prefix: str = "", shape: tuple[int, ...] = ()) -> NoReturn:
        moved = _moved(self.row_shape(spec), shape)
        raise BadInput(
            f"{prefix}the data for input {spec.name!r} {problem}",
            where=self.where,
            details=[f"input: {s}" for s in self.inputs],
            remedy=f"its channels lie elsewhere: array.transpose({', '.join(map(str, moved))})"
            if moved
            else "give samples in the source model's own layout, without leaving out an axis",
        )


def as_array(value: object, where: str) -> Array:
    """A number, list, array, or a tensor of any device, as an array.

    Raises:
        BadInput: it is none of these, such as a list of lists of different lengths.
    """
    detach = getattr(value, "detach", None)
    try:
        return np.asarray(detach().cpu() if callable(detach) else value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadInput(
            f"a {type(value).__name__} is no array: {str(error).splitlines()[0]}",
            where=where,
            remedy="yield arrays or tensors of numbers",
        ) from error


def _classes(labels: Array | None, count: int) -> list[Label | None]:
    """A class for each sample, if the labels are that."""
    if labels is None or labels.dtype.kind not in "iu" or labels.size != count:
        return [None] * count
    return [int(v) for v in labels.ravel()]


def _fits(want: tuple[Dim, ...], got: tuple[int, ...]) -> bool:
    return TensorSpec("", "float32", want).accepts(got)


def _moved(row: tuple[Dim, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The transpose of an array that makes it fit, where it is the channels that were moved; empty if there is none."""
    if len(row) < 2 or len(shape) < len(row):
        return ()
    lead = tuple(range(len(shape) - len(row)))
    axes = tuple(range(len(lead), len(shape)))
    for moved in ((axes[-1], *axes[:-1]), (*axes[1:], axes[0])):
        if _fits(row, tuple(shape[a] for a in moved)):
            return lead + moved
    return ()
