"""Samples that are rows of a table: CSV and Parquet.

An input takes the column of its own name, whose cells hold a number or a nested list; or the columns ``name_0``,
``name_1`` …, one for each of its numbers. A model with one input takes all columns in their order where there are just
as many as it has numbers. A column ``label`` or ``labels`` holds the classes.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput, NotAvailable
from .fitting import Fitting
from .samples import LABEL_KEYS, Label, Sample, Samples

if TYPE_CHECKING:
    from ..artifact import Array

SUFFIXES = (".csv", ".tsv", ".parquet")

_DELIMITERS = ",;\t"

Cells = Mapping[str, Any]
"""Column → cell: a text of CSV; a number, text or list of Parquet."""


Makes = tuple[list[str], Callable[[Cells, int], Mapping[str, "Array"]]]


class TableFile:
    """A file of records. ``columns``: their names, in order."""

    columns: list[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def records(self, columns: Sequence[str]) -> Iterator[Cells]:
        """All rows, of these columns at least."""


def open_table(path: Path) -> TableFile:
    """A CSV or Parquet file, by its suffix.

    Raises:
        BadInput: it is damaged or empty.
        NotAvailable: Parquet needs pyarrow.
    """
    return _Parquet(path) if path.suffix == ".parquet" else _Csv(path)


class TableSamples(Samples):
    """Samples of a table's rows.

    Args:
        makes: Columns that are needed, and how a record and its number become a row for each input.
        prepared: See `Samples`.
    """

    direct = False
    noun = "rows"

    def __init__(self, table: TableFile, makes: Makes, prepared: str = "") -> None:
        self.where, self.prepared = str(table.path), prepared
        self._table = table
        self._columns, self._make = makes
        self._label = next((key for key in LABEL_KEYS if key in table.columns and key not in self._columns), None)

    def __len__(self) -> int:
        return len(self._table)

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        columns = [*self._columns, *([self._label] if self._label else [])]
        wanted = iter(indices)
        index = next(wanted, None)
        for number, record in enumerate(self._table.records(columns)):
            if number == index:
                yield Sample(self._make(record, number), _label(record.get(self._label or "")))
                if (index := next(wanted, None)) is None:
                    return


def of_numbers(path: Path, inputs: Sequence[TensorSpec]) -> TableSamples:
    """Samples of a table of numbers.

    Raises:
        BadInput: columns are missing, or a cell doesn't hold what its input takes; with its row and column.
    """
    table, fitting = open_table(path), Fitting(inputs, str(path))
    taken = _columns_of(table, fitting)

    def make(record: Cells, number: int) -> dict[str, Array]:
        return {s.name: _row(fitting, s, record, taken[s.name], number) for s in inputs}

    return TableSamples(table, ([name for names in taken.values() for name in names], make))


def _columns_of(table: TableFile, fitting: Fitting) -> dict[str, list[str]]:
    """Input name → its columns: one with whole rows, or one for each number."""
    found: dict[str, list[str]] = {}
    for spec in fitting.inputs:
        if spec.name in table.columns:
            found[spec.name] = [spec.name]
            continue
        numbered = re.compile(rf"{re.escape(spec.name)}[_.\[](\d+)\]?")
        matches = {int(m[1]): name for name in table.columns if (m := numbered.fullmatch(name))}
        if matches:
            found[spec.name] = [matches[i] for i in sorted(matches)]
    if not found and len(fitting.inputs) == 1:
        found = {fitting.inputs[0].name: [name for name in table.columns if name not in LABEL_KEYS]}
    wrong = []
    for spec in fitting.inputs:
        row, count = fitting.row_shape(spec), len(found.get(spec.name, ()))
        size = int(np.prod([d for d in row if isinstance(d, int)])) if TensorSpec("", "", row).is_static else None
        if count == 0 or not (found[spec.name] == [spec.name] or count == size):
            wrong.append(f"input {spec} needs a column {spec.name!r}" + (f", or {size} of them" if size else ""))
    if wrong:
        names = table.columns if len(table.columns) <= 20 else [*table.columns[:20], f"{len(table.columns) - 20} more"]
        raise BadInput(
            "the table's columns are not the model's inputs",
            where=fitting.where,
            details=[*wrong, f"the table has {', '.join(names)}"],
            remedy="name a column like the input, with a number or a list such as [0.1, 0.2] in each cell; or have one "
            "for each number: name_0, name_1 …",
        )
    return found


def _row(fitting: Fitting, spec: TensorSpec, record: Cells, columns: Sequence[str], number: int) -> Array:
    want = fitting.row_shape(spec)
    whole = columns[0] == spec.name
    cells = [_number(fitting, record[name], spec, name, number) for name in columns]
    value = cells[0] if whole else cells
    try:
        array = np.asarray(value)
        static = tuple(d for d in want if isinstance(d, int))
        if len(static) == len(want) and array.size == np.prod(static):
            array = array.reshape(static)
        if array.dtype.kind == "i" and spec.dtype.startswith("float"):
            array = array.astype(spec.dtype)
        if array.dtype.kind == "f" and np.dtype(spec.dtype).kind in "iub":
            array = _whole(array, spec.dtype)
        if array.dtype.kind in "iu" and spec.dtype == "bool":
            array = array.astype(bool)
    except ValueError as error:
        raise _bad_cell(fitting, number, columns[0], f"is no {spec.dtype} array: {error}") from error
    if not TensorSpec("", spec.dtype, want).accepts(array.shape):
        raise _bad_cell(fitting, number, columns[0], f"has shape {list(array.shape)}; expected {list(want)}")
    return fitting.row(spec, array, number)


def _number(fitting: Fitting, cell: Any, spec: TensorSpec, column: str, number: int) -> Any:
    if cell is None or cell == "":
        raise _bad_cell(fitting, number, column, "is empty")
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell) if cell.lstrip().startswith("[") else _parsed(cell)
    except ValueError as error:
        raise _bad_cell(fitting, number, column, f"holds {cell[:40]!r}, which is no number") from error


def _parsed(cell: str) -> int | float:
    text = cell.strip().lower()
    if text in ("true", "false"):
        return int(text == "true")
    try:
        return int(text)
    except ValueError:
        return float(text)


def _whole(array: Array, dtype: str) -> Array:
    rounded = np.rint(array)
    if not np.array_equal(rounded, array):
        raise ValueError("it has a fraction")
    return rounded.astype(dtype)


def _bad_cell(fitting: Fitting, number: int, column: str, problem: str) -> BadInput:
    return BadInput(
        f"row {number}, column {column!r} {problem}",
        where=fitting.where,
        remedy="mend the cell or leave the row out; rows count from 0, without the header",
    )


def _label(cell: Any) -> Label | None:
    if isinstance(cell, str):
        return int(cell) if cell.strip().isdigit() else (cell or None)
    return cell if isinstance(cell, int) else None


class _Csv(TableFile):
    """Comma, semicolon or tab between cells, whichever the first line has most of; its first line are names."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._reading():
            with path.open(encoding="utf-8-sig", newline="") as file:
                line = file.readline()
                self._delimiter = max(_DELIMITERS, key=line.count)
                file.seek(0)
                self.columns = next(csv.reader(file, delimiter=self._delimiter), [])
            if not any(self.columns):
                raise BadInput("the table is empty", where=str(path), remedy="its first line holds the columns' names")
            if twice := [n for n in self.columns if self.columns.count(n) > 1]:
                raise BadInput(f"two columns are called {twice[0]!r}", where=str(path), remedy="name each differently")
            if all(map(_is_number, self.columns)):
                raise BadInput(
                    "the table's first line holds numbers and no names",
                    where=str(path),
                    remedy="write a first line with a name for each column",
                )
            self._count = sum(1 for _ in self._rows())

    def __len__(self) -> int:
        return self._count

    def records(self, columns: Sequence[str]) -> Iterator[Cells]:
        with self._reading():
            for number, cells in enumerate(self._rows()):
                if len(cells) != len(self.columns):
                    raise BadInput(
                        f"row {number} has {len(cells)} cells, and the first line {len(self.columns)}",
                        where=str(self.path),
                        remedy="put a cell with the delimiter in it into quotes",
                    )
                yield dict(zip(self.columns, cells, strict=True))

    def _rows(self) -> Iterator[list[str]]:
        """All but the first line, and but empty ones."""
        csv.field_size_limit(1 << 30)  # a cell may hold a whole image
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            for cells in itertools.islice(csv.reader(file, delimiter=self._delimiter), 1, None):
                if cells:
                    yield cells

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadInput(
                f"the table can't be read: {error}", where=str(self.path), remedy="write it again as CSV in UTF-8"
            ) from error


class _Parquet(TableFile):
    """By pyarrow, a few rows at a time."""

    _ROWS = 32

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            import pyarrow.parquet
        except ModuleNotFoundError as error:
            raise NotAvailable(
                "Parquet needs pyarrow, which is not installed",
                where=str(path),
                remedy="pip install edgeworthy[parquet]",
            ) from error
        with self._reading():
            self._file = pyarrow.parquet.ParquetFile(path)
            self.columns = [field.name for field in self._file.schema_arrow]

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def records(self, columns: Sequence[str]) -> Iterator[Cells]:
        with self._reading():
            for batch in self._file.iter_batches(self._ROWS, columns=list(columns)):
                yield from batch.to_pylist()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            raise BadInput(
                f"the Parquet file can't be read: {str(error).splitlines()[0]}",
                where=str(self.path),
                remedy="it is damaged, cut off or of another kind: write it again",
            ) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
