"""The keys of `edgeworthy.toml`, one by one: what flags, `init` and docs/config.md are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from .config import Config
from .tables import Flag, MayBePath, Table


@dataclass(frozen=True)
class Key:
    """A key of a table, or a table in it.

    Attributes:
        path: Names of the tables and of the key, as in ``("quantize", "preprocess", "size")``.
        field: What pydantic knows of it.
    """

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def name(self) -> str:
        """``quantize.preprocess.size``"""
        return ".".join(self.path)

    @property
    def kind(self) -> Any:
        """The type without None and annotations: ``bool``, ``list[str]``, a ``Literal``, a `Table` …"""
        return _plain(self.field.annotation)

    @property
    def table(self) -> type[Table] | None:
        """The class of the table, if it is one."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, Table) else None

    @property
    def item(self) -> Any:
        """The type of a list's items, or of a table's values; else its own."""
        inner = get_args(self.kind) if get_origin(self.kind) in (list, dict) else ()
        return _plain(inner[-1]) if inner else self.kind

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it may be, or hold."""
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def flag(self) -> Flag | None:
        return next((m for m in self.field.metadata if isinstance(m, Flag)), None)

    @property
    def help(self) -> str:
        """The docstring, in one line."""
        return " ".join((self.field.description or "").split())

    @property
    def default(self) -> Any:
        return self.field.default

    @property
    def may_be_path(self) -> bool:
        return any(isinstance(m, MayBePath) for m in _metadata(self.field.annotation))


def keys(table: type[Table] = Config, path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of a table, and after a table's own key those in it."""
    for name, field in table.model_fields.items():
        key = Key((*path, field.alias or name), field)
        yield key
        if key.table is not None:
            yield from keys(key.table, key.path)


def _plain(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            options = [a for a in get_args(annotation) if a is not NoneType]
            if len(options) > 1:
                return annotation
            annotation = options[0]
        else:
            return annotation


def _metadata(annotation: Any) -> Iterator[object]:
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
    for arg in get_args(annotation):
        yield from _metadata(arg)
