"""Other ways from a model to a file than ours: converters of third parties, whose files are judged beside our own.

A package adds one by an entry point of the group ``edgeworthy.converters`` whose value is a ``ConverterInfo`` (see
``plugins``). Nothing of a converter is imported here: it runs in a process of its own (see ``worker``).
"""

from __future__ import annotations

from ...errors import NotAvailable
from ...plugins import Registry
from .info import ConverterInfo

__all__ = ["CONVERTERS", "ConverterInfo", "get"]

CONVERTERS = Registry("converter", ConverterInfo)


def get(name: str, where: str) -> ConverterInfo:
    """The converter of this name, installed. ``where`` is for errors.

    Raises:
        BadInput: there is no such converter; names the nearest.
        NotAvailable: what it needs isn't installed, or the package that brings it can't be loaded.
    """
    info = CONVERTERS.find(name, where=where)
    if why := info.missing():
        raise NotAvailable(f"converter {name} can't run here: {why}", where=where, remedy=info.install)
    return info
