"""From a TOML file, ``--set``, flags and keywords to one checked `Config`.

Precedence: flag (or keyword argument) over ``--set`` over file over default. Paths in the file are relative to the
file's folder. A key that doesn't exist, or a value that doesn't fit, is a `BadInput` that names the key, the value,
what would be allowed, and the nearest key that does exist.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from .config import Config
from .errors import BadInput, did_you_mean
from .keys import Key, keys
from .tables import EVERY
from .vocabulary import ROUTE


def load_config(
    path: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    sets: Sequence[str] = (),
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Read a TOML file (None: only defaults), and lay ``sets`` and then ``overrides`` over it.

    Args:
        path: The file.
        overrides: What comes from flags or from Python, as nested tables; None in it means "not given".
        sets: ``table.key=value`` each, as ``--set`` takes them.
        flags: Dotted key → the flag that it was given by, for errors.

    Raises:
        BadInput: the file is missing, isn't TOML, or a key or value is wrong.
    """
    table: dict[str, object] = {}
    if path is not None:
        table = _read(Path(path))
        _validated(table, str(path))
        table = _resolved(table, Path(path).parent)
    if sets:
        table = _merged(table, _set(sets))
        _validated(table, "--set")
    return _validated(_merged(table, overrides or {}), "the command line" if flags else "the options", flags or {})


def value_of(key: Key, text: str, where: str) -> object:
    """What a user typed for a key, as the schema takes it.

    Lists by commas; ``[name:]number`` for tables of limits, ``name=value`` for those whose flag is repeated.

    A text that is no number stays one, and is refused by the schema.

    Raises:
        BadInput: there is no number for a table of numbers, or nothing in a list, named ``where``.
    """
    kind = get_origin(key.kind)
    if kind is list:
        repeats = key.flag is not None and key.flag.repeat
        if not text.strip(", "):  # as of a shell's variable that is empty: all would be taken where one was meant
            raise BadInput("it has no value", where=where, remedy="give one, or leave it out")
        return [_scalar(key.item, part) for part in ([text] if repeats else text.split(",")) if part]
    if kind is dict and key.flag is not None and key.flag.repeat:
        return dict([_binding(key.item, text, where)])
    if kind is dict:
        return dict(_named_number(part, where) for part in text.split(",") if part)
    return _scalar(key.kind, text)


def _binding(kind: Any, text: str, where: str) -> tuple[str, object]:
    name, equals, value = text.rpartition("=")
    if not equals or not name:
        raise BadInput(f"{text!r} binds no input", where=where, remedy="write NAME=VALUE, as in sr=16000")
    return name, _scalar(kind, value)


def _scalar(kind: Any, text: str) -> object:
    if get_origin(kind) is UnionType:  # the first that takes the text
        return next((v for each in get_args(kind) if (v := _scalar(each, text)) != text), text)
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _named_number(text: str, where: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    try:
        return name or EVERY, float(number)
    except ValueError:
        raise BadInput(f"{text!r} holds no number", where=where, remedy="write 1e-4, or name:1e-4") from None


# -- where values come from ---------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise BadInput("the file doesn't exist", where=str(path), remedy="give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"this is not TOML: {error}", where=str(path), remedy="see https://toml.io") from error
    except OSError as error:
        raise BadInput(
            f"can't read the file: {error.strerror}", where=str(path), remedy="give the path of a TOML file"
        ) from error


def _set(sets: Sequence[str]) -> dict[str, object]:
    """``table.key=value`` as nested tables. A value is TOML where it begins like a string, list or table of it."""
    tables: dict[str, object] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        path = tuple(name.strip().split("."))
        if not equals or not all(path):
            raise BadInput(
                f"{text!r} sets nothing",
                where="--set",
                remedy="write table.key=value, as in quantize.samples=64 or gate.sqnr_db.int8=20",
            )
        _put(tables, *_typed(path, value.strip(), name))
    return tables


def _typed(path: tuple[str, ...], text: str, name: str) -> tuple[tuple[str, ...], object]:
    """Where the value goes, and the value; what lies below a table of numbers is one name, dots and all."""
    if text[:1] in tuple("[{\"'"):
        try:
            return path, tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise BadInput(
                f"{name} = {text}: this is not TOML: {error}",
                where="--set",
                remedy=f'quote it for the shell, as in --set \'{name}=["a", "b"]\'',
            ) from error
    for key in keys():
        if key.path == path:
            return path, value_of(key, text, f"--set {name}")
        if get_origin(key.kind) is dict and path[: len(key.path)] == key.path:
            return (*key.path, ".".join(path[len(key.path) :])), _scalar(key.item, text)
    return path, text  # the schema says that there is no such key


def _put(tables: dict[str, object], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        below = tables.setdefault(part, {})
        if not isinstance(below, dict):
            below = tables[part] = {}
        tables = below
    tables[path[-1]] = value


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """``over`` on ``base``, table by table; None in ``over`` means "not given"."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(value, Mapping):
            out[key] = _merged(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            out[key] = value
    return out


def _resolved(table: Mapping[str, object], folder: Path, above: tuple[str, ...] = ()) -> dict[str, object]:
    """Paths of the file made relative to the working directory instead of to the file's ``folder``."""
    known = {key.path: key for key in keys()}
    out = dict(table)
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, Mapping):
            out[name] = _resolved(value, folder, path)
        elif isinstance(value, list) and known[path].item is Path:
            out[name] = [_path(item, folder) for item in value]
        elif isinstance(value, str) and known[path].kind is Path:
            out[name] = _path(value, folder)
        elif isinstance(value, str) and known[path].may_be_path:
            out[name] = _spec(value, folder)
    return out


def _path(value: str, folder: Path) -> str:
    return value if value.startswith(ROUTE) else str(folder / value)


def _spec(value: str, folder: Path) -> str:
    """A spec may be a path, ``file.py:name``, or no path at all (``sample:NAME``)."""
    head, colon, tail = value.rpartition(":")
    if colon and head.endswith(".py"):
        return f"{folder / head}:{tail}"
    return str(folder / value) if (folder / value).exists() else value


# -- errors -----------------------------------------------------------------------------------------------


_ELSEWHERE: dict[tuple[str, ...], str] = {
    ("convert", "to", "onnx"): "; `edgeworthy export` makes ONNX files, and `run` keeps one"
}
"""Key and a value that it doesn't take → where else that is to be had."""

_TYPES = {
    "list_type": "should be a list, as in [1, 2]",
    "dict_type": "should be a number, or a table of names and numbers, as in {int8 = 20}",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
}
"""Kind of error → what pydantic calls by Python's names."""


def _validated(table: Mapping[str, object], where: str, flags: Mapping[str, str] | None = None) -> Config:
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        lines = [
            _explain(e["loc"], e["type"], e["msg"], e["input"], flags or {}) for e in error.errors(include_url=False)
        ]
        raise BadInput(
            "the configuration has " + ("an error" if len(lines) == 1 else f"{len(lines)} errors"),
            where=where,
            details=lines,
            remedy="give these flags other values; --help explains them"
            if flags
            else "correct the keys above; docs/config.md lists them all",
        ) from error


def _explain(loc: Sequence[int | str], kind: str, message: str, value: object, flags: Mapping[str, str]) -> str:
    path = tuple(map(str, loc))
    shown = ".".join(path)
    for length in range(len(path), 0, -1):
        shown = flags.get(".".join(path[:length]), shown)
    known = {key.path: key for key in keys()}
    if kind == "extra_forbidden":
        here = sorted(key.path[-1] for key in known.values() if key.path[:-1] == path[:-1])
        return f"unknown key {shown!r}{_nearest(path[-1], here)} (known here: {', '.join(here)})"
    key = next((known[path[:n]] for n in range(len(path), 0, -1) if path[:n] in known), None)
    said = _TYPES.get(kind, message[0].lower() + message[1:]).removeprefix("input ")
    if key and (elsewhere := _ELSEWHERE.get((*key.path, str(value)))):
        return f"{shown} = {value!r}: {said}{elsewhere}"
    return f"{shown} = {value!r}: {said}{_nearest(str(value), key.choices if key else ())}"


def _nearest(word: str, words: Sequence[str]) -> str:
    said = did_you_mean(word, words)
    return f"; {said}" if said else ""
