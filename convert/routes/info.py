"""What a converter says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ... import kits
from ...plugins import installed_version
from ...vocabulary import ConvertedKind

Takes = Literal["onnx", "pt2"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?")
_FUNCTION = re.compile(r"([\w.]+|/.+\.py):\w+")


@dataclass(frozen=True)
class ConverterInfo:
    """All that others know of a converter. The package that brings it declares it, or ``own`` does.

    Attributes:
        name: What ``--artifact route:NAME`` takes, in lower case; files and rows are called by it.
        summary: One line.
        makes: The kind of file, as ``Artifact.kind``.
        module: The Python module that does the work; empty where a kit brings it.
        distributions: Packages that may bring the module, as pip calls them; their version is the converter's.
        install: How to get it.
        convert: ``module:function`` of the function, or ``/path/of/a.py:function``. It gets the path of a model (see
            ``takes``) and that of an empty folder, which is the working folder too, and returns the path of what it
            made in it: a ``.tflite`` file or the folder of a SavedModel. It may change either. Only the process that
            converts imports it.
        takes: What it starts from: an ``.onnx`` file, or a ``.pt2`` program of ``torch.export``, which a source has
            that is PyTorch's.
        kit: The kit in whose own Python it runs, which sees nothing of ours; empty for this Python.
        opset: The newest ONNX opset that it reads; it gets the model in that one if it is newer. None for any.

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
    kit: str = ""
    opset: int | None = None

    def __post_init__(self) -> None:
        wanted = {
            "name": (self.name, bool(_NAME.fullmatch(self.name)), "small letters, digits, dots and dashes, 64 at most"),
            "makes": (self.makes, self.makes in get_args(ConvertedKind), " or ".join(get_args(ConvertedKind))),
            "takes": (self.takes, self.takes in get_args(Takes), " or ".join(get_args(Takes))),
            "convert": (self.convert, bool(_FUNCTION.fullmatch(self.convert)), "module:function"),
            "kit": (self.kit, not self.kit or self.kit in kits.KITS, " or ".join(kits.KITS)),
            "module": (self.module, bool(self.module) != bool(self.kit), "a module's name, or empty beside a kit"),
        }
        for key, (value, fits, form) in wanted.items():
            if not fits:
                raise ValueError(f"a converter's {key} is {value!r}, and should be {form}")

    @property
    def version(self) -> str | None:
        """The installed version, without importing it; None when it isn't installed."""
        if self.kit:
            return kits.version(self.kit)
        return installed_version(self.module, self.distributions)

    def missing(self) -> str | None:
        """Why it can't run here and how to get it; None when it can."""
        if self.version:
            return None
        if not self.kit:
            return f"{self.module} is not installed; {self.install}"
        state = kits.look(kits.KITS[self.kit])
        return f"kit {self.kit} is {state.wording}; {state.remedy}"
