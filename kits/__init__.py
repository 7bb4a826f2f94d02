"""What a target needs beyond a pip extra, from Debian, PyPI and npm, by hash, without root.

A kit is data: ``kits/NAME.toml`` says which files of which registries, with their hashes, and what to take of them;
``kits/NAME.txt`` holds the hash-locked requirements of a Python environment of its own.

:mod:`.kit`     that data, read
:mod:`.lock`    writes it for maintainers: ``python -m edgeworthy.kits.lock NAME`` asks the registries
:mod:`.fetch`   files of registries, by hash, from where they stopped
:mod:`.said`    what a registry's client said of its failure
:mod:`.unpack`  packages of Debian, PyPI and npm, without their tools
:mod:`.python`  a Python environment from locked requirements
:mod:`.place`   where they lie
:mod:`.use`     which processes use one
:mod:`.whole`   whether its files are those that were installed
:mod:`.store`   installed, checked, started and removed
"""

from __future__ import annotations

from .kit import KITS, Kit, find
from .store import Installation, Launch, check, check_whole, install, launch, look, remove, site, version

__all__ = [
    "KITS", "Installation", "Kit", "Launch", "check", "check_whole", "find", "install", "launch", "look", "remove",
    "site", "version",
]  # fmt: skip
