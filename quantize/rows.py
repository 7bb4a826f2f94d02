"""Samples checked against the model's inputs and grouped into feeds of its batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ..artifact import Dim, TensorSpec
from ..errors import BadInput

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
            remedy="give more calibration data; some dozens of samples are a good start",
        )
    return [int(i) for i in np.linspace(0, count - 1, used).round()]


class Rows:
    """Samples of all inputs, row by row; a row is what one sample gives to one input.

    Args:
        inputs: The model's inputs.
        where: The file or function that the data comes from, for errors.
    """

    def __init__(self, inputs: Sequence[TensorSpec], where: str) -> None:
        self.inputs = tuple(inputs)
        self.where = where
        self.batched = batch_size(inputs) is not None
        self.group = batch_size(inputs) or 1
        self._rows: dict[str, list[Array]] = {spec.name: [] for spec in inputs}

    def __len__(self) -> int:
        return min((len(rows) for rows in self._rows.values()), default=0)

    def add_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take arrays ``[samples, …]``, or ``[samples, batch, …]`` in the input's full shape.

        Raises:
            BadInput: an array doesn't fit its input, or the inputs have different numbers of samples.
        """
        for spec in self.inputs:
            array = self._numbers(spec, arrays[spec.name])
            row = self._row_shape(spec)
            depth = array.ndim - len(row)
            if depth not in (1, 2) or (depth == 2 and not self.batched) or not _fits(row, array.shape[depth:]):
                form = ",".join(["samples", *map(str, row)])
                self._refuse(spec, f"has shape {list(array.shape)}; expected [{form}]")
            self._extend(spec, array.reshape(-1, *array.shape[depth:]))
        counts = {name: len(rows) for name, rows in self._rows.items()}
        if len(set(counts.values())) > 1:
            raise BadInput(
                "the inputs have different numbers of samples",
                where=self.where,
                details=[f"{name}: {count}" for name, count in counts.items()],
                remedy="give every input the same number of samples along the first axis",
            )

    def add_item(self, item: object, index: int) -> None:
        """Take what a generator yielded: a dict by input name, a tuple in order of the inputs, or one array.

        An array may have the input's full shape (with the batch axis) or a row's (without it).

        Raises:
            BadInput: the item has another form, or an array doesn't fit its input.
        """
        arrays = self._by_name(item, index)
        counts = set()
        for spec in self.inputs:
            array = self._numbers(spec, arrays[spec.name])
            row = self._row_shape(spec)
            depth = array.ndim - len(row)
            if depth not in ((0, 1) if self.batched else (0,)) or not _fits(row, array.shape[depth:]):
                self._refuse(spec, f"has shape {list(array.shape)}; expected {spec}", f"sample {index}: ")
            rows = array if depth else array[None]
            counts.add(len(rows))
            self._extend(spec, rows)
        if len(counts) > 1:
            raise BadInput(
                f"sample {index} has arrays of different batch sizes",
                where=self.where,
                remedy="yield one batch of every input",
            )

    def feed(self, indices: Sequence[int]) -> dict[str, Array]:
        """The feed made of these rows; ``group`` of them."""
        return {
            name: np.stack([rows[i] for i in indices]) if self.batched else rows[indices[0]]
            for name, rows in self._rows.items()
        }

    def _numbers(self, spec: TensorSpec, array: Array) -> Array:
        """The array, if it holds numbers: of what does not, the shape is beside the point."""
        if array.dtype.kind in "biufc":
            return array
        what = "texts" if array.dtype.kind in "US" else f"{array.dtype}"
        raise BadInput(
            f"the data for input {spec.name!r} holds {what} and no numbers",
            where=self.where,
            remedy=f"store what the model takes, as {spec}; image files go as a folder of them",
        )

    def _row_shape(self, spec: TensorSpec) -> tuple[Dim, ...]:
        return spec.shape[1:] if self.batched else spec.shape

    def _extend(self, spec: TensorSpec, rows: Array) -> None:
        """Append rows in the input's dtype, if all their values are usable."""
        taken = self._cast(spec, rows)
        start = len(self._rows[spec.name])
        if taken.dtype.kind == "f":
            for i, row in enumerate(taken):
                if not np.isfinite(row).all():
                    kind = "NaN" if np.isnan(row).any() else "Inf"
                    raise BadInput(
                        f"sample {start + i} of input {spec.name!r} has {kind} in it",
                        where=self.where,
                        remedy="clean the data: ranges can't be measured on it",
                    )
        self._rows[spec.name].extend(taken)

    def _cast(self, spec: TensorSpec, rows: Array) -> Array:
        """Rows as the input's dtype, where no value changes its meaning by it."""
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

    def _by_name(self, item: object, index: int) -> dict[str, Array]:
        names = [spec.name for spec in self.inputs]
        if isinstance(item, Mapping):
            missing = [name for name in names if name not in item]
            if not missing:
                return {name: np.asarray(item[name]) for name in names}
            problem = f"has no {', '.join(map(repr, missing))}, only {', '.join(map(repr, item))}"
        else:
            parts = list(item) if isinstance(item, (tuple, list)) else [item]
            if len(parts) == len(names):
                return {name: np.asarray(part) for name, part in zip(names, parts, strict=True)}
            problem = f"has {len(parts)} arrays for {len(names)} inputs"
        raise BadInput(
            f"sample {index} {problem}",
            where=self.where,
            details=[f"input: {spec}" for spec in self.inputs],
            remedy="yield a dict by input name, or a tuple in the order of the inputs",
        )

    def _refuse(self, spec: TensorSpec, problem: str, prefix: str = "") -> NoReturn:
        raise BadInput(
            f"{prefix}the data for input {spec.name!r} {problem}",
            where=self.where,
            details=[f"input: {s}" for s in self.inputs],
            remedy="give samples in the source model's own layout, without leaving out an axis",
        )


def _fits(want: tuple[Dim, ...], got: tuple[int, ...]) -> bool:
    return TensorSpec("", "float32", want).accepts(got)
