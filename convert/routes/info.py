"""What a converter of a third party says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ...plugins import installed_version
from ...vocabulary import ConvertedKind

Takes = Literal["onnx"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FUNCTION = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True)
class ConverterInfo:
    """All that others know of a converter. The package that brings it declares it.

    Attributes:
        name: What ``--artifact route:NAME`` takes, in lower case; files and rows are called by it.
        summary: One line.
        makes: The kind of file, as ``Artifact.kind``.
        module: The Python module that does the work.
        distributions: Packages that may bring the module, as pip calls them; their version is the converter's.
        install: How to get it.
        convert: ``module:function`` of the function. It gets the path of an ``.onnx`` file and that of an empty folder,
            which is the working folder too, and returns the path of what it made in it: a ``.tflite`` file or the
            folder of a SavedModel. It may change either. Only the process that converts imports it.
        takes: What it starts from.

    Raises:
        ValueError: a value that isn't one of these.
    """

    name: str
    summary: str
    makes: ConvertedKind
    module: str
    distributions: tuple[str, ...]
    install: str
    convert: str
    takes: Takes = "onnx"

    def __post_init__(self) -> None:
        wanted = {
            "name": (self.name, bool(_NAME.fullmatch(self.name)), "small letters, digits, dots and dashes"),
            "makes": (self.makes, self.makes in get_args(ConvertedKind), " or ".join(get_args(ConvertedKind))),
            "takes": (self.takes, self.takes in get_args(Takes), " or ".join(get_args(Takes))),
            "convert": (self.convert, bool(_FUNCTION.fullmatch(self.convert)), "module:function"),
        }
        for key, (value, fits, form) in wanted.items():
            if not fits:
                raise ValueError(f"a converter's {key} is {value!r}, and should be {form}")

    @property
    def version(self) -> str | None:
        """The installed version, without importing it; None when it isn't installed."""
        return installed_version(self.module, self.distributions)

    def missing(self) -> str | None:
        """Why it can't run here and how to get it; None when it can."""
        return None if self.version else f"{self.module} is not installed; {self.install}"
