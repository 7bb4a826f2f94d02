"""The flags of the commands that run stages, made from the keys of `edgeworthy.toml` (see `tables.Flag`).

A command has the flags of its stage and of all stages before it, so a flag means the same wherever it appears.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from ..keys import Key, keys
from ..pipeline.plan import STAGES
from ..settings import value_of
from ..tables import Flag


@dataclass(frozen=True)
class Option:
    """A flag of the command line and its key in the configuration.

    Attributes:
        key: Where it goes; its type, docstring and default make the help.
        flag: Its names.
        stage: The first stage that it belongs to.
    """

    key: Key
    flag: Flag
    stage: str

    @property
    def parameter(self) -> str:
        name = self.flag.name.lstrip("-").replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def is_switch(self) -> bool:
        return self.key.kind is bool

    @property
    def repeats(self) -> bool:
        return get_origin(self.key.kind) in (list, dict)

    def annotation(self) -> Any:
        """What typer makes the option of. It passes texts on: the schema has the say on values."""
        name = self.flag.name
        names = (
            [f"{name}/--no-{name.removeprefix('--')}"] if self.is_switch else [*filter(None, [self.flag.short]), name]
        )
        option = typer.Option(
            *names,
            help=self.help,
            metavar=None if self.is_switch else self.metavar,
            autocompletion=self._completion(),
            rich_help_panel=self.stage.capitalize(),
            show_default=False,
        )
        kind = self.key.kind
        plain = bool if self.is_switch else list[str] if self.repeats else Path if kind is Path else str
        return Annotated[plain | None, option]

    @property
    def help(self) -> str:
        """The key's docstring as a sentence, and its default."""
        text, default = self.key.help, self.key.default
        silent = self.repeats or self.is_switch or default is None
        number = f"{default:g}" if isinstance(default, float) else default
        return f"{sentence(text)}{'' if silent else f'; default: {number}'}."

    @property
    def metavar(self) -> str:
        if self.flag.metavar or self.key.choices:
            return self.flag.metavar or "|".join(self.key.choices)
        return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(self.key.kind, "TEXT")

    def read(self, given: Any) -> object:
        """What typer gives, as the configuration takes it; None where the flag wasn't given."""
        if given is None or given == [] or self.is_switch or isinstance(given, Path):
            return None if given == [] else given
        values = [value_of(self.key, text, self.flag.name) for text in ([given] if isinstance(given, str) else given)]
        if not self.repeats:
            return values[0]
        kind = get_origin(self.key.kind)
        joined: Any = kind()
        for value in values:
            joined = joined | value if kind is dict else joined + value
        return joined or None

    def _completion(self) -> Callable[[], list[str]] | None:
        choices = list(self.key.choices)
        return _CHOICES.get(self.key.name, (lambda: choices) if choices else None)


def sentence(text: str) -> str:
    """With a capital, unless it begins with a file's name."""
    return text[0].upper() + text[1:] if text.split()[0].isalpha() else text


def _schemes() -> list[str]:
    from ..schemes import names

    return names()


def _targets() -> list[str]:
    from ..targets import TARGETS

    return list(TARGETS)


def _rules() -> list[str]:
    from ..pipeline.preflight import names

    return list(names())


_CHOICES = {"quantize.schemes": _schemes, "targets": _targets, "preflight.targets": _rules}
"""Key → the names that other rooms' tables hold, for shell completion."""


def of_stages(stages: Sequence[str]) -> list[Option]:
    """The flags of these stages and of those of a run before them."""
    order = tuple(STAGES)
    last = max(order.index(stage) for stage in stages)
    without = {key for stage in stages for key in STAGES[stage].without}
    found = [name for name in order[: last + 1] if STAGES[name].in_run or name in stages]
    options = [option for stage in found for option in of_tables(STAGES[stage].tables, stage)]
    first = {option.key.name: option for option in reversed(options)}  # a key may be named before its table
    return [option for option in options if option is first[option.key.name] and option.key.name not in without]


def of_tables(tables: Iterable[str], stage: str) -> list[Option]:
    """The flags of these keys and tables of the file."""
    found = [key for name in tables for key in keys() if name in (key.path[0], key.name)]
    return [Option(key, key.flag, stage) for key in found if key.flag]


def overrides(options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags as nested tables of the configuration; a flag that wasn't given is None."""
    tables: dict[str, Any] = {}
    for option in options:
        table = tables
        for part in option.key.path[:-1]:
            table = table.setdefault(part, {})
        table[option.key.path[-1]] = option.read(given.get(option.parameter))
    return tables


def names(options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key → flag, of the flags that were given, for errors."""
    return {o.key.name: o.flag.name for o in options if given.get(o.parameter) is not None}
