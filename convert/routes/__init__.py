"""Ways from a model to a file: our own, and converters of third parties, whose files are judged beside ours.

Those that we bring are in ``own``. The pins of most others would clash with ours, so each of them runs a file of
``there`` in the Python of a kit. A package adds one by an entry point of the group ``edgeworthy.converters`` whose
value is a ``ConverterInfo`` (see ``plugins``). Nothing of a converter is imported here: it runs in a process of its own
(see ``worker``).
"""

from __future__ import annotations

from ...errors import NotAvailable
from ...plugins import Registry
from . import own
from .info import ConverterInfo

__all__ = ["CONVERTERS", "ConverterInfo", "get", "made_by"]

CONVERTERS = Registry("converter", ConverterInfo, own.CONVERTERS)


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


def made_by(info: ConverterInfo) -> str:
    """The converter's version, and the package that brings it if it is another's."""
    who = f"{info.module or info.name} {info.version}"
    return f"{who}, by {CONVERTERS.packages[info.name]}" if info.name in CONVERTERS.packages else who
