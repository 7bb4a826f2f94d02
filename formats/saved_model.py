"""Names in the signature of a SavedModel: TensorFlow takes arguments by keyword, and so not every name."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

_RESERVED = {"self", "name"}
"""Parameters of TensorFlow's own functions that call a signature."""


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
