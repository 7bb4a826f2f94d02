"""Samples that are texts: lines of a file, or a column of a table, by the model's own tokenizer.

A tokenizer is a ``tokenizer.json`` (package ``tokenizers``), or a folder as transformers saves it. Texts are cut and
filled up to the input's length; where that is dynamic, each text has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput, NotAvailable
from ..source.factories import user_code
from .fitting import Fitting
from .samples import Label, Sample, Samples
from .tables import TableFile, TableSamples

if TYPE_CHECKING:
    from ..artifact import Array

SUFFIXES = (".txt",)
TOKENIZER_FILE = "tokenizer.json"

_MAKES = {
    "input_ids": ("input_ids", "ids", "tokens"),
    "attention_mask": ("attention_mask", "mask"),
    "token_type_ids": ("token_type_ids", "segment_ids"),
}
"""What a tokenizer makes → names that inputs for it have."""

_MOST_TOKENS = 512
"""Of a text whose input has a dynamic length."""

Encode = Callable[[str], Mapping[str, Sequence[int]]]


class TextLines(Samples):
    """A sample for each line of a text file that isn't empty."""

    direct = False
    noun = "texts"

    def __init__(self, path: Path, inputs: Sequence[TensorSpec], tokenizer: Path | None) -> None:
        self.where = str(path)
        self._path = path
        self._make, self.prepared = _maker(Fitting(inputs, self.where), tokenizer)
        self._count = sum(1 for _ in self._lines())

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        wanted = set(indices)
        for number, line in enumerate(self._lines()):
            if number in wanted:
                label: Label | None = None
                yield Sample(self._make(line, number), label)

    def _lines(self) -> Iterator[str]:
        try:
            with self._path.open(encoding="utf-8-sig") as file:
                yield from (text for line in file if (text := line.strip()))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"the texts can't be read: {error}", where=self.where, remedy="write them in UTF-8, one a line"
            ) from error


def of_column(table: TableFile, column: str, inputs: Sequence[TensorSpec], tokenizer: Path | None) -> TableSamples:
    """A sample for each text in a column.

    Raises:
        BadInput: there is no such column.
    """
    if column not in table.columns:
        raise BadInput(
            f"the table has no column {column!r}",
            where=str(table.path),
            details=[f"it has {name}" for name in table.columns[:20]],
            remedy="name the one with the texts by --text-column, or text_column in [data]",
        )
    make, prepared = _maker(Fitting(inputs, str(table.path)), tokenizer)
    return TableSamples(table, ([column], lambda cells, number: make(str(cells[column] or ""), number)), prepared)


def _maker(fitting: Fitting, tokenizer: Path | None) -> tuple[Callable[[str, int], dict[str, Array]], str]:
    """Text and number → a row for each input; and how, for the report."""
    if tokenizer is None:
        raise BadInput(
            "it isn't said which tokenizer makes the model's inputs of the texts",
            where=fitting.where,
            remedy="give its tokenizer.json, or the folder that transformers saved it in: --tokenizer PATH, or "
            "tokenizer in [data]",
        )
    kinds = _kinds(fitting)
    rows = [fitting.row_shape(spec) for spec in fitting.inputs]
    lengths = {row[0] if len(row) == 1 else None for row in rows}
    length = lengths.pop()
    if lengths or length is None:
        raise BadInput(
            "the model's inputs are no tokens: these have one axis besides the batch, of the same length",
            where=fitting.where,
            details=[f"input: {spec}" for spec in fitting.inputs],
            remedy="give the data as .npz or file.py:generator",
        )
    encode = load_tokenizer(tokenizer, length if isinstance(length, int) else None)

    def make(text: str, number: int) -> dict[str, Array]:
        with user_code(str(tokenizer), f"the tokenizer failed on text {number}", "check that text, and the tokenizer"):
            encoded = encode(text)
        return {s.name: fitting.row(s, np.asarray(encoded[kinds[s.name]], s.dtype), number) for s in fitting.inputs}

    said = f"{length} tokens" if isinstance(length, int) else f"at most {_MOST_TOKENS} tokens"
    return make, f"tokenizer {tokenizer}, {said}"


def _kinds(fitting: Fitting) -> dict[str, str]:
    """Input name → what the tokenizer makes for it."""
    found = {s.name: next((kind for kind, names in _MAKES.items() if s.name in names), "") for s in fitting.inputs}
    if len(found) == 1:
        found = dict.fromkeys(found, "input_ids")
    strange = [s for s in fitting.inputs if not found[s.name] or np.dtype(s.dtype).kind not in "iufb"]
    if strange:
        raise BadInput(
            f"a tokenizer makes nothing for the input {strange[0]}",
            where=fitting.where,
            details=[f"it makes {kind}, for inputs called {' or '.join(names)}" for kind, names in _MAKES.items()],
            remedy="give the data as .npz or file.py:generator",
        )
    return found


def load_tokenizer(path: Path, length: int | None) -> Encode:
    """A tokenizer that cuts and fills up to ``length``; None: each text as it is.

    Raises:
        BadInput: there is none there, or it is damaged.
        NotAvailable: a package is missing.
    """
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if not path.exists():
        raise BadInput("there is no such tokenizer", where=str(path), remedy="check --tokenizer")
    with user_code(str(path), "the tokenizer can't be loaded", "save it again, with tokenizer.save_pretrained(FOLDER)"):
        return _fast(file, length) if file.is_file() else _slow(path, length)


def _fast(file: Path, length: int | None) -> Encode:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise NotAvailable(
            "a tokenizer.json needs the package tokenizers",
            where=str(file),
            remedy="pip install edgeworthy[text]",
        ) from error
    tokenizer: Any = Tokenizer.from_file(str(file))
    padding = tokenizer.padding or {}
    tokenizer.no_padding()
    tokenizer.enable_truncation(length or _MOST_TOKENS)
    if length is not None:
        known = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
        pad = padding.get("pad_id", next((i for i in known if i is not None), 0))
        side = padding.get("direction", "right")
        tokenizer.enable_padding(length=length, pad_id=pad, direction=side)

    def encode(text: str) -> Mapping[str, Sequence[int]]:
        found = tokenizer.encode(text)
        return {"input_ids": found.ids, "attention_mask": found.attention_mask, "token_type_ids": found.type_ids}

    return encode


def _slow(folder: Path, length: int | None) -> Encode:
    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as error:
        raise NotAvailable(
            "a tokenizer without tokenizer.json needs the package transformers",
            where=str(folder),
            remedy="pip install transformers",
        ) from error
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    options = {"padding": "max_length"} if length is not None else {}

    def encode(text: str) -> Mapping[str, Sequence[int]]:
        found = tokenizer(text, truncation=True, max_length=length or _MOST_TOKENS, **options)
        return {"token_type_ids": [0] * len(found["input_ids"])} | dict(found)

    return encode
